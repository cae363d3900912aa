/* The proximal group step: shrinks the norm by the threshold, keeps the direction, exact zeros. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/reduce.h"
#include "learners/optim/group_prox.h"

#include <math.h>
#include <string.h>

enum { N = 100 };

static void fill(float *x)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 4}, "prox", 0);
    for (size_t i = 0; i < N; i++)
        x[i] = rng_normal(&r);
}

void test_group_prox_shrinks_the_norm_and_keeps_the_direction(void **state)
{
    (void)state;
    float x[N], y[N];
    fill(x);
    memcpy(y, x, sizeof y);
    const double norm = sqrt(reduce_squares(x, N));
    const double after = group_prox(y, N, 2.5);
    assert_near(after, norm - 2.5, 1e-5);
    assert_near(sqrt(reduce_squares(y, N)), norm - 2.5, 1e-5);
    for (size_t i = 0; i < N; i++)
        assert_near(y[i], (double)x[i] * (norm - 2.5) / norm, 1e-6);
}

void test_group_prox_zeroes_exactly_at_and_below_the_threshold(void **state)
{
    (void)state;
    float x[N];
    for (int k = 0; k < 2; k++) {
        fill(x);
        const double norm = sqrt(reduce_squares(x, N));
        assert_true(group_prox(x, N, k ? norm : norm * 1.01) <= 0.0);
        for (size_t i = 0; i < N; i++)
            assert_near(x[i], 0, 0);
    }
}

void test_group_prox_of_zero_and_with_zero_threshold(void **state)
{
    (void)state;
    float x[N], y[N] = {0};
    assert_true(group_prox(y, N, 0.0) <= 0.0);
    assert_true(group_prox(y, N, 1.0) <= 0.0);
    assert_near(reduce_squares(y, N), 0, 0);
    fill(x);
    memcpy(y, x, sizeof y);
    group_prox(x, N, 0.0);
    assert_memory_equal(x, y, sizeof x);
}

void test_group_prox_minimises_its_objective(void **state)
{
    (void)state;
    /* 1/2 |y - x|^2 + t |y| is no smaller at neighbours of the result */
    float x[N], y[N];
    fill(x);
    memcpy(y, x, sizeof y);
    group_prox(y, N, 1.5);
    double best = 0;
    for (int k = 0; k < 5; k++) {
        float z[N], d[N];
        for (size_t i = 0; i < N; i++) {
            z[i] = y[i] * (1.0f + (float)k * 0.01f * (k % 2 ? 1.0f : -1.0f));
            d[i] = z[i] - x[i];
        }
        const double value = 0.5 * reduce_squares(d, N) + 1.5 * sqrt(reduce_squares(z, N));
        if (k == 0)
            best = value;
        else
            assert_true(value > best);
    }
}
