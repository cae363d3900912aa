/*
 * Softmax over rows, float32: p_j = exp(x_j - max x) / sum.  A row of p sums to 1 within 1e-6.
 */
#ifndef LETHE_LEARNERS_SOFTMAX_H
#define LETHE_LEARNERS_SOFTMAX_H

#include <stddef.h>

/* Overwrites every row of x [rows, cols] by its softmax; cols >= 1. */
void softmax_forward(float *x, size_t rows, size_t cols);
/*
 * Gradient through softmax: dx_j = p_j (dp_j - sum_k dp_k p_k), overwriting dp [rows, cols].
 * p is the result of softmax_forward.
 */
void softmax_backward(float *restrict dp, const float *restrict p, size_t rows, size_t cols);
/* ln of the sum of exp(x_j) over one row, stable. */
float softmax_log_sum(const float *x, size_t n);

#endif
