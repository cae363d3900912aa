/*
 * ZIP archives in memory, as numpy writes .npz: stored or deflated members, found through the
 * central directory.  Every offset and size is checked; names must be unique; checksums are
 * verified.
 */
#ifndef LETHE_CLIENT_ZIP_H
#define LETHE_CLIENT_ZIP_H

#include "daemon/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the member `name` into fresh memory (sysio_free).  NOT_FOUND: no such member;
 * BAD_FORMAT: damaged; RESOURCE_EXHAUSTED: larger than max_bytes when decoded.
 */
enum status zip_extract(const uint8_t *bytes,
                        size_t n,
                        const char *name,
                        size_t max_bytes,
                        uint8_t **ret_member,
                        size_t *ret_size,
                        struct fault *f) MUST_CHECK;

/* Whether the directory has one member of this name; its bytes are not looked at. */
bool zip_has(const uint8_t *bytes, size_t n, const char *name);

#endif
