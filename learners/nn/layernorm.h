/*
 * Layer normalisation over the last axis: y = (x - mean) rstd w + b, rstd = 1/sqrt(var + eps).
 * Ba, Kiros, Hinton 2016 (arXiv 1607.06450), eq. 4; deviation: eps inside the root, as the ViT
 * weights expect.  All f32, row-major without gaps, borrowed, none may overlap.  No scratch.
 * Numerics: 16 partial sums per row, variance from the centred values; the same bits for any
 * thread count and instruction set.
 */
#ifndef LETHE_LEARNERS_LAYERNORM_H
#define LETHE_LEARNERS_LAYERNORM_H

#include <stddef.h>

struct layernorm_dims {
    size_t rows, cols;
    float eps;
};

/* in: x [rows, cols], w, b [cols].  Overwrites y [rows, cols], mean [rows], rstd [rows]. */
void layernorm_forward(const struct layernorm_dims *d,
                       const float *x,
                       const float *w,
                       const float *b,
                       float *y,
                       float *mean,
                       float *rstd);

/* y again, from the saved mean and rstd: the same bits as layernorm_forward gave. */
void layernorm_apply(const struct layernorm_dims *d,
                     const float *x,
                     const float *w,
                     const float *b,
                     const float *mean,
                     const float *rstd,
                     float *y);

/*
 * in:   dy [rows, cols], x, mean and rstd as saved by layernorm_forward, w
 * adds: dx [rows, cols]
 */
void layernorm_backward_input(const struct layernorm_dims *d,
                              const float *dy,
                              const float *x,
                              const float *w,
                              const float *mean,
                              const float *rstd,
                              float *dx);

/* Adds sum over rows of dy * xhat to dw [cols] and of dy to db [cols]. */
void layernorm_backward_weights(const struct layernorm_dims *d,
                                const float *dy,
                                const float *x,
                                const float *mean,
                                const float *rstd,
                                float *dw,
                                float *db);

#endif
