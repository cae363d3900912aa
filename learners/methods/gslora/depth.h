/*
 * Depth term: makes the features of erased images distributed like those of retained ones.  Squared
 * sliced Wasserstein-2 distance over m random directions (Bonneel et al. 2015; Kolouri et al. 2019,
 * arXiv 1804.01947):
 *   a_k = sort(E_f theta_k), b_k = sort(E_r theta_k), ties by the lower index,
 *   loss = scale / (B m) sum_k sum_i (a_k,i - b_k,i)^2
 *   dloss/dE_f[j] = scale 2 / (B m) sum_k (a_k,rank(j) - b_k,rank(j)) theta_k
 * E_r is a constant.  Sums in double, fixed order.
 */
#ifndef LETHE_LEARNERS_DEPTH_H
#define LETHE_LEARNERS_DEPTH_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"

#include <stddef.h>
#include <stdint.h>

/* Directions and scratch for batches of up to n_max rows of width C. */
struct depth {
    uint32_t directions; /* m */
    uint32_t width;      /* C */
    uint32_t n_max;
    float *theta;       /* [m, C] */
    float *theta_t;     /* [C, m] */
    float *proj_f;      /* [n_max, m] */
    float *proj_r;      /* [n_max, m] */
    float *value[3];    /* [n_max] each: sorted forget, sorted retained, merge space */
    uint32_t *order[3]; /* [n_max] each */
    uint32_t *pick_f;   /* [n_max] rows that take part */
    uint32_t *pick_r;
    uint32_t n_picked; /* B */
};

void depth_plan(uint32_t directions, uint32_t width, uint32_t n_max, struct arena_plan *p);
/* False if the arena is exhausted. */
int depth_new(
    uint32_t directions, uint32_t width, uint32_t n_max, struct arena *arena, struct depth *ret_d);

/*
 * Draws unit directions and, if the two sets differ in size, which rows of the larger take part
 * (B = the smaller).  Stream (root, name, index); n_f and n_r are at most n_max.
 */
void depth_draw(struct depth *d,
                const struct rng_root *root,
                const char *name,
                uint64_t index,
                uint32_t n_f,
                uint32_t n_r);

/* Rows of C floats, `stride` floats from one to the next; borrowed. */
struct depth_rows {
    const float *x;
    size_t stride;
};

/* Loss of the picked rows.  Adds the gradient to dx_f (stride of `forget`; NULL: no gradient). */
double depth_loss(struct depth *d,
                  const struct depth_rows *forget,
                  const struct depth_rows *retain,
                  double scale,
                  float *dx_f);

/*
 * Stable ascending merge sort of values with their orders, in place; spare arrays of the same size.
 */
void depth_sort_pairs(
    uint32_t n, float *value, uint32_t *order, float *spare_value, uint32_t *spare_order);

/* Mean over the width of the variance of the picked retained rows; the scale of depth=layers. */
double depth_variance(const struct depth *d, const struct depth_rows *retain);

#endif
