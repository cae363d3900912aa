/*
 * Gradient clipping by global norm (Pascanu et al. 2013, arXiv 1211.5063).
 */
#ifndef LETHE_LEARNERS_CLIP_H
#define LETHE_LEARNERS_CLIP_H

#include <stddef.h>

/* Scales gradient [n] so that its Euclidean norm is at most `max`; returns the norm before. The sum
 * of squares is in double.  A norm that is not finite leaves the gradient as it is. */
double clip_norm(float *gradient, size_t n, double max);

#endif
