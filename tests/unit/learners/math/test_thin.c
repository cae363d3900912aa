/* Thin products: right, the same bits in any company and in both forms of the code. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/thin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS 11
#define MAX_IN   70
#define MAX_OUT  37

static void noise(float *x, size_t n, const char *name)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 2}, name, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&r);
}

struct operands {
    float x[MAX_ROWS * MAX_IN], w[MAX_OUT * MAX_IN], b[MAX_OUT];
    float y[MAX_ROWS * MAX_OUT];
};

static struct operands *make(void)
{
    struct operands *o = calloc(1, sizeof *o);
    assert_non_null(o);
    noise(o->x, MAX_ROWS * MAX_IN, "x");
    noise(o->w, MAX_OUT * MAX_IN, "w");
    noise(o->b, MAX_OUT, "b");
    return o;
}

void test_thin_forward_is_the_product(void **state)
{
    (void)state;
    struct operands *o = make();
    for (size_t rows = 0; rows <= MAX_ROWS; rows++)
        for (size_t in = 1; in <= MAX_IN; in += 23)
            for (size_t out = 1; out <= MAX_OUT; out += 4) {
                const struct thin_dims d = {rows, in, out, MAX_IN, MAX_IN, MAX_OUT};
                thin_forward(&d, o->x, o->w, o->b, o->y);
                for (size_t r = 0; r < rows; r++)
                    for (size_t j = 0; j < out; j++) {
                        double sum = (double)o->b[j];
                        for (size_t k = 0; k < in; k++)
                            sum += (double)o->x[r * MAX_IN + k] * (double)o->w[j * MAX_IN + k];
                        assert_near(o->y[r * MAX_OUT + j], sum, 1e-5);
                    }
            }
    free(o);
}

void test_thin_forward_without_bias_and_added(void **state)
{
    (void)state;
    struct operands *o = make();
    const struct thin_dims d = {3, 20, 5, MAX_IN, MAX_IN, MAX_OUT};
    thin_forward(&d, o->x, o->w, NULL, o->y);
    const float once = o->y[MAX_OUT + 4];
    thin_forward_add(&d, o->x, o->w, o->y);
    assert_near(o->y[MAX_OUT + 4], 2 * once, 1e-6);
    assert_near(o->y[5], 0, 0); /* past the last column */
    free(o);
}

/* Each number depends on its row of x and its row of w alone. */
void test_thin_forward_bits_in_any_company(void **state)
{
    (void)state;
    struct operands *o = make();
    const struct thin_dims all = {MAX_ROWS, MAX_IN, MAX_OUT, MAX_IN, MAX_IN, MAX_OUT};
    thin_forward(&all, o->x, o->w, o->b, o->y);
    for (size_t r = 0; r < MAX_ROWS; r++)
        for (size_t n = 1; r + n <= MAX_ROWS; n++)
            for (size_t j = 0; j < MAX_OUT; j += 5) {
                float y[MAX_ROWS * MAX_OUT];
                const size_t out = MAX_OUT - j;
                const struct thin_dims d = {n, MAX_IN, out, MAX_IN, MAX_IN, MAX_OUT};
                thin_forward(&d, o->x + r * MAX_IN, o->w + j * MAX_IN, o->b + j, y);
                for (size_t i = 0; i < n; i++)
                    assert_memory_equal(y + i * MAX_OUT, o->y + (r + i) * MAX_OUT + j,
                                        out * sizeof *y);
            }
    free(o);
}

void test_thin_plain_code_gives_the_same_bits(void **state)
{
    (void)state;
    struct operands *o = make();
    float y[MAX_ROWS * MAX_OUT];
    for (size_t in = 1; in <= MAX_IN; in++) {
        const struct thin_dims d = {MAX_ROWS, in, MAX_OUT, MAX_IN, MAX_IN, MAX_OUT};
        memset(o->y, 0, sizeof o->y);
        memset(y, 0, sizeof y);
        thin_forward_add(&d, o->x, o->w, o->y);
        thin_plain_add(&d, o->x, o->w, y);
        assert_memory_equal(y, o->y, sizeof y);
    }
    free(o);
}

void test_thin_combine(void **state)
{
    (void)state;
    struct operands *o = make();
    float m[MAX_IN * 40], y[MAX_ROWS * 40], alone[40], plain[MAX_ROWS * 40];
    noise(m, MAX_IN * 40, "m");
    for (size_t out = 1; out <= 40; out++) {
        const struct thin_dims d = {MAX_ROWS, 50, out, MAX_IN, 40, 40};
        noise(y, MAX_ROWS * 40, "y");
        noise(plain, MAX_ROWS * 40, "y");
        thin_combine(&d, o->x, m, y);
        thin_plain_combine(&d, o->x, m, plain);
        assert_memory_equal(y, plain, sizeof y); /* and nothing beyond the columns */
        float before[MAX_ROWS * 40];
        noise(before, MAX_ROWS * 40, "y");
        for (size_t r = 0; r < MAX_ROWS; r++) {
            const struct thin_dims one = {1, 50, out, MAX_IN, 40, 40};
            memcpy(alone, before + r * 40, sizeof alone);
            thin_combine(&one, o->x + r * MAX_IN, m, alone);
            assert_memory_equal(alone, y + r * 40, out * sizeof *y);
            for (size_t j = 0; j < out; j++) {
                double sum = (double)before[r * 40 + j];
                for (size_t k = 0; k < 50; k++)
                    sum += (double)o->x[r * MAX_IN + k] * (double)m[k * 40 + j];
                assert_near(y[r * 40 + j], sum, 2e-5);
            }
        }
    }
    free(o);
}

void test_thin_softmax(void **state)
{
    (void)state;
    float x[3 * 48], before[3 * 48];
    for (size_t cols = 1; cols <= 40; cols++) {
        noise(x, 3 * 48, "softmax");
        x[48] = 200; /* far above the rest of its row */
        memcpy(before, x, sizeof x);
        thin_softmax(x, 3, cols, 48);
        for (size_t r = 0; r < 3; r++) {
            double sum = 0;
            for (size_t j = 0; j < cols; j++)
                sum += exp((double)before[r * 48 + j] - (r == 1 ? 200.0 : 0.0));
            for (size_t j = 0; j < cols; j++)
                assert_near(x[r * 48 + j],
                            exp((double)before[r * 48 + j] - (r == 1 ? 200.0 : 0.0)) / sum, 1e-6);
            for (size_t j = cols; j < thin_padded(cols); j++)
                assert_near(x[r * 48 + j], 0, 0);
            for (size_t j = thin_padded(cols); j < 48; j++)
                assert_near(x[r * 48 + j], before[r * 48 + j], 0);
        }
    }
}
