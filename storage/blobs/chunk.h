/*
 * The one door through which stored content passes: every chunk of every blob, payload, answer,
 * manifest and data set is sealed here on its way in and opened here on its way out.
 *
 * Sealed chunk, format 1 (plain with checksum):
 *   u8 format = 1 | 16 bytes tag | content (at most CHUNK_CONTENT_MAX bytes)
 * The tag is seal_tag over the content with the context "lethe/chunk/v1" | extent 16 | u32 LE
 * index, so a chunk that was damaged, or moved to another place, does not open.  Encryption is a
 * further format of the same size budget; readers choose by the first byte.
 */
#ifndef LETHE_STORAGE_CHUNK_H
#define LETHE_STORAGE_CHUNK_H

#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

/*
 * 65520 bytes in the store fill 16 pages of 4096 less LMDB's overflow header.  40 of them are kept
 * for sealing, so that changing the seal never moves a chunk boundary.
 */
#define CHUNK_STORED_MAX  65520
#define CHUNK_SEAL_MAX    40
#define CHUNK_CONTENT_MAX (CHUNK_STORED_MAX - CHUNK_SEAL_MAX)
#define CHUNK_EXTENT_SIZE 16

/* Which chunk: the extent it belongs to and its place in it. */
struct chunk_place {
    uint8_t extent[CHUNK_EXTENT_SIZE];
    uint32_t index;
};

/* Seals n <= CHUNK_CONTENT_MAX bytes (INVARIANT) into `to`; returns the stored size. */
size_t blob_chunk_seal(const struct chunk_place *place,
                       const void *content,
                       size_t n,
                       uint8_t to[CHUNK_STORED_MAX]);
/*
 * Checks a stored chunk and gives its content, borrowed from `stored`.  DATA_LOSS if it is damaged
 * or belongs elsewhere.
 */
enum status blob_chunk_open(const struct chunk_place *place,
                            struct kv_bytes stored,
                            struct kv_bytes *ret_content,
                            struct fault *f) MUST_CHECK;

#endif
