#include "proto/seal/sha256.h"

#include "daemon/base/invariant.h"

#include <sodium.h>

_Static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "a SHA-256 hash has 32 bytes");
_Static_assert(SHA256_SIZE == crypto_auth_hmacsha256_BYTES, "and so has its MAC");

struct sha256 sha256_parts(const struct sha256_part *parts, size_t n_parts)
{
    struct sha256 h;
    crypto_hash_sha256_state s;
    (void)crypto_hash_sha256_init(&s);
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n)
            (void)crypto_hash_sha256_update(&s, parts[i].bytes, parts[i].n);
    }
    (void)crypto_hash_sha256_final(&s, h.b);
    return h;
}

struct sha256 sha256_of(const void *bytes, size_t n)
{
    return sha256_parts(&(struct sha256_part){bytes, n}, 1);
}

int sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    return sodium_memcmp(a->b, b->b, SHA256_SIZE) == 0;
}

struct sha256
sha256_mac(const uint8_t key[SHA256_SIZE], const struct sha256_part *parts, size_t n_parts)
{
    struct sha256 h;
    crypto_auth_hmacsha256_state s;
    const int bad = crypto_auth_hmacsha256_init(&s, key, SHA256_SIZE);
    INVARIANT(bad == 0);
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n)
            (void)crypto_auth_hmacsha256_update(&s, parts[i].bytes, parts[i].n);
    }
    (void)crypto_auth_hmacsha256_final(&s, h.b);
    sodium_memzero(&s, sizeof s);
    return h;
}
