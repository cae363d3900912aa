/*
 * One lane or expert as a file for another installation with the same base: safetensors with one
 * tensor, "component", u8 [size], the exact bytes of the record, so that the component keeps its
 * digest wherever it goes.  Metadata, all required:
 *   format     "lethe-component-1"
 *   kind       "lane" or "expert"
 *   name       1..63 letters, digits and "._-/"
 *   digest     BLAKE2b-256 of the record, 64 hex digits
 *   base       digest of the base model that it was made for, 64 hex digits
 * The reader takes nothing else: no further tensor, no other type or shape, and the digest must be
 * that of the bytes.  Whether the record itself is sound is for its learner to say.
 */
#ifndef LETHE_JOBS_COMPONENT_FILE_H
#define LETHE_JOBS_COMPONENT_FILE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define COMPONENT_KIND_SIZE 16
#define COMPONENT_NAME_SIZE 64
#define COMPONENT_BYTES_MAX ((size_t)1 << 30)

struct component_file {
    char kind[COMPONENT_KIND_SIZE];
    char name[COMPONENT_NAME_SIZE];
    struct digest digest; /* of `bytes` */
    struct digest base;
    const void *bytes; /* the record; borrowed */
    size_t size;
};

/*
 * Splits "lane:NAME" or "expert:NAME" into kind and name.  INVALID_ARGUMENT, field "component".
 */
enum status
component_file_parse(const char *text, struct component_file *ret_c, struct fault *f) MUST_CHECK;
/* The file in fresh memory (sysio_free); the digest is made here.  INVALID_ARGUMENT, NO_MEMORY. */
enum status component_file_write(const struct component_file *c,
                                 uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f) MUST_CHECK;
/*
 * Reads a file; the record borrows from `bytes`.  BAD_FORMAT naming the part; FAILED_PRECONDITION,
 * field "base", naming both digests if it was made for another base (`base` NULL: not compared);
 * NO_MEMORY.
 */
enum status component_file_read(const void *bytes,
                                size_t size,
                                const struct digest *base,
                                struct component_file *ret_c,
                                struct fault *f) MUST_CHECK;

#endif
