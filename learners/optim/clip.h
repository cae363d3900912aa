/* Gradient clipping by the global norm (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1). */
#ifndef LETHE_LEARNERS_CLIP_H
#define LETHE_LEARNERS_CLIP_H

#include <stddef.h>

/*
 * Scales g (n floats) so that its norm is at most `limit` (0: no limit).  Returns the norm before;
 * a NaN or infinite norm is returned and leaves g as it is, for the caller to refuse the step.
 */
double clip_norm(float *g, size_t n, float limit);

#endif
