/*
 * Predictions: the predict pool's task and its scratch memory.  Each pool thread owns one batch
 * workspace and computes with one BLAS thread; the model it runs is an immutable served version, so
 * nothing here waits for training, for a commit or for a swap.
 *
 * Served answers are probabilities over the live labels: erased labels are masked and the rest
 * renormalised.  Raw logits, when asked for, are unmasked.
 */
#ifndef LETHE_JOBS_PREDICT_H
#define LETHE_JOBS_PREDICT_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
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

/*
 * Checks a predict message against the model: size, channels, number and bytes of the frames, NaN
 * and infinity in float pixels, scope and decision.  Errors name the field.
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

/* Logits [n, K] of already checked images on thread `thread`. */
enum status predict_logits(struct predictor *p,
                           uint32_t thread,
                           const struct served *s,
                           const struct wire_predict *m,
                           const struct predict_frames *frames,
                           float *logits,
                           struct fault *f) MUST_CHECK;
/*
 * Live labels of one image, most probable first, equal ones in label order: at most `top` rows of
 * items (room for min(top, live)); returns their number.  scratch: [K].
 */
struct predict_score {
    double p;
    uint32_t label;
};
uint32_t predict_rank(const struct served *s,
                      const float *logits,
                      uint32_t top,
                      struct predict_score *scratch,
                      struct wire_scored_label *items);

#endif
