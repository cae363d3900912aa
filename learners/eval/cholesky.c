#include "learners/eval/cholesky.h"

#include <math.h>

/* y -= a * x */
static void subtract_scaled(double *y, double a, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= a * x[i];
}

static void divide(double *y, double a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] /= a;
}

int cholesky_factor(double *A, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double *row = A + k * n;
        if (!(row[k] > 0.0))
            return -1;
        row[k] = sqrt(row[k]);
        divide(row + k + 1, row[k], n - k - 1);
        for (size_t i = k + 1; i < n; i++)
            subtract_scaled(A + i * n + i, row[i], row + i, n - i);
    }
    return 0;
}

void cholesky_solve(const double *U, size_t n, double *B, size_t m)
{
    for (size_t k = 0; k < n; k++) {
        divide(B + k * m, U[k * n + k], m);
        for (size_t i = k + 1; i < n; i++)
            subtract_scaled(B + i * m, U[k * n + i], B + k * m, m);
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t j = k + 1; j < n; j++)
            subtract_scaled(B + k * m, U[k * n + j], B + j * m, m);
        divide(B + k * m, U[k * n + k], m);
    }
}
