/* ReLU, y = max(0, x); f32, borrowed. */
#ifndef LETHE_LEARNERS_RELU_H
#define LETHE_LEARNERS_RELU_H

#include <stddef.h>

/* Overwrites x [n] by y. */
void relu_forward(float *x, size_t n);
/* dy [n] becomes dx: 0 where y (as relu_forward left it) is 0. */
void relu_backward(const float *restrict y, float *restrict dy, size_t n);

#endif
