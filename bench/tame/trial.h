/*
 * TAME's `parity` mode end to end, without task ids (tame.md 3.2): the detector on convolution
 * experts, the samples kept for selector and pruning, and the training of both afterwards.  A
 * sample is a picture, its label inside its task and its number, which only tells repeated
 * presentations apart.
 *
 * The selector's places are shared by the pairs (expert, label), which needs no task; an expert's
 * pruning samples are its own.  Both keep the samples with the largest keys, a key being drawn from
 * the sample's number; what is kept of a sample is its number, by which the caller finds the
 * picture again.  Owns its memory; one thread drives it.
 */
#ifndef LETHE_BENCH_TRIAL_H
#define LETHE_BENCH_TRIAL_H

#include "daemon/base/status.h"
#include "learners/math/pool.h"
#include "learners/methods/tame/tame_buffer.h"
#include "learners/methods/tame/tame_detector.h"
#include "learners/methods/tame/tame_fit.h"

#include <stddef.h>
#include <stdint.h>

#define TRIAL_BATCH          128
#define TRIAL_EXPERTS        64
#define TRIAL_BUFFER         5000 /* C_s */
#define TRIAL_PRUNE_BUFFER   6000 /* C_p */
#define TRIAL_PRUNE_EXPERT   0.98
#define TRIAL_PRUNE_SELECTOR 0.5

struct trial_config {
    uint64_t seed;
    uint32_t classes; /* labels of a task */
    uint32_t side;    /* of a picture: 28, or 32 with its edges */
    uint32_t window;
    uint64_t numbers; /* sample numbers are below this */
    uint32_t fit_epochs, selector_epochs;
    int one_stroke; /* experts are pruned as published, not gradually */
    uint32_t threads;
};

/* Samples in stream order; borrowed. */
struct trial_batch {
    uint32_t n;
    const uint8_t *const *pictures;
    const uint32_t *labels;
    const uint64_t *numbers;
};

struct trial;

enum status
trial_new(const struct trial_config *c, struct trial **ret_trial, struct fault *f) MUST_CHECK;
void trial_free(struct trial *t);

/* ------------------------------------------------------------------ the stream */

/*
 * One batch: detection, one step of the chosen expert, buffers.  RESOURCE_EXHAUSTED: the cap on
 * experts; NO_MEMORY.
 */
enum status trial_observe(struct trial *t,
                          const struct trial_batch *batch,
                          struct tame_verdict *ret_verdict,
                          struct fault *f) MUST_CHECK;

uint32_t trial_experts(const struct trial *t);
/* Floats of an expert, and of the selector (one output an expert). */
size_t trial_floats(const struct trial *t);
size_t trial_selector_floats(const struct trial *t);
const struct tame_buffer *trial_buffer(const struct trial *t);
const struct tame_buffer *trial_prune_buffer(const struct trial *t, uint32_t e);

/* ------------------------------------------------------------------ afterwards */

/*
 * Weights at a stage: of every expert and of the selector, before and after pruning.  NULL until
 * that stage is reached.  `set` takes what an earlier process computed (copied).
 */
enum trial_stage { TRIAL_DENSE, TRIAL_PRUNED };
const float *trial_weights(const struct trial *t, enum trial_stage s, uint32_t e);
const float *trial_selector(const struct trial *t, enum trial_stage s);
/* The stream as an earlier process left it: so many experts, weights to be set. */
void trial_adopt(struct trial *t, uint32_t experts);
enum status trial_set_weights(
    struct trial *t, enum trial_stage s, uint32_t e, const float *w, struct fault *f) MUST_CHECK;
enum status
trial_set_selector(struct trial *t, enum trial_stage s, const float *w, struct fault *f) MUST_CHECK;

/* A set to train on; borrowed. */
struct trial_samples {
    uint32_t n;
    const uint8_t *const *pictures;
    const uint32_t *targets; /* labels for an expert, experts for the selector */
};

/*
 * Prunes expert e and trains what is left (tame_fit.h: gradually, or tame_fit_pruned with
 * one_stroke).
 */
enum status trial_prune_expert(struct trial *t,
                               uint32_t e,
                               const struct trial_samples *samples,
                               struct fault *f) MUST_CHECK;
/*
 * Trains the selector from its start.  Its sigmoid outputs can saturate so that a class of a task
 * is never learnt: when less than TRIAL_SELECTOR_RECALL of an expert's own training samples are
 * given to it, the selector starts again from another draw, TRIAL_SELECTOR_DRAWS in all
 * (*ret_draws: how many it took; 1 is the published procedure).
 */
#define TRIAL_SELECTOR_DRAWS  3
#define TRIAL_SELECTOR_RECALL 0.75
enum status trial_fit_selector(struct trial *t,
                               const struct trial_samples *samples,
                               uint32_t *ret_draws,
                               struct fault *f) MUST_CHECK;
/* Prunes the selector and trains what is left. */
enum status trial_prune_selector(struct trial *t,
                                 const struct trial_samples *samples,
                                 struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ answers and speed */

/* Makes n <= TRIAL_BATCH pictures current for the two calls below. */
void trial_load(struct trial *t, uint32_t n, const uint8_t *const *pictures);
/* Overwrites logits [n, classes] of expert e, [n, experts] of the selector. */
void trial_expert_logits(struct trial *t, enum trial_stage s, uint32_t e, float *logits);
void trial_selector_logits(struct trial *t, enum trial_stage s, float *logits);
/* Seconds of a training step and of a forward pass, per picture, on this machine now. */
enum status
trial_speed(struct trial *t, double *ret_step, double *ret_forward, struct fault *f) MUST_CHECK;

#endif
