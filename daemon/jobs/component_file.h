/*
 * One lane or expert as a file for another installation with the same base and the same erasures:
 * safetensors with the exact bytes of the records, so that they keep their digests wherever they
 * go.
 *
 *   tensor "component"  u8 [size]  the record; it holds the label table, the method's options and
 *                                  the seed of its random streams
 *   tensor "router"     u8 [size]  its terms of the router; not there: it has none, and decisions
 *                                  in which it takes part are raw
 *
 * Metadata, all required:
 *   format         "lethe-component-2"
 *   kind           "lane", "ridge" or "expert"
 *   name           1..63 letters, digits and "._-/"
 *   digest         BLAKE2b-256 of the record, 64 hex digits
 *   router         the same of the terms; "" if there are none
 *   base           digest of the base model that it was made for
 *   trunk          state of the trunk that it answered on: base and erasures
 *   preprocessing  how pictures become its input
 *   seed           of the request that made it, decimal
 * The reader takes nothing else: no further tensor, no other type or shape, and the digests must be
 * those of the bytes.  Whether the records themselves are sound is for their learners to say.
 *
 * Format 1 had neither trunk, preprocessing, seed nor terms: it is refused with the advice to
 * export the component again.
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

/* What a component was made for, and what there is here. */
struct component_place {
    struct digest base;
    struct digest trunk;
    struct digest preprocessing;
};

struct component_file {
    char kind[COMPONENT_KIND_SIZE];
    char name[COMPONENT_NAME_SIZE];
    struct digest digest; /* of `bytes` */
    struct component_place place;
    uint64_t seed;
    const void *bytes; /* the record; borrowed */
    size_t size;
    const void *router; /* its terms; borrowed; NULL: none */
    size_t router_size;
};

/*
 * Splits "lane:NAME", "ridge:NAME" or "expert:NAME" into kind and name.  INVALID_ARGUMENT, field
 * "component".
 */
enum status
component_file_parse(const char *text, struct component_file *ret_c, struct fault *f) MUST_CHECK;
/* The file in fresh memory (sysio_free); digests are made here.  INVALID_ARGUMENT, NO_MEMORY. */
enum status component_file_write(const struct component_file *c,
                                 uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f) MUST_CHECK;
/*
 * Reads a file; the records borrow from `bytes`.  BAD_FORMAT naming the part; FAILED_PRECONDITION,
 * field "base", "preprocessing" or "trunk", naming both digests, if it was made for another one
 * than those of `here` (NULL: not compared); NO_MEMORY.
 */
enum status component_file_read(const void *bytes,
                                size_t size,
                                const struct component_place *here,
                                struct component_file *ret_c,
                                struct fault *f) MUST_CHECK;

#endif
