/* Layer norm against double; rows without variance; the saved statistics give the same bits again.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/nn/layernorm.h"

#include <math.h>
#include <string.h>

enum { ROWS = 3, MAX = 70 };

struct data {
    float x[ROWS * MAX], w[MAX], b[MAX], y[ROWS * MAX], again[ROWS * MAX];
    float mean[ROWS], rstd[ROWS];
};

static void fill(struct data *k, size_t n, float shift)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = n}, "layernorm", 0);
    for (size_t i = 0; i < ROWS * n; i++)
        k->x[i] = shift + rng_normal(&r);
    for (size_t i = 0; i < n; i++) {
        k->w[i] = rng_normal(&r);
        k->b[i] = rng_normal(&r);
    }
}

static void check_row(const struct data *k, size_t r, size_t n, double eps, double tolerance)
{
    const float *x = k->x + r * n;
    double mean = 0, variance = 0;
    for (size_t j = 0; j < n; j++)
        mean += (double)x[j] / (double)n;
    for (size_t j = 0; j < n; j++)
        variance += ((double)x[j] - mean) * ((double)x[j] - mean) / (double)n;
    const double rstd = 1.0 / sqrt(variance + eps);
    assert_near(k->mean[r], mean, tolerance);
    assert_near((double)k->rstd[r] / rstd, 1.0, tolerance);
    for (size_t j = 0; j < n; j++)
        assert_near(k->y[r * n + j],
                    ((double)x[j] - mean) * rstd * (double)k->w[j] + (double)k->b[j], tolerance);
}

void test_layernorm_forward_agrees_with_double(void **state)
{
    (void)state;
    struct data k;
    for (size_t n = 2; n <= MAX; n++) {
        const struct layernorm_dims d = {ROWS, n, 1e-6f};
        fill(&k, n, 0.0f);
        layernorm_forward(&d, k.x, k.w, k.b, k.y, k.mean, k.rstd);
        for (size_t r = 0; r < ROWS; r++)
            check_row(&k, r, n, 1e-6, 4e-6);
        layernorm_apply(&d, k.x, k.w, k.b, k.mean, k.rstd, k.again);
        assert_memory_equal(k.again, k.y, ROWS * n * sizeof(float));
    }
}

void test_layernorm_survives_a_large_mean(void **state)
{
    (void)state;
    struct data k;
    fill(&k, 64, 1000.0f);
    layernorm_forward(&(struct layernorm_dims){ROWS, 64, 1e-6f}, k.x, k.w, k.b, k.y, k.mean,
                      k.rstd);
    /* float32 keeps 1000 + x to 6e-5: that is the error, not a variance gone negative */
    for (size_t r = 0; r < ROWS; r++)
        check_row(&k, r, 64, 1e-6, 4e-4);
}

void test_layernorm_of_a_constant_row_is_the_bias(void **state)
{
    (void)state;
    struct data k;
    fill(&k, 8, 0.0f);
    for (size_t i = 0; i < ROWS * 8; i++)
        k.x[i] = 2.5f;
    layernorm_forward(&(struct layernorm_dims){ROWS, 8, 1e-6f}, k.x, k.w, k.b, k.y, k.mean, k.rstd);
    for (size_t i = 0; i < ROWS * 8; i++)
        assert_near(k.y[i], k.b[i % 8], 0);
    assert_near(k.rstd[0], 1000.0, 1e-3);
}

void test_layernorm_backward_of_its_own_output_directions_is_zero(void **state)
{
    (void)state;
    /* y does not move when x is shifted or scaled (eps aside): dx is orthogonal to 1 and to x */
    struct data k;
    float dy[ROWS * MAX], dx[ROWS * MAX];
    const struct layernorm_dims d = {ROWS, 48, 1e-12f};
    fill(&k, 48, 0.0f);
    layernorm_forward(&d, k.x, k.w, k.b, k.y, k.mean, k.rstd);
    memcpy(dy, k.y, sizeof dy);
    memset(dx, 0, sizeof dx);
    layernorm_backward_input(&d, dy, k.x, k.w, k.mean, k.rstd, dx);
    for (size_t r = 0; r < ROWS; r++) {
        double ones = 0, along = 0;
        for (size_t j = 0; j < 48; j++) {
            ones += (double)dx[r * 48 + j];
            along += (double)dx[r * 48 + j] * (double)k.x[r * 48 + j];
        }
        assert_near(ones, 0, 2e-5);
        assert_near(along, 0, 2e-5);
    }
}
