/*
 * Commitments: what the log holds in place of personal data.
 *
 *   commitment = HMAC-SHA-256(salt, "lethe/" NAME "/v1\n" || bytes)
 *
 * salt: 32 random bytes of its own for every commitment, sealed beside the data and destroyed with
 * it; NAME: the field of the log entry, so that one field's opening never fits another's.  Whoever
 * has salt and bytes can show what was committed; without the salt the bytes cannot be guessed.
 *
 *   payload   the exact request bytes as they arrived
 *   subject   the 32 bytes of subject_public (proto/seal/subject.h): the daemon never sees the id
 *   report    the exact text of the evaluation report
 *   reason    the exact text of a reason given by a person
 *   json      a certificate as JSON, its slot for the proof empty (proto/seal/certificate.h)
 *   html      the same as a page
 */
#ifndef LETHE_PROTO_SEAL_COMMITMENT_H
#define LETHE_PROTO_SEAL_COMMITMENT_H

#include "proto/seal/sha256.h"

#define COMMITMENT_SALT_SIZE 32

struct commitment_salt {
    uint8_t b[COMMITMENT_SALT_SIZE];
};

/* From the system's random source. */
struct commitment_salt commitment_salt_make(void);
struct sha256
commitment_make(const struct commitment_salt *salt, const char *name, const void *bytes, size_t n);
/* Constant time. */
int commitment_opens(const struct sha256 *commitment,
                     const struct commitment_salt *salt,
                     const char *name,
                     const void *bytes,
                     size_t n);

#endif
