/*
 * Sealing under secret keys: XChaCha20-Poly1305 (IETF construction with 24-byte nonces), keys
 * derived from keys, keys wrapped by keys, and memory for keys that must not reach the disk.
 *
 * Sealed bytes: nonce 24 | ciphertext, as long as the content | tag 16.
 * Wrapped key:  the same of the 32 bytes of a key: 72 bytes.
 *
 * The nonce is random and long enough that it never repeats under one key.  The associated data is
 * not stored: whoever opens must give the same bytes, so what was sealed for one place does not
 * open in another.  No state is kept between calls; any thread may call.
 */
#ifndef LETHE_PROTO_SEAL_AEAD_H
#define LETHE_PROTO_SEAL_AEAD_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE     32
#define SEAL_NONCE_SIZE   24
#define SEAL_MAC_SIZE     16
#define SEAL_AEAD_SIZE    (SEAL_NONCE_SIZE + SEAL_MAC_SIZE) /* what sealing adds */
#define SEAL_WRAPPED_SIZE (SEAL_KEY_SIZE + SEAL_AEAD_SIZE)
#define SEAL_PURPOSE_MAX  64

struct seal_key {
    uint8_t b[SEAL_KEY_SIZE];
};

/* A fresh random key. */
void seal_key_make(struct seal_key *ret_key);
/* Overwrites it, also where the compiler thinks that nobody looks any more. */
void seal_key_wipe(struct seal_key *key);
/*
 * A key for one purpose ("lethe/<what>/v1", 1 to SEAL_PURPOSE_MAX bytes, INVARIANT) and one context
 * (may be empty): BLAKE2b-256 under `from` of u8 length of the purpose | purpose | context.
 */
void seal_key_derive(const struct seal_key *from,
                     const char *purpose,
                     const void *context,
                     size_t context_size,
                     struct seal_key *ret_key);

/* Seals n bytes into `to`, which holds n + SEAL_AEAD_SIZE and does not overlap `content`. */
void seal_aead_seal(const struct seal_key *key,
                    const void *place,
                    size_t place_size,
                    const void *content,
                    size_t n,
                    uint8_t *to);
/*
 * The same with a first byte of the caller's choice, as a format number: the other 23 bytes of the
 * nonce stay random, which is still far more than any number of seals under one key needs.
 */
void seal_aead_seal_marked(const struct seal_key *key,
                           uint8_t mark,
                           const void *place,
                           size_t place_size,
                           const void *content,
                           size_t n,
                           uint8_t *to);
/*
 * Opens n sealed bytes into `to`, which holds n - SEAL_AEAD_SIZE.  DATA_LOSS if they are too short,
 * damaged, of another key or of another place; then nothing of the content is in `to`.
 */
enum status seal_aead_open(const struct seal_key *key,
                           const void *place,
                           size_t place_size,
                           const uint8_t *sealed,
                           size_t n,
                           void *to,
                           struct fault *f) MUST_CHECK;

void seal_key_wrap(const struct seal_key *by,
                   const void *place,
                   size_t place_size,
                   const struct seal_key *key,
                   uint8_t ret_wrapped[SEAL_WRAPPED_SIZE]);
/* DATA_LOSS as seal_aead_open; *ret_key is then untouched. */
enum status seal_key_unwrap(const struct seal_key *by,
                            const void *place,
                            size_t place_size,
                            const uint8_t wrapped[SEAL_WRAPPED_SIZE],
                            struct seal_key *ret_key,
                            struct fault *f) MUST_CHECK;

/*
 * Memory for long-lived secrets: between guard pages, out of core dumps, and out of swap as far as
 * RLIMIT_MEMLOCK allows.  NULL if there is none.  Free (NULL allowed) wipes it first.
 */
void *seal_secret_alloc(size_t n);
void seal_secret_free(void *secret);

#endif
