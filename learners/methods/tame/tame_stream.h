/*
 * A TAME stream: labelled batches come in, the task changes without notice, and one small expert is
 * made for each task that is found (Zhu et al. 2024, arXiv 2210.03869; design: tame.md).  The
 * stream joins the detector's decisions with experts, their label tables, ledgers, reserves and the
 * selector's buffer.  Pure computation on the caller's arena; the same settings, seed and batches
 * give the same bytes, for any split into pushes (without probes) and any number of threads.
 *
 * State lives between pushes as one record of the stream and one of each expert; everything that
 * decides or trains is in them, held batches included.  A push that fails is given up as a whole:
 * drop the stream and open it again from its records.
 *
 * Life: tame_stream_open, with a record also tame_stream_attach for every expert, tame_stream_seal;
 * then observe, probe, erase, refit, predict ... ; at the end the records.  Nothing to close: the
 * arena is rewound.  One stream at a time owns the engine; one thread.
 */
#ifndef LETHE_LEARNERS_TAME_STREAM_H
#define LETHE_LEARNERS_TAME_STREAM_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/tame/tame_buffer.h"
#include "learners/methods/tame/tame_detector.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/methods/tame/tame_ledger.h"
#include "learners/methods/tame/tame_options.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_RECORD_VERSION 1

/* A labelled batch, in stream order.  Everything is borrowed during the call. */
struct tame_samples {
    uint32_t n;
    const uint8_t *const *inputs; /* [n], each shape.input_bytes */
    const uint32_t *labels;       /* [n] class numbers of the whole service */
    const uint64_t *ids;          /* [n] which sample it is */
    const uint64_t *keys;         /* [n] keyed hash of the id, uniform */
    struct request_id request;    /* of the push, for the ledger */
};

struct tame_setup {
    const struct tame_kind *kind;
    void *engine;
    struct tame_options options; /* of a new stream, or what tame_stream_peek says; resolved */
    uint64_t seed;               /* of a new stream: root of every expert's seed */
    struct digest trunk;         /* what the experts stand on; zero if nothing */
    uint64_t ledger_steps;       /* room: what is recorded (tame_ledger_bound) plus what comes */
    uint64_t ledger_samples;
    /* Room as well, 0: all that the settings allow.  Experts at once, and samples of the reserves.
     */
    uint32_t experts_room;
    uint32_t reserve_room;
    struct tame_cut tombstones; /* forgotten classes and sample ids (ascending), never trained */
};

struct tame_stream;

/* What one batch (or a probe, or the close) led to. */
struct tame_event {
    struct tame_verdict verdict;
    uint64_t batch;       /* number of the batch, from 0 */
    uint32_t offered;     /* samples given */
    uint32_t tombstoned;  /* of these, dropped because they are forgotten */
    uint32_t reserved;    /* set aside by their key */
    uint32_t idle;        /* lost, because nothing but reserve samples was in the batch */
    uint32_t trained;     /* samples that gave a gradient, those of held batches included */
    uint32_t quarantined; /* samples given up */
};

struct tame_totals {
    uint64_t offered, tombstoned, reserved, idle, trained, quarantined;
};

/* ------------------------------------------------------------------ life */

/* Arena bytes of tame_stream_open; SIZE_MAX: too large. */
size_t tame_stream_plan(const struct tame_setup *setup);
/* The same before there is an engine, whose shape this will be. */
size_t tame_stream_plan_shape(const struct tame_setup *setup, const struct tame_shape *shape);
/*
 * A new stream (record NULL), or one from its record.  INVALID_ARGUMENT (a setting), BAD_FORMAT,
 * FAILED_PRECONDITION (other kind, sizes or trunk), NO_MEMORY; then the arena is as it was.
 */
enum status tame_stream_open(const struct tame_setup *setup,
                             const void *record,
                             size_t size,
                             struct arena *arena,
                             struct tame_stream **ret_stream,
                             struct fault *f) MUST_CHECK;
/* Settings of a recorded stream: they decide about engine and plan. */
enum status tame_stream_peek(const void *record,
                             size_t size,
                             struct tame_options *ret_options,
                             struct fault *f) MUST_CHECK;
