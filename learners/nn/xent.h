/*
 * Softmax cross-entropy over K classes, with label smoothing and the CosFace margin:
 *   z^m = z, less `margin` at the true class;  t = (1 - smoothing) onehot_y + smoothing / K;
 *   loss_i = - sum_j t_j ln softmax(z^m)_j;    dz_ij = weight_i (softmax(z^m)_j - t_j).
 * All f32, row-major, borrowed, none may overlap.  No scratch.  Log-sum in double.
 */
#ifndef LETHE_LEARNERS_XENT_H
#define LETHE_LEARNERS_XENT_H

#include <stddef.h>
#include <stdint.h>

struct xent_dims {
    size_t n, classes;
    float smoothing; /* 0: none */
    float margin;    /* kappa m of a cosine head, 0: none */
};

/* Overwrites losses [n]; z [n, K], labels [n] below K. */
void xent_forward(const struct xent_dims *d, const float *z, const uint32_t *labels, float *losses);
/* Adds weights[i] times the gradient of loss i to dz [n, K] (weights carry 1/n, hinges and so on).
 */
void xent_backward(const struct xent_dims *d,
                   const float *z,
                   const uint32_t *labels,
                   const float *weights,
                   float *dz);

/* The same against target distributions [n, K] (rows sum to 1); smoothing and margin unused. */
void xent_forward_soft(const struct xent_dims *d,
                       const float *z,
                       const float *targets,
                       float *losses);
void xent_backward_soft(const struct xent_dims *d,
                        const float *z,
                        const float *targets,
                        const float *weights,
                        float *dz);

#endif
