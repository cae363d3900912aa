#include "learners/math/half.h"

#include <string.h>

static uint32_t half_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float half_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = h >> 10 & 0x1fu;
    const uint32_t fraction = h & 0x3ffu;
    if (exponent == 0x1f)
        return half_float(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0)
        return half_float(sign | (exponent + 112) << 23 | fraction << 13);
    /* Zero or subnormal: fraction * 2^-24 is exact in float. */
    const float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

/* value * 2^-shift, rounded to nearest even. */
static uint32_t half_round_shift(uint32_t value, uint32_t shift)
{
    const uint32_t kept = value >> shift;
    const uint32_t rest = value & ((1u << shift) - 1);
    const uint32_t tie = 1u << (shift - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1u)));
}

uint16_t half_from_float(float x)
{
    const uint32_t u = half_bits(x);
    const uint32_t sign = u >> 16 & 0x8000u;
    const uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) /* 2^-14: the smallest normal half; a carry moves the exponent */
        return (uint16_t)(sign | half_round_shift(magnitude - 0x38000000u, 13));
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) /* below 2^-25: nearer to zero */
        return (uint16_t)sign;
    const uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
    return (uint16_t)(sign | half_round_shift(fraction, 126 - exponent));
}

float bfloat_to_float(uint16_t b)
{
    return half_float((uint32_t)b << 16);
}

uint16_t bfloat_from_float(float x)
{
    const uint32_t u = half_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
