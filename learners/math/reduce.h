/*
 * Sums in a fixed order: 16 partial sums added in a fixed tree, the same bits for every instruction
 * set.  Sums over whole weight sets are in double.
 */
#ifndef LETHE_LEARNERS_REDUCE_H
#define LETHE_LEARNERS_REDUCE_H

#include <stddef.h>

float reduce_dot(const float *x, const float *y, size_t n);
/* Sum of squares, in double: for norms of whole tensors. */
double reduce_squares(const float *x, size_t n);
/* out[c] += sum over r of x[r, c]; x is [rows, cols] with row stride ld. */
void reduce_columns_add(
    float *restrict out, const float *restrict x, size_t ld, size_t rows, size_t cols);

#endif
