/*
 * Linear maps of a few rows at a time, y = x W^T + b, f32, row-major: what BLAS does badly (its
 * kernels repack W for every call) and what needs a promise that BLAS does not give: every number
 * of y depends on its own row of x and its own row of W alone, to the bit, whatever the other rows
 * are, how many there are, and the instruction set.  A sum is 16 partial sums of fused
 * multiply-adds, added in a fixed tree (vector.h).
 */
#ifndef LETHE_LEARNERS_THIN_H
#define LETHE_LEARNERS_THIN_H

#include <stddef.h>

struct thin_dims {
    size_t rows, in, out;
    size_t ldx, ldw, ldy; /* row strides in floats */
};

/* Overwrites y [rows, out]; x [rows, in], w [out, in], b [out] or NULL.  No overlaps. */
void thin_forward(
    const struct thin_dims *d, const float *x, const float *w, const float *b, float *y);
/* y += x W^T. */
void thin_forward_add(const struct thin_dims *d, const float *x, const float *w, float *y);
/* thin_forward_add in plain C, the same bits; what machines without AVX-512 run. */
void thin_plain_add(const struct thin_dims *d, const float *x, const float *w, float *y);
/*
 * y [rows, out] += x [rows, in] M, M [in, out] (row stride ldw): fused multiply-adds in the order
 * of M's rows.  thin_plain_combine is the same in plain C, with the same bits.
 */
void thin_combine(const struct thin_dims *d, const float *x, const float *m, float *y);
void thin_plain_combine(const struct thin_dims *d, const float *x, const float *m, float *y);
/*
 * Overwrites every row of x [rows, cols] by its softmax.  The row stride ld is a multiple of
 * THIN_ALIGN; what is between cols and the next multiple of THIN_ALIGN becomes 0.
 */
void thin_softmax(float *x, size_t rows, size_t cols, size_t ld);
#define THIN_ALIGN 16
/* n, up to a multiple of THIN_ALIGN. */
size_t thin_padded(size_t n);

#endif