/* An expert of the stream's roster, from its record; on failure the stream is to be dropped. */
enum status tame_stream_attach(struct tame_stream *s,
                               const void *record,
                               size_t size,
                               struct fault *f) MUST_CHECK;
/* After the last attach: FAILED_PRECONDITION if an expert is missing. */
enum status tame_stream_seal(struct tame_stream *s, struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ learning */

/*
 * One batch.  INVALID_ARGUMENT (empty, too large, a label out of range), FAILED_PRECONDITION (after
 * close, or an expert waits for its refit), RESOURCE_EXHAUSTED (cap on experts or classes),
 * NO_MEMORY (ledger room).  Checks of the arguments change nothing; after any later failure the
 * stream refuses everything.
 */
enum status tame_stream_observe(struct tame_stream *s,
                                const struct tame_samples *batch,
                                struct tame_event *ret_event,
                                struct fault *f) MUST_CHECK;
/*
 * First batches of a push that is one task: n = 1 .. TAME_PROBE_BATCHES of them are decided on
 * together.  Batches still held are settled first, as at close.
 */
enum status tame_stream_probe(struct tame_stream *s,
                              const struct tame_samples *batches,
                              uint32_t n,
                              struct tame_event *ret_event,
                              struct fault *f) MUST_CHECK;
/* End of the stream: held batches go to an expert that they fit or are counted as dropped. */
enum status
tame_stream_close(struct tame_stream *s, struct tame_event *ret_event, struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ looking */

const struct tame_detector *tame_stream_detector(const struct tame_stream *s);
const struct tame_ledger *tame_stream_ledger(const struct tame_stream *s);
const struct tame_totals *tame_stream_totals(const struct tame_stream *s);
/* Samples kept for the selector; of every expert's reserve; for pruning. */
const struct tame_buffer *tame_stream_buffer(const struct tame_stream *s);
const struct tame_buffer *tame_stream_reserve(const struct tame_stream *s);
const struct tame_buffer *tame_stream_prune_buffer(const struct tame_stream *s);
/* Weights of expert number e (index into the detector's experts), for pruning and reports. */
struct tame_weights *tame_stream_weights(struct tame_stream *s, uint32_t e);
/* Class of each row of the expert's last layer, [weights.classes]. */
const uint32_t *tame_stream_labels(const struct tame_stream *s, uint32_t e);
/* Whether the expert lost data and waits for tame_stream_refit_begin. */
int tame_stream_stale(const struct tame_stream *s, uint32_t e);

/* ------------------------------------------------------------------ answering */

/* Logits of expert e (index) on n inputs; overwrites logits [n, classes of e]. */
void tame_stream_forward(
    struct tame_stream *s, uint32_t e, uint32_t n, const uint8_t *const *inputs, float *logits);

/* Chooses an expert (index), or TAME_NONE for the base model, for each of n inputs. */
typedef void
tame_router(void *context, uint32_t n, const uint8_t *const *inputs, uint32_t *ret_experts);

struct tame_answer {
    uint32_t expert; /* index, TAME_NONE: none answers */
    uint32_t label;
    float confidence; /* softmax of the answer among the expert's classes */
};

/*
 * Answers of the experts that `router` chooses; NULL: the stream's own selector.  Below t_rej
 * (option reject) none answers.  FAILED_PRECONDITION: no selector is trained.
 */
enum status tame_stream_predict(struct tame_stream *s,
                                tame_router *router,
                                void *context,
                                uint32_t n,
                                const uint8_t *const *inputs,
                                struct tame_answer *ret_answers,
                                struct fault *f) MUST_CHECK;
/*
 * Trains the selector from zero on the buffer, with the same seed every time: after an erasure it
 * is what it would be had the erased samples never been kept.  FAILED_PRECONDITION: the setting
 * says none, or there is nothing to train on.
 */
enum status tame_stream_fit_selector(struct tame_stream *s, struct fault *f) MUST_CHECK;
int tame_stream_has_selector(const struct tame_stream *s);
/* The selector's choice, as a router; the context is the stream. */
void tame_stream_select(void *stream,
                        uint32_t n,
                        const uint8_t *const *inputs,
                        uint32_t *ret_experts);
/*
 * Accuracy of expert e on its reserve (NaN: it has none); *ret_worse: 5 points below the best
 * measured so far.
 */
double tame_stream_check_reserve(struct tame_stream *s, uint32_t e, int *ret_worse);

/* ------------------------------------------------------------------ forgetting */

/* What an erasure does to an expert. */
enum tame_fate {
    TAME_UNTOUCHED, /* it stays as it is, to the byte */
    TAME_REDUCED,   /* only kept samples go, no gradient came from them: window anew */
    TAME_RETRAIN,   /* trained again from its own seed without them */
    TAME_DESTROYED  /* nothing else was in it */
};

struct tame_lineage {
    uint32_t id;
    enum tame_fate fate;
    uint64_t steps_samples; /* samples that gave a gradient, repetitions counted */
    uint64_t hit;           /* of these, to be erased */
    uint32_t kept;          /* in buffers and reserve, to be erased */
};

/*
 * What the erasure of `cut` (classes, ids, or an expert by id) would do to every expert: rows in
 * the order of the detector's experts, their number is returned.  *ret_held (NULL: not wanted):
 * samples of held batches.
 */
uint32_t tame_stream_lineage(const struct tame_stream *s,
                             const struct tame_cut *cut,
                             struct tame_lineage ret_rows[TAME_EXPERTS_MAX],
                             uint32_t *ret_held);
/*
 * Does it: destroys, takes samples out of ledger, buffers, reserves and held batches, wipes what
 * must be retrained (it is stale until refitted) and drops the selector.  hardened only. NOT_FOUND:
 * no such expert, or nobody has any of it.
 */
enum status
tame_stream_erase(struct tame_stream *s, const struct tame_cut *cut, struct fault *f) MUST_CHECK;

/* A step of a refit: the samples that it needs, in this order. */
struct tame_want {
    uint32_t n;
    const uint64_t *ids;
    const uint32_t *labels;
    uint64_t step, steps; /* this one, from 0, and all */
};
/*
 * Retrains a stale expert (by id) from its own seed on its ledger, batch for batch; or, any expert,
 * after the trunk has moved.  Then, until tame_stream_refit_next says that nothing is left,
 * tame_stream_refit_step with the inputs that it asked for.
 */
enum status tame_stream_refit_begin(struct tame_stream *s, uint32_t id, struct fault *f) MUST_CHECK;
/* False: the refit is over. */
int tame_stream_refit_next(struct tame_stream *s, struct tame_want *ret_want);
/* One optimiser step; *ret_loss before it. */
enum status tame_stream_refit_step(struct tame_stream *s,
                                   const uint8_t *const *inputs,
                                   double *ret_loss,
                                   struct fault *f) MUST_CHECK;
/*
 * Window and threshold of expert e from its reserve: W losses of seeded draws of `batch` samples;
 * with fewer than 32 reserve samples the expert is immature again.  After a refit, after an erasure
 * that reduced it, and for all experts after the trunk has moved.
 */
void tame_stream_rebaseline(struct tame_stream *s, uint32_t e, uint32_t batch);
/* The input of the sample with this id, NULL: it is not at hand. */
typedef const uint8_t *tame_input_of(void *context, uint64_t id);
/*
 * The trunk has moved (an erasure delta): the digest is new, the selector is dropped, and kept
 * features are computed again from the inputs that `find` gives; without an input (find NULL: all
 * of them) they are dropped.
 */
void tame_stream_move_trunk(struct tame_stream *s,
                            const struct digest *trunk,
                            tame_input_of *find,
                            void *context);

/* ------------------------------------------------------------------ records */

/* Bytes of the stream's record; writes them if `to` is not NULL (then size must be that number). */
size_t tame_stream_encode(const struct tame_stream *s, void *to, size_t size);
/* The same for expert e (index). */
size_t tame_stream_encode_expert(const struct tame_stream *s, uint32_t e, void *to, size_t size);
/*
 * An expert that was exported from another stream of the same kind, sizes and trunk joins with a
 * new id.  On failure the stream is as it was.
 */
enum status tame_stream_import(struct tame_stream *s,
                               const void *record,
                               size_t size,
                               uint32_t *ret_id,
                               struct fault *f) MUST_CHECK;

#endif
