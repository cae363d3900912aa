/* GELU against erf in double, on a grid, in the tails and at its known values. */
#include "tests/support/test.h"

#include "learners/nn/gelu.h"

#include <math.h>

static double exact(double z)
{
    return 0.5 * z * erfc(-z / sqrt(2.0));
}

static double exact_slope(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0)) + z * exp(-0.5 * z * z) / sqrt(2.0 * 3.14159265358979323846);
}

void test_gelu_error_bound_of_the_header(void **state)
{
    (void)state;
    enum { STEP = 101 };
    for (double from = -10.0; from < 10.0; from += 0.1) {
        float z[STEP], a[STEP], slope[STEP], again[STEP];
        for (size_t i = 0; i < STEP; i++) {
            z[i] = (float)(from + 0.001 * (double)i);
            slope[i] = 1.0f;
        }
        gelu_forward(z, a, STEP);
        gelu_backward(z, slope, again, STEP);
        for (size_t i = 0; i < STEP; i++) {
            const double bound = 2e-7 * fmax(1.0, fabs((double)z[i]));
            assert_near(a[i], exact((double)z[i]), bound);
            assert_near(slope[i], exact_slope((double)z[i]), 2 * bound);
        }
        assert_memory_equal(a, again, sizeof a);
    }
}

void test_gelu_tails(void **state)
{
    (void)state;
    const float z[4] = {0.0f, 50.0f, -50.0f, 1e20f};
    float a[4];
    gelu_forward(z, a, 4);
    assert_near(a[0], 0, 0);
    assert_near(a[1], 50, 0);
    assert_near(a[2], 0, 1e-30);
    assert_near(a[3], 1e20f, 0);
}

void test_gelu_passes_nan_on(void **state)
{
    (void)state;
    const float z[1] = {NAN};
    float a[1];
    gelu_forward(z, a, 1);
    assert_true(isnan(a[0]));
}
