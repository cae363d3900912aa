/*
 * What stands for a person whose images these are.  The id itself is stored nowhere:
 *   public   BLAKE2b-256 of "lethe/subject/v1\n" and the id: what a client sends with a data set.
 *            Ids are easy to guess, so this is no secret;
 *   stored   the same of the public one under a key of the installation: what data sets, requests
 *            and tombstones hold, and by which a subject's images are found again.
 * An all-zero digest is nobody in both.
 */
#ifndef LETHE_PROTO_SEAL_SUBJECT_H
#define LETHE_PROTO_SEAL_SUBJECT_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#define SUBJECT_KEY_SIZE 32

struct subject_key {
    uint8_t b[SUBJECT_KEY_SIZE];
};

/* "" gives zero. */
struct digest subject_public(const char *id);
/* Zero gives zero. */
struct digest subject_stored(const struct subject_key *key, const struct digest *from_public);

/* "subject:" and 64 hex digits, as requests name a stored one. */
#define SUBJECT_TEXT_SIZE (8 + DIGEST_TEXT_SIZE)
void subject_format(const struct digest *stored, char text[SUBJECT_TEXT_SIZE]);
/* 0, or -1 if the text is no such form. */
int subject_parse(const char *text, struct digest *ret_stored);

#endif
