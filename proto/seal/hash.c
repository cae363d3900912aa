#include "proto/seal/hash.h"

#include "daemon/base/invariant.h"

#include <sodium.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct seal_hasher), "hasher too small");
_Static_assert(_Alignof(crypto_generichash_state) <= 64, "hasher not aligned enough");
_Static_assert(DIGEST_SIZE == crypto_generichash_BYTES, "a digest is BLAKE2b-256");

enum status seal_init(struct fault *f)
{
    if (sodium_init() < 0)
        FAIL(f, STATUS_UNAVAILABLE, NULL, "libsodium found no source of entropy");
    return STATUS_OK;
}

/* sodium_init is idempotent and thread-safe; it also picks the fast BLAKE2b for this CPU. */
static void seal_ready(void)
{
    const int ready = sodium_init();
    INVARIANT(ready >= 0);
}

void seal_hash_init(struct seal_hasher *h)
{
    seal_ready();
    const int bad = crypto_generichash_init((crypto_generichash_state *)(void *)h->opaque, NULL, 0,
                                            DIGEST_SIZE);
    INVARIANT(bad == 0);
}

void seal_hash_update(struct seal_hasher *h, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    const int bad =
        crypto_generichash_update((crypto_generichash_state *)(void *)h->opaque, bytes, n);
    INVARIANT(bad == 0);
}

struct digest seal_hash_final(struct seal_hasher *h)
{
    struct digest d;
    const int bad =
        crypto_generichash_final((crypto_generichash_state *)(void *)h->opaque, d.b, sizeof d.b);
    INVARIANT(bad == 0);
    sodium_memzero(h, sizeof *h);
    return d;
}

struct digest seal_hash(const void *bytes, size_t n)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, bytes, n);
    return seal_hash_final(&h);
}

void seal_tag(const void *context,
              size_t context_size,
              const void *bytes,
              size_t n,
              uint8_t ret_tag[SEAL_TAG_SIZE])
{
    seal_ready();
    INVARIANT(context_size <= crypto_generichash_KEYBYTES_MAX);
    const int bad =
        crypto_generichash(ret_tag, SEAL_TAG_SIZE, n ? bytes : NULL, n, context, context_size);
    INVARIANT(bad == 0);
}

struct digest seal_hash_keyed(const void *key, size_t key_size, const void *bytes, size_t n)
{
    struct digest d;
    seal_ready();
    INVARIANT(key_size >= crypto_generichash_KEYBYTES_MIN &&
              key_size <= crypto_generichash_KEYBYTES_MAX);
    const int bad = crypto_generichash(d.b, sizeof d.b, n ? bytes : NULL, n, key, key_size);
    INVARIANT(bad == 0);
    return d;
}

void seal_wipe(void *bytes, size_t n)
{
    sodium_memzero(bytes, n);
}

void seal_random(void *to, size_t n)
{
    seal_ready();
    randombytes_buf(to, n);
}
