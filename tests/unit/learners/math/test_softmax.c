/* Softmax: against double, rows that sum to 1, large and equal logits, all lengths. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/softmax.h"

#include <math.h>
#include <string.h>

enum { MAX = 75 };

static void fill(float *x, size_t n, float scale)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = n}, "softmax", 0);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * rng_normal(&r);
}

void test_softmax_agrees_with_double_for_all_lengths(void **state)
{
    (void)state;
    float x[3 * MAX], p[3 * MAX];
    for (size_t n = 1; n <= MAX; n++) {
        fill(x, 3 * n, 3.0f);
        memcpy(p, x, 3 * n * sizeof *p);
        softmax_forward(p, 3, n);
        for (size_t r = 0; r < 3; r++) {
            double sum = 0, total = 0;
            for (size_t j = 0; j < n; j++)
                sum += exp((double)x[r * n + j]);
            for (size_t j = 0; j < n; j++) {
                assert_near(p[r * n + j], exp((double)x[r * n + j]) / sum, 2e-7);
                total += (double)p[r * n + j];
            }
            assert_near(total, 1.0, 1e-6);
            assert_near(softmax_log_sum(x + r * n, n), log(sum), 2e-6);
        }
    }
}

void test_softmax_of_large_logits(void **state)
{
    (void)state;
    float x[4] = {1e30f, 1e30f, -1e30f, 0};
    softmax_forward(x, 1, 4);
    assert_near(x[0], 0.5, 1e-7);
    assert_near(x[1], 0.5, 1e-7);
    assert_near(x[2], 0.0, 1e-37);
    assert_near(x[3], 0.0, 1e-37);
}

void test_softmax_shift_changes_nothing_much(void **state)
{
    (void)state;
    float x[20], y[20];
    fill(x, 20, 2.0f);
    for (size_t j = 0; j < 20; j++)
        y[j] = x[j] + 8.0f;
    softmax_forward(x, 1, 20);
    softmax_forward(y, 1, 20);
    for (size_t j = 0; j < 20; j++)
        assert_near(x[j], y[j], 1e-6);
}

void test_softmax_backward_is_orthogonal_to_ones(void **state)
{
    (void)state;
    float p[33], d[33];
    fill(p, 33, 1.0f);
    fill(d, 33, 2.0f);
    softmax_forward(p, 1, 33);
    softmax_backward(d, p, 1, 33);
    double sum = 0;
    for (size_t j = 0; j < 33; j++)
        sum += (double)d[j];
    assert_near(sum, 0.0, 1e-6);
}
