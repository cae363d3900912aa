/*
 * Numeric gradients: four-point central differences of a function of a block of floats, along a
 * unit direction that contains the computed gradient, so that the derivative is not lost in the
 * rounding of float32.
 */
#ifndef LETHE_TESTS_GRADIENT_PROBE_H
#define LETHE_TESTS_GRADIENT_PROBE_H

#include "tests/support/test.h"

#include "daemon/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline void *probe_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        abort();
    return p;
}

/* n normal floats of the given deviation, from a stream of that name. */
static inline float *probe_normal(size_t n, const char *stream, float deviation)
{
    float *x = probe_alloc(n, sizeof *x);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 11}, stream, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * rng_normal(&r);
    return x;
}

static inline double probe_dot(const float *x, const float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* Something with parameters: moves them from a stored origin and gives the value. */
struct probe {
    double (*value)(void *context);
    void *context;
    float *at;
    size_t n;
};

/* Derivative along d by four points, |d| = 1, step h. */
static inline double probe_derivative(const struct probe *p, const float *d, float h)
{
    const float steps[4] = {-2 * h, -h, h, 2 * h};
    const double factors[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    float *origin = probe_alloc(p->n, sizeof *origin);
    memcpy(origin, p->at, p->n * sizeof *origin);
    double sum = 0.0;
    for (int k = 0; k < 4; k++) {
        for (size_t i = 0; i < p->n; i++)
            p->at[i] = origin[i] + steps[k] * d[i];
        sum += factors[k] * p->value(p->context);
    }
    memcpy(p->at, origin, p->n * sizeof *origin);
    free(origin);
    return sum / (double)h;
}

/* Compares <gradient, d> with the difference quotient for d = gradient direction + noise. */
static inline void probe_check(const struct probe *p, const float *gradient, const char *name)
{
    const double norm = sqrt(probe_dot(gradient, gradient, p->n));
    assert_true(norm > 0.0);
    float *d = probe_normal(p->n, name, 0.5f / sqrtf((float)p->n));
    for (size_t i = 0; i < p->n; i++)
        d[i] += (float)((double)gradient[i] / norm);
    const double length = sqrt(probe_dot(d, d, p->n));
    for (size_t i = 0; i < p->n; i++)
        d[i] = (float)((double)d[i] / length);
    const double computed = probe_dot(gradient, d, p->n);
    const double measured = probe_derivative(p, d, 0.02f);
    free(d);
    if (fabs(measured - computed) > 1e-3 * fabs(computed))
        print_error("%s: computed %.8g, measured %.8g\n", name, computed, measured);
    assert_near(measured / computed, 1.0, 1e-3);
}

#endif
