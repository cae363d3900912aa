/*
 * The logistic function, s = 1 / (1 + e^-z).  TAME's experts end with it and take the softmax
 * cross-entropy on s (xent.h), which bounds the loss (tame.md 3.1).  f32, borrowed, no scratch.
 */
#ifndef LETHE_LEARNERS_SIGMOID_H
#define LETHE_LEARNERS_SIGMOID_H

#include <stddef.h>

/* Overwrites z [n] by s. */
void sigmoid_forward(float *z, size_t n);
/* ds [n] becomes dz = ds s (1 - s); s as sigmoid_forward left it. */
void sigmoid_backward(const float *restrict s, float *restrict ds, size_t n);

#endif
