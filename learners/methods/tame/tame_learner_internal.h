/* A run of the learner; only for learners/methods/tame. */
#ifndef LETHE_LEARNERS_TAME_LEARNER_INTERNAL_H
#define LETHE_LEARNERS_TAME_LEARNER_INTERNAL_H

#include "learners/methods/tame/tame_adapter.h"
#include "learners/methods/tame/tame_case.h"
#include "learners/methods/tame/tame_stream.h"

#define TAME_FORGOTTEN (TAME_UNKNOWN - 1) /* class number of what must not be learned again */

/* Switches and the last batch, the newest LEARNER_EVENTS of them. */
struct tame_journal {
    struct learner_event *ring; /* [LEARNER_EVENTS] */
    uint64_t n;                 /* switches ever noted */
    struct learner_event last;
    int any;
    uint64_t offered, trained, reserved, tombstoned, quarantined; /* of the run */
};

/* Experts that are trained again, one after the other, and all that get a new window. */
struct tame_queue {
    uint32_t refit[TAME_LEARNER_EXPERTS]; /* ids */
    uint32_t n, at;
    uint32_t renew[TAME_LEARNER_EXPERTS]; /* ids */
    uint32_t n_renew;
    uint32_t *rows; /* [images.n] by key */
    uint64_t steps; /* of all refits */
};

struct learner_run {
    const struct learner *learner;
    struct learner_problem problem;
    struct tame_case c;
    struct tame_origin origin;
    struct arena *arena;
    const atomic_int *cancel;
    struct tame_adapter *engine;
    struct tame_stream *stream;
    struct tame_roll roll;
    uint8_t *used;          /* [roll.max] marks of an export */
    uint8_t *anywhere;      /* [roll.max] */
    uint8_t *pushed;        /* [roll.pushes_max] */
    uint32_t *numbers;      /* [n_classes] of the problem's classes */
    const uint8_t **inputs; /* [TAME_PROBE_BATCHES * batch_max] */
    uint32_t *labels;
    uint64_t *ids;
    uint32_t at;        /* images pushed so far */
    uint32_t forgotten; /* TAME_FORGOTTEN, for the tombstones */
    struct tame_queue queue;
    struct tame_journal journal;
    uint32_t step, steps;
    double loss;
};

/* tame_learner_push.c */
/* Numbers of the classes that the push brings, by first appearance; RESOURCE_EXHAUSTED. */
enum status tame_push_begin(struct learner_run *run, struct fault *f) MUST_CHECK;
enum status tame_push_step(struct learner_run *run, struct fault *f) MUST_CHECK;
enum status tame_close_step(struct learner_run *run, struct fault *f) MUST_CHECK;
/* The events, the last one with the run's sums. */
const struct learner_event *tame_journal_read(struct learner_run *run, uint32_t *ret_n);

/* tame_learner_forget.c */
/* Takes out what is to go and lists what follows; also of a refit. */
enum status tame_forget_begin(struct learner_run *run, struct fault *f) MUST_CHECK;
enum status tame_forget_step(struct learner_run *run, struct fault *f) MUST_CHECK;

/* tame_learner_import.c: the expert of the case joins the stream. */
enum status tame_import_step(struct learner_run *run, struct fault *f) MUST_CHECK;

/* The selector anew, where the settings want one and there is something to train it on. */
enum status tame_learner_settle(struct learner_run *run, struct fault *f) MUST_CHECK;
/* Pixels of a row of the problem's images. */
const uint8_t *tame_learner_pixels(const struct learner_run *run, uint32_t row);

/* tame_learner_export.c */
enum status tame_learner_export(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f) MUST_CHECK;

/* tame_model.c: a stored expert that answers */
size_t tame_model_plan(const struct learner_part *part, const struct learner_trunk *trunk);
enum status tame_model_read(const struct learner_part *part,
                            const struct learner_trunk *trunk,
                            struct arena *arena,
                            struct learner_model **ret_model,
                            struct fault *f) MUST_CHECK;
uint32_t tame_model_labels(const struct learner_model *model, const char *const **ret_names);
uint32_t tame_model_lineage(const struct learner_model *model,
                            struct learner_source *ret_list,
                            uint32_t max);
enum learner_fate tame_model_erase(const struct learner_model *model,
                                   const struct learner_erasure *erasure);

/* tame_server.c: answers of several experts */
size_t tame_server_plan(struct learner_model *const *models,
                        uint32_t n_models,
                        const struct learner_trunk *trunk,
                        uint32_t n_max,
                        uint32_t threads);
enum status tame_server_new(struct learner_model *const *models,
                            uint32_t n_models,
                            const struct learner_trunk *trunk,
                            uint32_t n_max,
                            const struct learner_tools *tools,
                            struct learner_forward **ret_forward,
                            struct fault *f) MUST_CHECK;
void tame_server_run(struct learner_forward *forward,
                     const struct learner_stream *stream,
                     float *const *logits);

#endif
