/* State of a training run; shared by multilane_run.c and multilane_step.c. */
#ifndef LETHE_LEARNERS_MULTILANE_INTERNAL_H
#define LETHE_LEARNERS_MULTILANE_INTERNAL_H

#include "learners/methods/multilane/multilane_run.h"
#include "learners/methods/multilane/selector_chain.h"

#define MULTILANE_MAGIC 0x4d4c4e52u
#define MULTILANE_SHARD 8 /* images that go through a pathway together */
#define MULTILANE_LANES 8 /* gradient accumulators */

/* Gradient of some of the images of a step: shard s adds to accumulator s mod MULTILANE_LANES. */
struct multilane_sum {
    float *block; /* [accumulated floats]: shat [L, S, C], prompts, head rows, biases */
    struct pathway_gradient g;
};

struct multilane_run {
    uint32_t magic;
    const struct multilane_problem *problem;
    struct lane_options options;
    struct rng_root root;
    struct pool *pool;
    size_t floats;     /* of the lane */
    size_t sum_floats; /* of an accumulator */
    uint32_t chunk;    /* images of a fetch, a multiple of the shard */
    struct feature_cache *cache;
    struct selector_chain *chain;
    struct pathway **pathways; /* [threads] */
    struct multilane_sum sums[MULTILANE_LANES];
    struct lane_parameters p, dp; /* over theta and grad */
    float *theta, *grad, *m, *v, *best;
    float *shat;
    struct pathway_lane view; /* of theta and shat */
    uint32_t *order;          /* [n_train] of this epoch */
    struct lane_class *classes;
    uint64_t *keys;
    uint32_t n_keys;
    /* of the chunk at hand */
    struct pathway_features *features; /* [L, chunk] */
    float *logits;                     /* [chunk, n] */
    double *losses;                    /* [chunk] */
    /* per thread, of the shard at hand */
    struct pathway_features *shard_features; /* [threads, L, MULTILANE_SHARD] */
    float *dz;                               /* [threads, MULTILANE_SHARD, n] */
    /* where the run stands */
    uint32_t epoch, at, step, steps;
    struct multilane_figures last, best_figures;
    int has_best;
};

/* Loss over the batch list [n], divided; gradient of all parameters in run->grad. */
double multilane_gradient(struct multilane_run *run, const uint32_t *list, uint32_t n);
/*
 * For a loss of somebody else's, on any list of images: logits [n, classes] and embeddings [n, C]
 * with the parameters as they are; then, with the same parameters, run->grad from the gradients of
 * both.
 */
void multilane_forward(
    struct multilane_run *run, const uint32_t *list, uint32_t n, float *logits, float *embeddings);
void multilane_backward(struct multilane_run *run,
                        const uint32_t *list,
                        uint32_t n,
                        const float *dlogits,
                        const float *dembeddings);
/* Accuracy and mean loss over the list, with the parameters as they are. */
void multilane_measure(struct multilane_run *run,
                       const uint32_t *list,
                       uint32_t n,
                       struct multilane_figures *ret_figures);

#endif
