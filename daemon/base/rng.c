#include "daemon/base/rng.h"

#include "daemon/base/invariant.h"

#include <math.h>

/* SplitMix64's output function (Steele, Lea, Flood 2014). */
static uint64_t rng_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rng_absorb(uint64_t h, uint64_t word)
{
    return rng_mix(h + 0x9e3779b97f4a7c15u + rng_mix(word));
}

void rng_init(struct rng *r, const struct rng_root *root, const char *name, uint64_t index)
{
    uint64_t h = rng_absorb(0, root->seed);
    for (size_t i = 0; i < sizeof root->request; i++)
        h = rng_absorb(h, root->request[i]);
    for (const char *c = name; *c; c++)
        h = rng_absorb(h, 0x100u + (uint64_t)(unsigned char)*c);
    h = rng_absorb(h, index);
    for (size_t i = 0; i < 4; i++) {
        h += 0x9e3779b97f4a7c15u;
        r->s[i] = rng_mix(h);
    }
}

static uint64_t rng_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    const uint64_t result = rng_rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rng_rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    INVARIANT(n > 0);
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do {
        x = rng_u64(r);
    } while (x >= limit);
    return x % n;
}

float rng_uniform(struct rng *r)
{
    return (float)(rng_u64(r) >> 40) * 0x1p-24f;
}

float rng_range(struct rng *r, float lo, float hi)
{
    return lo + (hi - lo) * rng_uniform(r);
}

float rng_normal(struct rng *r)
{
    for (;;) {
        const double u = 2.0 * ((double)(rng_u64(r) >> 11) * 0x1p-53) - 1.0;
        const double v = 2.0 * ((double)(rng_u64(r) >> 11) * 0x1p-53) - 1.0;
        const double q = u * u + v * v;
        if (q > 0.0 && q < 1.0)
            return (float)(u * sqrt(-2.0 * log(q) / q));
    }
}

void rng_shuffle(struct rng *r, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)rng_below(r, i);
        const uint32_t t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}
