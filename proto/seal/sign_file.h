/*
 * Files of signing keys: the secret form (proto/seal/sign.h) alone in a file of mode 0600, and the
 * verifier key alone, on one line, in a file that anybody may read.
 */
#ifndef LETHE_PROTO_SEAL_SIGN_FILE_H
#define LETHE_PROTO_SEAL_SIGN_FILE_H

#include "proto/seal/sign.h"

/* Errors of key_file_read; INVALID_ARGUMENT: no signing key.  Free with sign_key_free. */
enum status sign_file_read(const char *path, struct sign_key **ret_key, struct fault *f) MUST_CHECK;
/* New files; ALREADY_EXISTS if there is one. */
enum status
sign_file_write(const char *path, const struct sign_key *key, struct fault *f) MUST_CHECK;
enum status
sign_file_write_public(const char *path, const struct sign_vkey *vkey, struct fault *f) MUST_CHECK;

#endif
