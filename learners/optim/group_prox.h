/*
 * Proximal step of the group lasso (gslora.md 3.5, step 2):  x <- x max(0, 1 - threshold/|x|),
 * |x| the Euclidean norm of the whole group.  It is the exact minimiser of
 * |y - x|^2 / 2 + threshold |y|, so a group whose norm is at most the threshold becomes exactly
 * zero; a zero group stays zero, without a division.
 */
#ifndef LETHE_LEARNERS_GROUP_PROX_H
#define LETHE_LEARNERS_GROUP_PROX_H

#include <stddef.h>

/* Overwrites the group x (n floats); threshold = lr alpha' >= 0.  Returns the norm afterwards,
 * exactly 0 for a group set to zero. */
double group_prox(float *x, size_t n, double threshold);

#endif
