/* The three products against loops in double, with row strides, alpha and beta. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M = 23, N = 19, K = 37, LD = 41 };

static float a[K * LD + M * LD], b[K * LD + N * LD], c[M * LD], before[M * LD];

static void fill(float *x, size_t n, const char *stream)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 5}, stream, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&r);
}

/* ta, tb: 1 when the operand is stored transposed. */
static void check_product(int ta, int tb, float alpha, float beta)
{
    const struct gemm_dims d = {M, N, K, LD, LD, LD};
    fill(a, sizeof a / sizeof *a, "a");
    fill(b, sizeof b / sizeof *b, "b");
    fill(c, sizeof c / sizeof *c, "c");
    memcpy(before, c, sizeof c);
    if (ta)
        gemm_tn(&d, alpha, a, b, beta, c);
    else if (tb)
        gemm_nt(&d, alpha, a, b, beta, c);
    else
        gemm_nn(&d, alpha, a, b, beta, c);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < LD; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < K; k++)
                sum += (double)a[ta ? k * LD + i : i * LD + k] *
                       (double)(j < N ? b[tb ? j * LD + k : k * LD + j] : 0.0f);
            const double old = (double)before[i * LD + j];
            const double want =
                j < N ? (double)alpha * sum + (beta > 0 ? (double)beta * old : 0.0) : old;
            assert_near(c[i * LD + j], want, 2e-5);
        }
}

void test_gemm_products(void **state)
{
    (void)state;
    assert_int_equal(gemm_setup(NULL), STATUS_OK);
    const float scales[3][2] = {{1, 0}, {1, 1}, {0.5f, 0.25f}};
    for (size_t i = 0; i < 3; i++) {
        check_product(0, 0, scales[i][0], scales[i][1]);
        check_product(0, 1, scales[i][0], scales[i][1]);
        check_product(1, 0, scales[i][0], scales[i][1]);
    }
}

void test_gemm_beta_zero_ignores_what_was_there(void **state)
{
    (void)state;
    const float x[2] = {1, 2}, y[2] = {3, 4};
    float z[1] = {NAN};
    gemm_nt(&(struct gemm_dims){1, 1, 2, 2, 2, 1}, 1.0f, x, y, 0.0f, z);
    assert_near(z[0], 11, 0);
}

void test_gemm_empty_products_touch_nothing(void **state)
{
    (void)state;
    float z[1] = {7};
    gemm_nn(&(struct gemm_dims){0, 1, 1, 1, 1, 1}, 1.0f, a, b, 0.0f, z);
    gemm_nn(&(struct gemm_dims){1, 0, 1, 1, 1, 1}, 1.0f, a, b, 0.0f, z);
    assert_near(z[0], 7, 0);
}

void test_gemm_kernel_has_a_name(void **state)
{
    (void)state;
    assert_true(strlen(gemm_kernel_name()) > 0);
}
