/* The inline elementary functions against libm in double, over their whole range. */
#include "tests/support/test.h"

#include "learners/math/vector.h"

#include <math.h>

void test_vector_exp_relative_error(void **state)
{
    (void)state;
    double worst = 0.0;
    for (double x = -87.0; x <= 88.0; x += 0.00137) {
        const double want = exp((double)(float)x);
        const double error = fabs((double)vector_exp((float)x) / want - 1.0);
        worst = error > worst ? error : worst;
    }
    assert_true(worst < 2e-7);
    assert_true(vector_exp(0.0f) >= 1.0f && vector_exp(0.0f) <= 1.0f);
}

void test_vector_exp_outside_its_range(void **state)
{
    (void)state;
    assert_near(vector_exp(-1e30f), 0.0, 2e-38);
    assert_near(vector_exp(-INFINITY), 0.0, 2e-38);
    assert_true(isfinite(vector_exp(1e30f)) && vector_exp(1e30f) > 1e38f);
    assert_true(isnan(vector_exp(NAN)));
}

void test_vector_normal_distribution_and_density(void **state)
{
    (void)state;
    double worst = 0.0, worst_tail = 0.0, worst_density = 0.0;
    for (double x = -12.0; x <= 12.0; x += 0.00031) {
        const double at = (double)(float)x;
        const double want = 0.5 * erfc(-at / sqrt(2.0));
        const double density = exp(-0.5 * at * at) / sqrt(2.0 * 3.14159265358979323846);
        float got_density;
        const double got = (double)vector_normal((float)x, &got_density);
        worst = fmax(worst, fabs(got - want));
        /* exp(-x^2/2) turns half an ulp of x^2/2 into |x|^2/4 ulps of the result */
        if (at < 0.0)
            worst_tail = fmax(worst_tail, fabs(got / want - 1.0) / (1.0 + at * at));
        worst_density = fmax(worst_density, fabs((double)got_density - density));
    }
    assert_true(worst < 2e-7);
    assert_true(worst_tail < 4e-7);
    assert_true(worst_density < 1e-7);
}

void test_vector_normal_far_out(void **state)
{
    (void)state;
    float density;
    assert_near(vector_normal(0.0f, &density), 0.5, 1e-7);
    assert_near(vector_normal(100.0f, &density), 1.0, 0);
    assert_near(density, 0.0, 1e-36);
    assert_near(vector_normal(-100.0f, &density), 0.0, 1e-36);
    assert_true(isnan(vector_normal(NAN, &density)));
}
