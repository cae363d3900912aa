/*
 * Kullback-Leibler divergence between a fixed distribution and the softmax of a vector:
 *   q = softmax(x),  loss_i = sum_k p_ik (ln p_ik - ln q_ik),  dx_ik = weight_i (q_ik - p_ik).
 * For the prototype terms of GS-LoRA++ p = softmax(mu / T) and x = e / T: divide the weights by T
 * to get the gradient of e.  All f32, row-major, borrowed, none may overlap.  No scratch.
 * Losses are summed in double and are never below 0 by more than 1e-6; p_ik = 0 counts 0.
 */
#ifndef LETHE_LEARNERS_KL_H
#define LETHE_LEARNERS_KL_H

#include <stddef.h>

struct kl_dims {
    size_t n, width;
};

/* in: p [n, width] rows summing to 1, x [n, width].  Overwrites losses [n]. */
void kl_forward(const struct kl_dims *d, const float *p, const float *x, float *losses);
/* Adds to dx [n, width]. */
void kl_backward(
    const struct kl_dims *d, const float *p, const float *x, const float *weights, float *dx);

#endif
