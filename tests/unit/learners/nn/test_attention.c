/* Attention: against double, equal keys, and permutation equivariance. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/nn/attention.h"

#include <math.h>
#include <string.h>

enum { N = 11, H = 2, D = 5, C = H * D };

static const struct attention_dims dims = {N, N, H, D, 3 * C, C, 0.45f};

static void fill(float *x, size_t n)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 2}, "attention", 0);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&r);
}

static void run(const float *qkv, float *p, float *o)
{
    attention_forward(&dims, qkv, qkv + C, qkv + 2 * C, p, o);
}

void test_attention_agrees_with_double(void **state)
{
    (void)state;
    float qkv[N * 3 * C], p[H * N * N], o[N * C];
    fill(qkv, N * 3 * C);
    run(qkv, p, o);
    for (size_t h = 0; h < H; h++)
        for (size_t t = 0; t < N; t++) {
            double e[N], sum = 0;
            for (size_t s = 0; s < N; s++) {
                double dot = 0;
                for (size_t i = h * D; i < (h + 1) * D; i++)
                    dot += (double)qkv[t * 3 * C + i] * (double)qkv[s * 3 * C + C + i];
                e[s] = exp(0.45 * dot);
                sum += e[s];
            }
            for (size_t s = 0; s < N; s++)
                assert_near(p[(h * N + t) * N + s], e[s] / sum, 1e-6);
            for (size_t i = h * D; i < (h + 1) * D; i++) {
                double want = 0;
                for (size_t s = 0; s < N; s++)
                    want += e[s] / sum * (double)qkv[s * 3 * C + 2 * C + i];
                assert_near(o[t * C + i], want, 2e-6);
            }
        }
}

void test_attention_is_permutation_equivariant(void **state)
{
    (void)state;
    float qkv[N * 3 * C], moved[N * 3 * C], p[H * N * N], o[N * C], o_moved[N * C];
    fill(qkv, N * 3 * C);
    for (size_t t = 0; t < N; t++)
        memcpy(moved + t * 3 * C, qkv + (t * 4 + 3) % N * 3 * C, 3 * C * sizeof(float));
    run(qkv, p, o);
    run(moved, p, o_moved);
    for (size_t t = 0; t < N; t++)
        for (size_t i = 0; i < C; i++)
            assert_near(o_moved[t * C + i], o[(t * 4 + 3) % N * C + i], 2e-6);
}

void test_attention_to_equal_keys_is_the_mean(void **state)
{
    (void)state;
    float qkv[N * 3 * C], p[H * N * N], o[N * C];
    fill(qkv, N * 3 * C);
    for (size_t t = 1; t < N; t++)
        memcpy(qkv + t * 3 * C + C, qkv + C, C * sizeof(float));
    run(qkv, p, o);
    for (size_t i = 0; i < C; i++) {
        double mean = 0;
        for (size_t t = 0; t < N; t++)
            mean += (double)qkv[t * 3 * C + 2 * C + i] / N;
        assert_near(o[3 * C + i], mean, 1e-6);
    }
}

void test_attention_of_one_query_is_that_row_of_all(void **state)
{
    (void)state;
    float qkv[N * 3 * C], p[H * N * N], o[N * C], p1[H * N], o1[C];
    fill(qkv, N * 3 * C);
    run(qkv, p, o);
    struct attention_dims one = dims;
    one.n_q = 1;
    assert_int_equal(attention_probabilities(&one), H * N);
    attention_forward(&one, qkv, qkv + C, qkv + 2 * C, p1, o1);
    for (size_t i = 0; i < C; i++)
        assert_near(o1[i], o[i], 1e-6);
}
