/*
 * L2 normalisation u = x / |x| of one vector, f32.  A zero vector stays zero and passes no
 * gradient.
 */
#ifndef LETHE_LEARNERS_L2NORM_H
#define LETHE_LEARNERS_L2NORM_H

#include <stddef.h>

/* 1/|x|, or 0 for a zero vector. */
float l2norm_inverse(const float *x, size_t n);
/* Overwrites u [n]; u may be x. */
void l2norm_forward(const float *x, size_t n, float *u);
/* Adds (du - u (u du)) / |x| to dx [n]. */
void l2norm_backward(const float *x, const float *du, size_t n, float *dx);

#endif
