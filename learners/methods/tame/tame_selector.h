/*
 * TAME's own selector (tame.md, section 5): which expert answers, from the frozen features of an
 * input.  A linear map on x/|x| with bias, E outputs, trained from zero by SGD with momentum on
 * softmax cross-entropy, samples weighted so that every expert counts the same.  Zero start, fixed
 * order, no draws: the result is a function of the samples alone.
 */
#ifndef LETHE_LEARNERS_TAME_SELECTOR_H
#define LETHE_LEARNERS_TAME_SELECTOR_H

#include "daemon/base/arena.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/methods/tame/tame_options.h"

#include <stddef.h>
#include <stdint.h>

struct tame_selector {
    int ready;
    uint32_t n_experts; /* E when it was trained */
    uint32_t width;     /* of the features */
    uint32_t *ids;      /* [experts_max] expert behind each output */
    float *w;           /* linear: [E, width] weights, then [E] biases */
    float *momentum, *gradient;
    struct tame_weights net; /* net: the kind's own network with E outputs */
    float *x;                /* [capacity, width] samples of a fit */
    uint32_t *order;         /* [capacity] entries in key order */
    uint32_t *targets;       /* [capacity] */
    float *logits, *dlogits; /* [batch, experts_max] */
    float *weights;          /* [batch] of the samples */
};

void tame_selector_plan(const struct tame_options *o,
                        const struct tame_shape *shape,
                        struct arena_plan *p);
/* False if the arena is exhausted. */
int tame_selector_new(const struct tame_options *o,
                      const struct tame_shape *shape,
                      struct arena *arena,
                      struct tame_selector *ret_selector);
/*
 * Fits the linear map to n samples x [n, width], normalised by the caller, targets [n] below
 * n_experts, in the order given.
 */
void tame_selector_fit(struct tame_selector *s, const struct tame_options *o, uint32_t n);
/* Forgets what was fitted and what it was fitted to. */
void tame_selector_wipe(struct tame_selector *s,
                        const struct tame_options *o,
                        const struct tame_shape *shape);
/* Overwrites z [E] for one feature vector; x is normalised in place. */
void tame_selector_logits(const struct tame_selector *s, float *x, float *z);

#endif
