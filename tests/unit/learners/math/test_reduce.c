/* Sums of every length around the number of lanes, and loops over rows. */
#include "tests/support/test.h"

#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"
#include "learners/math/vector.h"

#include <math.h>

enum { MAX = 67 };

static void fill(float *x, float *y)
{
    for (size_t i = 0; i < MAX; i++) {
        x[i] = (float)((i * 37) % 19) - 9.0f;
        y[i] = (float)((i * 11) % 7) * 0.5f;
    }
}

void test_reduce_sums_of_all_lengths(void **state)
{
    (void)state;
    float x[MAX], y[MAX];
    fill(x, y);
    double sum = 0, dot = 0, squares = 0;
    for (size_t n = 0; n < MAX; n++) {
        /* small multiples of 1/2: exact in float32 in any order */
        assert_near(vector_sum(x, n), sum, 0);
        assert_near(reduce_dot(x, y, n), dot, 0);
        assert_near(reduce_squares(x, n), squares, 0);
        sum += (double)x[n];
        dot += (double)x[n] * (double)y[n];
        squares += (double)x[n] * (double)x[n];
    }
}

void test_reduce_squares_does_not_overflow_float(void **state)
{
    (void)state;
    const float x[3] = {3e30f, 4e30f, 0};
    assert_near(sqrt(reduce_squares(x, 3)) / 5e30, 1.0, 1e-6);
}

void test_reduce_columns_with_a_row_stride(void **state)
{
    (void)state;
    const float x[8] = {1, 2, 3, 99, 4, 5, 6, 99};
    float out[3] = {10, 20, 30};
    reduce_columns_add(out, x, 4, 2, 3);
    assert_near(out[0], 15, 0);
    assert_near(out[1], 27, 0);
    assert_near(out[2], 39, 0);
}

void test_elementwise_loops(void **state)
{
    (void)state;
    float x[MAX], y[MAX], z[MAX];
    fill(x, y);
    for (size_t i = 0; i < MAX; i++)
        z[i] = 1.0f;
    elementwise_add(z, x, MAX);
    elementwise_axpy(z, -2.0f, y, MAX);
    elementwise_scale(z, 0.5f, MAX);
    for (size_t i = 0; i < MAX; i++)
        assert_near(z[i], 0.5 * (1.0 + (double)x[i] - 2.0 * (double)y[i]), 0);
}

void test_elementwise_rows(void **state)
{
    (void)state;
    const float row[3] = {1, 2, 3}, x[6] = {10, 20, 30, 40, 50, 60};
    float y[6], gaps[8] = {0, 0, 0, 7, 0, 0, 0, 7};
    elementwise_add_row(y, x, row, 2, 3);
    assert_near(y[0], 11, 0);
    assert_near(y[5], 63, 0);
    elementwise_fill_rows(gaps, 4, row, 2, 3);
    const float want[8] = {1, 2, 3, 7, 1, 2, 3, 7};
    assert_memory_equal(gaps, want, sizeof want);
}
