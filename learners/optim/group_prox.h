/*
 * Proximal step of a group penalty (group lasso; Yuan and Lin 2006; Parikh and Boyd 2014, 6.5.1):
 * theta = theta max(0, 1 - t / |theta|).  Unlike a sub-gradient it gives exact zeros.
 */
#ifndef LETHE_LEARNERS_GROUP_PROX_H
#define LETHE_LEARNERS_GROUP_PROX_H

#include <stddef.h>

/*
 * Shrinks theta [n] by t >= 0 in Euclidean norm, direction kept; returns the new norm.  Exactly 0
 * comes back, and every element is exactly 0, when |theta| <= t; a zero vector stays zero.
 */
double group_prox(float *theta, size_t n, float t);

#endif
