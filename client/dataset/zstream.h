/*
 * The only zlib user: files that may be gzip (or plain), read forwards, and raw deflate data in
 * memory.  What a file promises is never trusted: the reader asks for exact byte counts.
 */
#ifndef LETHE_CLIENT_ZSTREAM_H
#define LETHE_CLIENT_ZSTREAM_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct zfile;

enum status zfile_open(const char *path, struct zfile **ret_file, struct fault *f) MUST_CHECK;
/* NULL is allowed. */
void zfile_close(struct zfile *z);
/* Exactly n bytes; BAD_FORMAT if the file is shorter or its gzip data are damaged. */
enum status zfile_read(struct zfile *z, void *to, size_t n, struct fault *f) MUST_CHECK;
/* BAD_FORMAT if there is more (a gzip trailer that does not match counts as damage). */
enum status zfile_expect_end(struct zfile *z, struct fault *f) MUST_CHECK;
/* An upper bound of the decoded size, from the size on disk (deflate gains at most 1032:1). */
uint64_t zfile_bound(const struct zfile *z);

/* Raw deflate data of exactly n_out decoded bytes; `name` is for the message. */
enum status zstream_inflate(const uint8_t *in,
                            size_t n_in,
                            uint8_t *out,
                            size_t n_out,
                            const char *name,
                            struct fault *f) MUST_CHECK;
uint32_t zstream_crc32(const uint8_t *bytes, size_t n);

#endif
