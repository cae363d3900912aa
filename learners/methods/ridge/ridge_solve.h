/*
 * Cholesky factor and solve in double for the router's systems, which are tens of times larger than
 * those of the probes: in panels, with the trailing part updated tile by tile by the threads of a
 * pool.  Plain loops in fixed order without fused multiply-add: the same bytes for any number of
 * threads and any instruction set.  About n^3/3 multiplications.
 */
#ifndef LETHE_LEARNERS_RIDGE_SOLVE_H
#define LETHE_LEARNERS_RIDGE_SOLVE_H

#include "learners/math/pool.h"

#include <stddef.h>

/* Upper triangle of A [n, n] = U'U in place (the rest is neither read nor written).  0, or -1 if a
 * pivot is not positive; A is then half overwritten. */
int ridge_solve_factor(double *A, size_t n, struct pool *pool);
/* X [m, n], one right side a row, <- (U'U)^-1 X. */
void ridge_solve_apply(const double *U, size_t n, double *X, size_t m, struct pool *pool);
/* tr(X G X') for symmetric G [n, n] of which the upper triangle is given; terms [m] is scratch. */
double ridge_solve_form(
    const double *G, size_t n, const double *X, size_t m, double *terms, struct pool *pool);

#endif
