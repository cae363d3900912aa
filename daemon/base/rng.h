/*
 * Seeded, named random streams.  A stream is identified by (root seed, request id, name, index) and
 * nothing else: drawing from one never moves another, and renaming one leaves all others as they
 * were.  The key is BLAKE2-free on purpose (base links nothing): a 64-bit mix of the identity fills
 * the state of xoshiro256** (Blackman and Vigna 2018).  Reproducible, not secret: keys and nonces
 * come from libsodium.
 */
#ifndef LETHE_BASE_RNG_H
#define LETHE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng_root {
    uint64_t seed;
    uint8_t request[16]; /* all zero outside a request */
};

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, const struct rng_root *root, const char *name, uint64_t index);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, n), without bias; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* Uniform in [0, 1) with 24 random bits. */
float rng_uniform(struct rng *r);
/* Uniform in [lo, hi). */
float rng_range(struct rng *r, float lo, float hi);
/* Standard normal (Marsaglia's polar method; nothing is kept between calls). */
float rng_normal(struct rng *r);
/* Fisher-Yates over n indices in place. */
void rng_shuffle(struct rng *r, uint32_t *items, size_t n);

#endif
