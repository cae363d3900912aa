/* Cholesky of the router against a plain elimination, at sizes around its panels and tiles. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/pool.h"
#include "learners/methods/ridge/ridge_solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *need(size_t n)
{
    double *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* A symmetric positive definite matrix, B B' + n/10 I. */
static double *random_system(size_t n)
{
    double *b = need(n * n), *a = need(n * n);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = n}, "system", 0);
    for (size_t i = 0; i < n * n; i++)
        b[i] = (double)rng_normal(&r);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            for (size_t k = 0; k < n; k++)
                a[i * n + j] += b[i * n + k] * b[j * n + k];
            a[i * n + j] += i == j ? 0.1 * (double)n : 0.0;
        }
    free(b);
    return a;
}

static struct pool *open_pool(uint32_t threads, void **memory)
{
    struct pool *pool;
    *memory = malloc(pool_plan(threads));
    assert_non_null(*memory);
    assert_int_equal(pool_init(*memory, threads, &pool), STATUS_OK);
    return pool;
}

static void check_size(size_t n)
{
    enum { m = 3 };
    void *memory;
    struct pool *pool = open_pool(1, &memory);
    double *a = random_system(n), *u = need(n * n), *x = need(m * n), *b = need(m * n);
    memcpy(u, a, n * n * sizeof *u);
    for (size_t i = 0; i < n; i++) /* the lower triangle is not to be read */
        for (size_t j = 0; j < i; j++)
            u[i * n + j] = (double)NAN;
    for (size_t i = 0; i < m * n; i++)
        b[i] = sin((double)i);
    memcpy(x, b, m * n * sizeof *x);
    assert_int_equal(ridge_solve_factor(u, n, pool), 0);
    ridge_solve_apply(u, n, x, m, pool);
    for (size_t r = 0; r < m; r++)
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += a[i * n + j] * x[r * n + j];
            assert_near(sum, b[r * n + i], 1e-9);
        }
    double terms[m], want = 0;
    for (size_t r = 0; r < m; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                want += b[r * n + i] * a[i * n + j] * b[r * n + j];
    assert_near(ridge_solve_form(a, n, b, m, terms, pool) / want, 1.0, 1e-12);
    free(a);
    free(u);
    free(x);
    free(b);
    pool_fini(pool);
    free(memory);
}

void test_ridge_solve_solves_at_every_edge_of_its_panels(void **state)
{
    (void)state;
    static const size_t sizes[7] = {1, 2, 63, 64, 65, 128, 150};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_size(sizes[i]);
}

void test_ridge_solve_gives_the_same_bytes_for_any_thread_count(void **state)
{
    (void)state;
    enum { n = 200 };
    double *a = random_system(n), *first = need(n * n), *other = need(n * n);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        void *memory;
        struct pool *pool = open_pool(threads, &memory);
        double *to = threads == 1 ? first : other;
        memcpy(to, a, n * n * sizeof *to);
        assert_int_equal(ridge_solve_factor(to, n, pool), 0);
        assert_memory_equal(to, first, n * n * sizeof *to);
        pool_fini(pool);
        free(memory);
    }
    free(a);
    free(first);
    free(other);
}

void test_ridge_solve_refuses_what_is_not_positive_definite(void **state)
{
    (void)state;
    enum { n = 70 };
    void *memory;
    struct pool *pool = open_pool(1, &memory);
    double *a = random_system(n);
    a[68 * n + 68] = -1.0;
    assert_int_equal(ridge_solve_factor(a, n, pool), -1);
    free(a);
    a = random_system(n);
    a[0] = (double)NAN;
    assert_int_equal(ridge_solve_factor(a, n, pool), -1);
    free(a);
    pool_fini(pool);
    free(memory);
}
