/*
 * CURVE keys (X25519, RFC 7748), as ZeroMQ uses them: 32 bytes, written as 40 characters of Z85
 * (ZeroMQ RFC 32).  A client is its public key; people and records name it by the fingerprint
 * "k:" and the first 8 bytes of BLAKE2b-256 of the public key in hexadecimal.
 *
 * Plain values.  Whoever holds a secret key wipes it (curve_key_wipe).  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_CURVE_KEY_H
#define LETHE_PROTO_SEAL_CURVE_KEY_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define CURVE_KEY_SIZE   32
#define CURVE_TEXT_SIZE  41 /* Z85 and the NUL */
#define CURVE_PRINT_SIZE 19 /* "k:", 16 digits and the NUL */

struct curve_key {
    uint8_t b[CURVE_KEY_SIZE];
};

/* A fresh pair. */
void curve_key_make(struct curve_key *ret_secret, struct curve_key *ret_public);
/* The public key of a secret one. */
struct curve_key curve_key_public(const struct curve_key *secret);
int curve_key_equal(const struct curve_key *a, const struct curve_key *b);
void curve_key_wipe(struct curve_key *key);

void curve_key_text(const struct curve_key *key, char ret_text[CURVE_TEXT_SIZE]);
/* Exactly 40 characters of Z85 that say 32 bytes; -1 if they do not, and *ret_key is untouched. */
int curve_key_parse(const char *text, size_t n, struct curve_key *ret_key);

/* Of a public key. */
void curve_key_print(const struct curve_key *key, char ret_text[CURVE_PRINT_SIZE]);

#endif
