/*
 * GELU, exact form (Hendrycks and Gimpel 2016, arXiv 1606.08415): gelu(z) = z Phi(z) with Phi the
 * normal distribution function, not the tanh approximation.  |error| <= 2e-7 max(1, |z|).
 */
#ifndef LETHE_LEARNERS_GELU_H
#define LETHE_LEARNERS_GELU_H

#include <stddef.h>

/* a = gelu(z), n floats; a must not overlap z. */
void gelu_forward(const float *restrict z, float *restrict a, size_t n);
/*
 * Overwrites dz (holding da on entry) with da (Phi(z) + z phi(z)), and a with gelu(z) again (the
 * forward pass does not keep it).  n floats each; none may overlap.
 */
void gelu_backward(const float *restrict z, float *restrict dz, float *restrict a, size_t n);

#endif
