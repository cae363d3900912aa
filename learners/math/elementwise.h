/*
 * Loops over vectors and over the rows of matrices, float32.  No operand may overlap another unless
 * said.  Bits do not depend on the instruction set.
 */
#ifndef LETHE_LEARNERS_ELEMENTWISE_H
#define LETHE_LEARNERS_ELEMENTWISE_H

#include <stddef.h>

/* y += x, n floats. */
void elementwise_add(float *restrict y, const float *restrict x, size_t n);
/* y += a x, n floats. */
void elementwise_axpy(float *restrict y, float a, const float *restrict x, size_t n);
/* x *= a, n floats. */
void elementwise_scale(float *x, float a, size_t n);
/* Every row of y [rows, cols] (row stride ld) becomes `row`. */
void elementwise_fill_rows(
    float *restrict y, size_t ld, const float *restrict row, size_t rows, size_t cols);
/* y = x + row for every row; both [rows, cols] without gaps. */
void elementwise_add_row(float *restrict y,
                         const float *restrict x,
                         const float *restrict row,
                         size_t rows,
                         size_t cols);

#endif
