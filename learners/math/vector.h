/*
 * What hot loops share: the macro that builds a function once per instruction set, and inline
 * elementary functions that the compiler can vectorise (calls into libm would dominate the run
 * time).  No fused multiply-add is used (-ffp-contract=off) and reductions keep VECTOR_LANES
 * partial sums that are added in a fixed tree, so every clone gives the same bits.
 */
#ifndef LETHE_LEARNERS_VECTOR_H
#define LETHE_LEARNERS_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VECTOR_LANES 16

/*
 * Left out where it cannot work, at a loss of speed and of nothing else: the sanitizers instrument
 * the resolver that picks a clone, which runs before they are ready; and clang 14 gives a cloned
 * function another symbol name, which callers in other files do not know.
 */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES
#else
#define VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

static inline float vector_float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t vector_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/*
 * e^x, relative error below 2e-7, for -87 <= x <= 88 only.  x = n ln 2 + r with |r| <= ln 2 / 2;
 * the Taylor polynomial of degree 7 is good to 6e-9.
 */
static inline float vector_exp_in_range(float x)
{
    /* adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits */
    float t = x * 1.44269504f + 12582912.0f;
    float n = t - 12582912.0f;
    /* ln 2 in two parts, the first with few enough bits for an exact product */
    float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * vector_float_of((vector_bits_of(t) + 127u) << 23);
}

/* e^x; outside -87 .. 88 the value at the bound.  NaN stays NaN. */
static inline float vector_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    return vector_exp_in_range(x);
}

/*
 * Phi(x) = (1 + erf(x / sqrt 2)) / 2 and, in *ret_density, phi(x) = exp(-x^2/2) / sqrt(2 pi).
 * The tail Phi(-|x|) is exp(-x^2/2) q(t) with t = 1/(1 + 0.26 |x|) and q a minimax polynomial of
 * relative error 2.5e-8 on |x| <= 14, fitted by Remez exchange.  With rounding: 2e-7 absolute
 * everywhere, and 4e-7 (1 + x^2) relative on the tail side.
 */
static inline float vector_normal(float x, float *ret_density)
{
    float m = x < 0.0f ? -x : x;
    m = m > 13.0f ? 13.0f : m;
    float e = vector_exp_in_range(-0.5f * m * m);
    float t = 1.0f / (1.0f + 0.26f * m);
    float q = 0.0305049238926f;
    q = q * t - 0.152828958316f;
    q = q * t + 0.251491446607f;
    q = q * t - 0.15094900567f;
    q = q * t + 0.160947791109f;
    q = q * t + 0.051027746999f;
    q = q * t + 0.103030228364f;
    q = q * t + 0.103016755147f;
    q = q * t + 0.103759059498f;
    float tail = e * (q * t);
    *ret_density = e * 0.398942280f;
    return x < 0.0f ? tail : 1.0f - tail;
}

/* Sum of the partial sums, in a fixed tree. */
static inline float vector_lanes_sum(const float lane[VECTOR_LANES])
{
    float half[VECTOR_LANES / 2];
    for (size_t j = 0; j < VECTOR_LANES / 2; j++)
        half[j] = lane[j] + lane[j + VECTOR_LANES / 2];
    float a = (half[0] + half[4]) + (half[2] + half[6]);
    float b = (half[1] + half[5]) + (half[3] + half[7]);
    return a + b;
}

/* Sum of n floats. */
static inline float vector_sum(const float *x, size_t n)
{
    float lane[VECTOR_LANES] = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] += x[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += x[i + j];
    return vector_lanes_sum(lane);
}

/* Sum of n products. */
static inline float vector_dot(const float *x, const float *y, size_t n)
{
    float lane[VECTOR_LANES] = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] += x[i + j] * y[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += x[i + j] * y[i + j];
    return vector_lanes_sum(lane);
}

#endif
