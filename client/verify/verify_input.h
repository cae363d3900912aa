/*
 * What lethe-verify reads: evidence as files, keys as text or as files.
 */
#ifndef LETHE_VERIFY_INPUT_H
#define LETHE_VERIFY_INPUT_H

#include "daemon/base/status.h"
#include "proto/seal/sign.h"

#include <stddef.h>

struct verify_file {
    unsigned char *bytes; /* with a NUL behind */
    size_t size;
};

/*
 * A regular file of 1 to max bytes; free with verify_input_free.  Never DATA_LOSS or BAD_FORMAT:
 * a file that cannot be used says nothing about what it should hold.
 */
enum status verify_input_read(const char *path,
                              size_t max,
                              struct verify_file *ret_file,
                              struct fault *f) MUST_CHECK;
/* NULL bytes are allowed. */
void verify_input_free(struct verify_file *file);

/*
 * Adds verifier keys to a list of `max`: `from` is one key NAME+HEXID+BASE64, or names a file of
 * such keys, one a line, where empty lines and lines that begin with # are skipped.
 * INVALID_ARGUMENT: no key, another type of key, one that is in the list, or too many.
 */
enum status verify_input_keys(const char *from,
                              enum sign_type type,
                              struct sign_vkey *list,
                              size_t max,
                              size_t *n,
                              struct fault *f) MUST_CHECK;

#endif
