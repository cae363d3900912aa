/*
 * Predictions: the predict pool's task and its scratch memory.  Each pool thread owns one workspace
 * and computes with one BLAS thread; the model it runs is an immutable served version, so nothing
 * here waits for training, for a commit or for a swap.
 *
 * A call names a scope (who may answer) and a decision: `routed`, the default, believes the router;
 * `raw` is the published rule of the largest logit (learners/answer/answer.h).  Served answers are
 * probabilities over the live labels of the scope: erased labels are masked and the rest
 * renormalised.  Raw logits, when asked for, are unmasked.
 *
 * A thread's workspace is laid out for the version and scope it answered last and grows when a
 * larger one comes: in the steady state a prediction allocates nothing.
 */
#ifndef LETHE_JOBS_PREDICT_H
#define LETHE_JOBS_PREDICT_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/core_stats.h"
#include "daemon/jobs/served.h"
#include "daemon/serve/call.h"

#include <stdint.h>

struct predictor;

enum status predictor_new(const struct base_model *base,
                          uint32_t n_threads,
                          uint32_t batch_max,
                          struct predictor **ret_predictor,
                          struct fault *f) MUST_CHECK;
/* After the pool has ended. NULL allowed. */
void predictor_free(struct predictor *p);
/* Images answered so far; any thread. */
uint64_t predictor_count(const struct predictor *p);
/* Batches computed so far: moves on within a long call; any thread. */
uint64_t predictor_batches(const struct predictor *p);
/* A call was answered, so long after it arrived; any thread. */
void predictor_note(struct predictor *p, double seconds);
/* The figures about predictions; any thread. */
void predictor_stats(const struct predictor *p, struct core_stats *ret_stats);

/*
 * Checks a predict message against the model: size, channels, number and bytes of the frames, NaN
 * and infinity in float pixels, decision.  Errors name the field.
 */
struct predict_frames {
    uint32_t n;
    const uint8_t *const *at;
    const size_t *size;
};
enum status predict_check(const struct base_model *base,
                          const struct wire_predict *m,
                          const struct predict_frames *frames,
                          struct fault *f) MUST_CHECK;

/* What a checked message asks of a version. */
struct predict_choice {
    const uint8_t *wanted; /* [owners of the version] */
    enum answer_decision decision;
    uint32_t n_columns;
    const uint32_t *columns; /* [n_columns] numbers in the answer's label table */
    uint32_t top;            /* labels an image at most */
    int present;             /* as many as are present, instead of `top` of them */
};
/*
 * Lists in `arena`.  NOT_FOUND, INVALID_ARGUMENT: the scope; FAILED_PRECONDITION: everything in the
 * scope is forgotten; RESOURCE_EXHAUSTED: the arena is full.
 */
enum status predict_choose(const struct served *s,
                           const struct wire_predict *m,
                           struct arena *arena,
                           struct predict_choice *ret_choice,
                           struct fault *f) MUST_CHECK;

/*
 * Answers already checked images on thread `thread`: items [n], lists in `arena`; texts borrow from
 * the version.  Labels come most probable first, equal ones in the order of the label table; with
 * `present` those that are present in the image, or the best one.  INVALID_ARGUMENT: the pixels
 * overflow the model; NO_MEMORY; RESOURCE_EXHAUSTED: the arena is full.
 */
enum status predict_run(struct predictor *p,
                        uint32_t thread,
                        const struct served *s,
                        const struct predict_choice *choice,
                        const struct wire_predict *m,
                        const struct predict_frames *frames,
                        struct arena *arena,
                        struct wire_prediction *items,
                        struct fault *f) MUST_CHECK;

#endif
