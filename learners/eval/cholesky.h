/*
 * Cholesky factor and solve in double, for the small symmetric systems of the ridge probe.
 * Row-major; only the upper triangle is read and written.  Plain loops that walk along rows, in
 * fixed order: the same bytes with any thread count.
 */
#ifndef LETHE_LEARNERS_CHOLESKY_H
#define LETHE_LEARNERS_CHOLESKY_H

#include <stddef.h>
#include <stdint.h>

/* A [n,n] = U'U in place.  0, or -1 if a pivot is not positive (A is then half overwritten). */
int cholesky_factor(double *A, size_t n);
/* B [n,m] <- (U'U)^-1 B. */
void cholesky_solve(const double *U, size_t n, double *B, size_t m);

#endif
