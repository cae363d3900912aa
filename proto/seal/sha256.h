/*
 * SHA-256 (FIPS 180-4), for the log alone: its tree, its key ids, its commitments and the digest of
 * a certificate, so that any verifier can follow.  What is stored by its content is named by
 * BLAKE2b-256 (proto/seal/hash.h); the two are different types and never mixed.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_SHA256_H
#define LETHE_PROTO_SEAL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
    uint8_t b[SHA256_SIZE];
};

struct sha256_part {
    const void *bytes; /* may be NULL if n is 0 */
    size_t n;
};

/* Of the parts one after the other. */
struct sha256 sha256_parts(const struct sha256_part *parts, size_t n_parts);
struct sha256 sha256_of(const void *bytes, size_t n);
int sha256_equal(const struct sha256 *a, const struct sha256 *b);

/* HMAC-SHA-256 (RFC 2104) of the parts under a key of 32 bytes. */
struct sha256
sha256_mac(const uint8_t key[SHA256_SIZE], const struct sha256_part *parts, size_t n_parts);

#endif
