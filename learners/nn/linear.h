/*
 * Linear map y = x W^T + b, W [out, in].  Rows of x and y may have gaps (row strides ldx, ldy in
 * floats).  No scratch is needed.  All pointers borrowed, none may overlap.
 */
#ifndef LETHE_LEARNERS_LINEAR_H
#define LETHE_LEARNERS_LINEAR_H

#include <stddef.h>

struct linear_dims {
    size_t rows, in, out;
    size_t ldx, ldy;
};

/* Overwrites y [rows, out]; b [out] may be NULL. */
void linear_forward(
    const struct linear_dims *d, const float *x, const float *w, const float *b, float *y);
/* y += x W^T; y [rows, out] holds the residual and the bias already. */
void linear_forward_add(const struct linear_dims *d, const float *x, const float *w, float *y);
/* Overwrites dx [rows, in] (row stride ldx) with dy W. */
void linear_backward_input(const struct linear_dims *d, const float *dy, const float *w, float *dx);
/* Adds dy^T x to dw [out, in] and the column sums of dy to db [out] (NULL: no bias). */
void linear_backward_weights(
    const struct linear_dims *d, const float *dy, const float *x, float *dw, float *db);

#endif
