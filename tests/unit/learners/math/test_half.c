/* 16-bit floats: every value, every rounding neighbourhood, and the special ones. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/math/half.h"

#include <math.h>
#include <string.h>

void test_half_every_value_survives(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float x = half_to_float((uint16_t)h);
        if (isnan(x))
            assert_true((h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0 &&
                        isnan(half_to_float(half_from_float(x))));
        else
            assert_int_equal(half_from_float(x), h);
    }
}

void test_bfloat_every_value_survives(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < 0x10000; b++) {
        const float x = bfloat_to_float((uint16_t)b);
        if (isnan(x))
            assert_true(isnan(bfloat_to_float(bfloat_from_float(x))));
        else
            assert_int_equal(bfloat_from_float(x), b);
    }
}

void test_half_known_values(void **state)
{
    (void)state;
    assert_near(half_to_float(0x3c00), 1, 0);
    assert_near(half_to_float(0xc000), -2, 0);
    assert_near(half_to_float(0x7bff), 65504, 0);
    assert_near(half_to_float(0x0001), ldexp(1, -24), 0);
    assert_near(half_to_float(0x0400), ldexp(1, -14), 0);
    assert_true(isinf(half_to_float(0x7c00)) && half_to_float(0xfc00) < 0);
    assert_true(signbit(half_to_float(0x8000)) != 0);
    assert_int_equal(half_from_float(65519.99f), 0x7bff);
    assert_int_equal(half_from_float(65520), 0x7c00);
    assert_int_equal(half_from_float(-1e9f), 0xfc00);
    assert_int_equal(half_from_float(0x1p-25f), 0); /* tie: to even */
    assert_int_equal(half_from_float(0x1.000002p-25f), 1);
    assert_int_equal(half_from_float(0x1p-149f), 0);
    assert_int_equal(bfloat_from_float(1.00390625f), 0x3f80); /* 1 + 2^-8, tie */
    assert_int_equal(bfloat_from_float(1.01171875f), 0x3f82); /* 1 + 3 2^-8, tie */
}

/* Exact ties between neighbours go to the even one; anything beside the tie to the nearer one. */
void test_half_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float a = half_to_float((uint16_t)h), b = half_to_float((uint16_t)(h + 1));
        const float middle = (a + b) / 2; /* exact in float */
        assert_int_equal(half_from_float(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), h);
        assert_int_equal(half_from_float(nextafterf(middle, 1e9f)), h + 1);
        assert_int_equal(half_from_float(-nextafterf(middle, 0)), 0x8000 | h);
    }
}
