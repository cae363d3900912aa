/*
 * When did the task change, and to which expert?  The decision rules of TAME (Zhu et al. 2024,
 * arXiv 2210.03869, Algorithm 1) on losses alone: no network, no data.  `parity` is the published
 * rule (tame.md 3.2), `hardened` ours (tame.md 3.3): guard band, patience with a hold queue,
 * outlier guard with quarantine, maturity, largest margin.
 *
 * The detector never sees a batch.  Whoever drives it keeps batches in numbered slots and answers
 * questions about them through struct tame_ops.  Between two calls the detector's state is plain
 * memory; with the batches in the slots that tame_detector_keeps names it is the whole state, and
 * it belongs to a version of the model.
 *
 * Statistics are in double: mean and population deviation in two passes, oldest loss first.
 */
#ifndef LETHE_LEARNERS_TAME_DETECTOR_H
#define LETHE_LEARNERS_TAME_DETECTOR_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/tame/tame_options.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_NONE      UINT32_MAX
#define TAME_RING      64 /* batches behind the lazy form of `parity`: 0.8^64 is 6e-7 */
#define TAME_SLOTS_MAX TAME_RING

/* What the detector knows of one expert. */
struct tame_watch {
    uint32_t id;               /* never used again after the expert is gone */
    uint32_t n;                /* losses in q, the seed included */
    uint64_t pushed;           /* losses ever pushed, the seed left out */
    double q[TAME_WINDOW_MAX]; /* oldest first */
    int has_sact, has_sall;    /* whether the averages are defined */
    double sact;               /* moving average of the losses while active */
    double sall;               /* parity: of the loss on every batch since birth */
    uint64_t sall_at;          /* parity: batches that sall has seen, those before birth counted */
    double tau;                /* threshold, frozen while inactive */
    int has_first, drifted;    /* of the drift warning */
    double first_mean, first_std; /* of the first full window */
    double last;                  /* parity: loss on the batch at hand; not part of the state */
};

struct tame_detector {
    struct tame_options options; /* resolved */
    struct tame_watch *experts;  /* [options.experts_max], ascending ids */
    uint32_t n_experts;
    uint32_t current; /* index into experts, TAME_NONE: there is no active one */
    uint32_t next_id;
    uint32_t n_held;  /* hardened: batches held, in slots 0 .. n_held - 1 */
    uint64_t batches; /* decided on so far */
    uint64_t switches, created, quarantined, dropped;
};

/* Experts are named by their index in `experts` here, batches by their slot. */
struct tame_ops {
    void *context;
    /* Mean loss of expert e on the batch, with the weights as they are. */
    double (*loss)(void *context, uint32_t e, uint32_t slot);
    /* One optimiser step of e on the batch; a loss of the same pair came just before. */
    void (*train)(void *context, uint32_t e, uint32_t slot);
    /*
     * The expert at index e is new, with this id, for the classes of the batches in slots
     * 0 .. n-1 (or, n = 0, `slot`).  Returns C_e.
     */
    enum status (*create)(void *context,
                          uint32_t e,
                          uint32_t id,
                          uint32_t slot,
                          uint32_t n,
                          uint32_t *ret_classes,
                          struct fault *f);
    /* The batch is given up: neither trained nor buffered. */
    void (*give_up)(void *context, uint32_t slot);
    /* Whether more than half of the samples in the n slots from `slot` on are of classes that e
     * does not have. */
    int (*mostly_new)(void *context, uint32_t e, uint32_t slot, uint32_t n);
    /* Gives e the classes of the batches in slots 0 .. n-1.  Returns C_e. */
    uint32_t (*extend)(void *context, uint32_t e, uint32_t n);
};

enum tame_outcome {
    TAME_TRAINED,  /* the active expert took the batch (and what was held) */
    TAME_HELD,     /* alarm, waiting for more */
    TAME_SWITCHED, /* alarm: an older expert was chosen */
    TAME_CREATED,  /* a new expert was made */
    TAME_EXTENDED, /* alarm: the active expert got new classes */
    TAME_DROPPED,  /* close: held batches that nobody wanted were given up */
    TAME_NOTHING   /* there was nothing to decide */
};

/* What happened to one batch (or at a close or probe). */
struct tame_verdict {
    enum tame_outcome outcome;
    uint32_t old_id; /* active before, TAME_NONE: none */
    uint32_t id;     /* active now */
    double loss;     /* l, of the expert active before (or made first), before the step */
    double average;  /* s; NaN: none was computed */
    double threshold;
    double mean, deviation; /* behind the threshold */
    uint32_t window;        /* losses in the window then */
    double taken;           /* loss of the last batch trained, before its step */
    uint32_t trained;       /* batches trained, this one and held ones */
    uint32_t quarantined;
    uint32_t held; /* batches held now */
    int drift;     /* the window has just left the mean of the first full one */
};

