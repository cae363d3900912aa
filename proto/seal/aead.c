#include "proto/seal/aead.h"

#include <sodium.h>
#include <string.h>

#include "daemon/base/invariant.h"

_Static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "size of a key");
_Static_assert(SEAL_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "size of a nonce");
_Static_assert(SEAL_MAC_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "size of a tag");

static void aead_ready(void)
{
    const int ready = sodium_init();
    INVARIANT(ready >= 0);
}

void seal_key_make(struct seal_key *ret_key)
{
    aead_ready();
    randombytes_buf(ret_key->b, sizeof ret_key->b);
}

void seal_key_wipe(struct seal_key *key)
{
    sodium_memzero(key, sizeof *key);
}

void seal_key_derive(const struct seal_key *from,
                     const char *purpose,
                     const void *context,
                     size_t context_size,
                     struct seal_key *ret_key)
{
    crypto_generichash_state h;
    const size_t n = strlen(purpose);
    const uint8_t length = (uint8_t)n;
    aead_ready();
    INVARIANT(n > 0 && n <= SEAL_PURPOSE_MAX);
    int bad = crypto_generichash_init(&h, from->b, sizeof from->b, sizeof ret_key->b);
    bad |= crypto_generichash_update(&h, &length, 1);
    bad |= crypto_generichash_update(&h, (const uint8_t *)purpose, n);
    if (context_size > 0)
        bad |= crypto_generichash_update(&h, context, context_size);
    bad |= crypto_generichash_final(&h, ret_key->b, sizeof ret_key->b);
    INVARIANT(bad == 0);
    sodium_memzero(&h, sizeof h);
}

static void seal_under_nonce(const struct seal_key *key,
                             const void *place,
                             size_t place_size,
                             const void *content,
                             size_t n,
                             uint8_t *to)
{
    const int bad = crypto_aead_xchacha20poly1305_ietf_encrypt(
        to + SEAL_NONCE_SIZE, NULL, content, n, place, place_size, NULL, to, key->b);
    INVARIANT(bad == 0);
}

void seal_aead_seal(const struct seal_key *key,
                    const void *place,
                    size_t place_size,
                    const void *content,
                    size_t n,
                    uint8_t *to)
{
    aead_ready();
    randombytes_buf(to, SEAL_NONCE_SIZE);
    seal_under_nonce(key, place, place_size, content, n, to);
}

void seal_aead_seal_marked(const struct seal_key *key,
                           uint8_t mark,
                           const void *place,
                           size_t place_size,
                           const void *content,
                           size_t n,
                           uint8_t *to)
{
    aead_ready();
    to[0] = mark;
    randombytes_buf(to + 1, SEAL_NONCE_SIZE - 1);
    seal_under_nonce(key, place, place_size, content, n, to);
}

enum status seal_aead_open(const struct seal_key *key,
                           const void *place,
                           size_t place_size,
                           const uint8_t *sealed,
                           size_t n,
                           void *to,
                           struct fault *f)
{
    aead_ready();
    if (n < SEAL_AEAD_SIZE)
        FAIL(f, STATUS_DATA_LOSS, "seal", "%zu sealed bytes, at least %d", n, SEAL_AEAD_SIZE);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(to, NULL, NULL, sealed + SEAL_NONCE_SIZE,
                                                   n - SEAL_NONCE_SIZE, place, place_size, sealed,
                                                   key->b) != 0)
        FAIL(f, STATUS_DATA_LOSS, "seal",
             "damaged, or sealed under another key or for another place");
    return STATUS_OK;
}

void seal_key_wrap(const struct seal_key *by,
                   const void *place,
                   size_t place_size,
                   const struct seal_key *key,
                   uint8_t ret_wrapped[SEAL_WRAPPED_SIZE])
{
    seal_aead_seal(by, place, place_size, key->b, sizeof key->b, ret_wrapped);
}

enum status seal_key_unwrap(const struct seal_key *by,
                            const void *place,
                            size_t place_size,
                            const uint8_t wrapped[SEAL_WRAPPED_SIZE],
                            struct seal_key *ret_key,
                            struct fault *f)
{
    struct seal_key key;
    TRY(seal_aead_open(by, place, place_size, wrapped, SEAL_WRAPPED_SIZE, key.b, f));
    *ret_key = key;
    seal_key_wipe(&key);
    return STATUS_OK;
}

void *seal_secret_alloc(size_t n)
{
    aead_ready();
    return sodium_malloc(n);
}

void seal_secret_free(void *secret)
{
    sodium_free(secret);
}
