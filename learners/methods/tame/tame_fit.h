/*
 * Training of one convolution net on a fixed set of samples, epoch after epoch: TAME's selector
 * (target: the expert that took the sample), and an expert or a selector that is pruned (tame.md
 * 3.2, 4).  SGD with momentum, softmax cross-entropy (on sigmoid(logits) with the net's setting),
 * the rate times `factor` at each milestone, every epoch a new shuffle, the last batch of an epoch
 * short.  Pruning is by magnitude at the beginning of epochs (tame_prune.h), at one stroke or
 * gradually.  One optimiser step a call; position, weights and momentum are the whole state.
 */
#ifndef LETHE_LEARNERS_TAME_FIT_H
#define LETHE_LEARNERS_TAME_FIT_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/methods/tame/tame_conv_net.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_FIT_MILESTONES 2

/* Everything is borrowed and unchanged while the fit lasts. */
struct tame_fit_problem {
    struct tame_conv_net *net;
    const uint8_t *const *pictures; /* [n] */
    const uint32_t *targets;        /* [n], each below classes */
    uint32_t n, classes;
    uint32_t epochs, batch;
    struct sgd_options sgd;
    uint32_t milestones[TAME_FIT_MILESTONES]; /* epochs; 0: none */
    float factor;
    struct rng_root root; /* of the shuffles, stream "tame-fit" */
    double share;         /* of the weights that is pruned, 0: none, below 1 */
    uint32_t rising;      /* the epoch at whose beginning `share` is reached; 0: at one stroke */
    float *weights, *momentum;
};

struct tame_fit;

/* The selector of `parity`: rate 0.1, momentum 0.9, decay 5e-4, 200 epochs, batch 128. */
void tame_fit_selector(struct tame_fit_problem *p);
/*
 * Pruning as published: at one stroke, then decay 1e-4, 200 epochs, a tenth of the rate at epochs
 * 100 and 150, batch 128.
 */
void tame_fit_pruned(struct tame_fit_problem *p, double share, float lr);
/*
 * The same number of steps for an expert, rate 0.1, but the share rises during the first half of
 * them and the decay is 1e-3: at 98 % an expert keeps several points more (docs/benchmarks.md).
 */
void tame_fit_thinned(struct tame_fit_problem *p, double share);
/* As many epochs, with the milestones and the rise at the same shares of them. */
void tame_fit_shorten(struct tame_fit_problem *p, uint32_t epochs);

size_t tame_fit_plan(const struct tame_fit_problem *p);
/* INVALID_ARGUMENT naming the field, NO_MEMORY. */
enum status tame_fit_new(const struct tame_fit_problem *p,
                         struct arena *arena,
                         struct tame_fit **ret_fit,
                         struct fault *f) MUST_CHECK;
/* Optimiser steps of the whole fit. */
uint64_t tame_fit_steps(const struct tame_fit_problem *p);
/* One step; returns the mean loss of its batch before it.  Not to be called when done. */
double tame_fit_step(struct tame_fit *fit);
int tame_fit_done(const struct tame_fit *fit);
/* Epoch of the next step, from 0. */
uint32_t tame_fit_epoch(const struct tame_fit *fit);
/*
 * Goes on from the beginning of this epoch, with the weights and momentum that belong to it; what
 * is pruned follows from them.
 */
void tame_fit_resume(struct tame_fit *fit, uint32_t epoch);

#endif
