/*
 * Files made by an export, kept in memory until they are downloaded or expire.  Belongs to the
 * reader pool's one thread.
 */
#ifndef LETHE_JOBS_EXPORTS_H
#define LETHE_JOBS_EXPORTS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define EXPORTS_FILES_MAX 64
#define EXPORTS_BYTES_MAX ((size_t)4 << 30)
#define EXPORTS_KEEP_US   ((int64_t)3600 * 1000000)

struct exports;

enum status exports_new(struct exports **ret_exports, struct fault *f) MUST_CHECK;
void exports_free(struct exports *e);
/*
 * Takes over `bytes` (sysio_alloc), also on failure; older files make room.  RESOURCE_EXHAUSTED if
 * one file is larger than all may be.
 */
enum status exports_add(struct exports *e,
                        void *bytes,
                        size_t size,
                        int64_t now_us,
                        struct digest *ret_digest,
                        struct fault *f) MUST_CHECK;
/* A range, borrowed until the next add.  NOT_FOUND: never made or expired; OUT_OF_RANGE. */
enum status exports_read(struct exports *e,
                         const struct digest *digest,
                         uint64_t offset,
                         uint32_t length,
                         int64_t now_us,
                         const uint8_t **ret_bytes,
                         struct fault *f) MUST_CHECK;

#endif