/* ------------------------------------------------------------------ life */

void tame_detector_plan(const struct tame_options *resolved, struct arena_plan *p);
/* False if the arena is exhausted. */
int tame_detector_new(const struct tame_options *resolved,
                      struct arena *arena,
                      struct tame_detector *ret_detector);

/* Slots that batches may lie in at once. */
uint32_t tame_detector_slots(const struct tame_options *resolved);
/* Where the driver puts the batch before tame_detector_observe. */
uint32_t tame_detector_slot(const struct tame_detector *d);
/* Whether the batch in this slot belongs to the state. */
int tame_detector_keeps(const struct tame_detector *d, uint32_t slot);

/* ------------------------------------------------------------------ decisions */

/*
 * Decides on the batch in tame_detector_slot and has it trained, held or given up.
 * RESOURCE_EXHAUSTED at the cap on experts; then (and if `create` fails) the detector is undefined
 * and the push must be discarded.
 */
enum status tame_detector_observe(struct tame_detector *d,
                                  const struct tame_ops *ops,
                                  struct tame_verdict *ret_verdict,
                                  struct fault *f) MUST_CHECK;
/*
 * Start of a push that is one task: decides on the batches in slots 0 .. n-1 together, 1 <= n <=
 * TAME_PROBE_BATCHES; nothing may be held (tame_detector_close).  hardened only.
 */
enum status tame_detector_probe(struct tame_detector *d,
                                const struct tame_ops *ops,
                                uint32_t n,
                                struct tame_verdict *ret_verdict,
                                struct fault *f) MUST_CHECK;
/* Held batches go to an expert that they fit, else they are given up.  Never makes an expert. */
void tame_detector_close(struct tame_detector *d,
                         const struct tame_ops *ops,
                         struct tame_verdict *ret_verdict);

/* ------------------------------------------------------------------ changes from outside */

/* Takes the expert out; held batches stay.  Its id is never given again. */
void tame_detector_remove(struct tame_detector *d, uint32_t e);
/*
 * Adds one that was decoded, in the place of its id, which must be below next_id and not there.
 * Returns its index; the cap is the caller's duty.
 */
uint32_t tame_detector_add(struct tame_detector *d, const struct tame_watch *w);
/*
 * Window and threshold anew: from n measured losses (at most the window is used), or, n = 0, as at
 * birth with so many classes.  Averages become undefined, the drift warning starts again.
 */
void tame_detector_rebaseline(
    struct tame_detector *d, uint32_t e, const double *losses, uint32_t n, uint32_t classes);
/* The held batches are gone; the active expert's average, which has heard of them, is undefined. */
void tame_detector_drop_held(struct tame_detector *d);

/* Index of an id, TAME_NONE: no such expert. */
uint32_t tame_detector_find(const struct tame_detector *d, uint32_t id);

/* ------------------------------------------------------------------ parts, for tests and reports
 */

/* Mean and population deviation of q[0..n). */
void tame_detector_stats(const double *q, uint32_t n, double *ret_mean, double *ret_deviation);
/* Losses behind the threshold: all but the newest g, but at least the two oldest. */
uint32_t tame_detector_guarded(uint32_t n, uint32_t g);

/* Who belongs to a stream, as its record says. */
struct tame_roster {
    uint32_t ids[TAME_EXPERTS_MAX]; /* ascending */
    uint32_t n;
    uint32_t current; /* id, TAME_NONE: no expert is active */
};

/* Records: of the stream (without options and experts), and of one expert's watch. */
void tame_detector_put(const struct tame_detector *d, struct byte_writer *w);
/*
 * Reads what tame_detector_put wrote into a new detector; the experts then follow one by one
 * (tame_detector_add), and tame_detector_seal checks that exactly the roster's are there.
 */
enum status tame_detector_get(struct tame_detector *d,
                              struct byte_reader *r,
                              struct tame_roster *ret_roster,
                              struct fault *f) MUST_CHECK;
enum status tame_detector_seal(struct tame_detector *d,
                               const struct tame_roster *roster,
                               struct fault *f) MUST_CHECK;
void tame_detector_put_watch(const struct tame_watch *x, struct byte_writer *w);
enum status tame_detector_get_watch(struct byte_reader *r,
                                    uint32_t window,
                                    struct tame_watch *ret_watch,
                                    struct fault *f) MUST_CHECK;

#endif
