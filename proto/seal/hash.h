/*
 * Hashes and random bytes.  This file wraps libsodium; everything that is named by its content
 * (blobs, manifests, payloads, reports) is named by BLAKE2b-256 (RFC 7693, unkeyed) of its exact
 * bytes.  No state is kept between calls; any thread may call.  libsodium initialises itself on the
 * first call; seal_init makes that explicit at program start, where a failure can be reported.
 */
#ifndef LETHE_PROTO_SEAL_HASH_H
#define LETHE_PROTO_SEAL_HASH_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_TAG_SIZE 16 /* BLAKE2b-128 */

/* UNAVAILABLE if the system gives no entropy.  May be called any number of times. */
enum status seal_init(struct fault *f) MUST_CHECK;

/* BLAKE2b-256 of n bytes (bytes may be NULL if n is 0). */
struct digest seal_hash(const void *bytes, size_t n);

/* Streaming form: init, any number of updates, one final; final wipes the hasher. */
struct seal_hasher {
    _Alignas(64) uint8_t opaque[384];
};

void seal_hash_init(struct seal_hasher *h);
void seal_hash_update(struct seal_hasher *h, const void *bytes, size_t n);
struct digest seal_hash_final(struct seal_hasher *h);

/*
 * BLAKE2b-128 of bytes under a public context string (at most 64 bytes, used as BLAKE2b's key): a
 * checksum that belongs to one place and does not hold in another.  It is no secret and proves
 * nothing against an attacker; it finds damage.
 */
void seal_tag(const void *context,
              size_t context_size,
              const void *bytes,
              size_t n,
              uint8_t ret_tag[SEAL_TAG_SIZE]);

/* BLAKE2b-256 of bytes under a secret key of 16 to 64 bytes: a pseudo-random function of them. */
struct digest seal_hash_keyed(const void *key, size_t key_size, const void *bytes, size_t n);

/* Overwrites n bytes, also where the compiler thinks that nobody looks any more. */
void seal_wipe(void *bytes, size_t n);

/* Unpredictable bytes from the system: ids, nonces, keys; never for training. */
void seal_random(void *to, size_t n);

#endif
