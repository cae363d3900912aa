/*
 * The one door through which stored content passes: every chunk of every blob, payload, answer,
 * manifest and data set is sealed here on its way in and opened here on its way out.
 *
 * Sealed chunk, format 2, at most CHUNK_STORED_MAX bytes:
 *   nonce 24, its first byte the format number 2 | ciphertext of the content | tag 16
 * XChaCha20-Poly1305 under the chunk key, which is derived from the extent's data key
 * (vault/data_keys.h) for "lethe/chunk/v2" and u32 LE index; place = extent 16 | u32 LE index.  A
 * chunk that was damaged, or moved to another place, does not open; without the data key none does.
 *
 * Format 1, from before encryption (read until the upgrade has sealed it, never written):
 *   u8 format = 1 | 16 bytes tag | content
 * The tag is seal_tag over the content with the context "lethe/chunk/v1" | extent 16 | u32 LE
 * index.
 */
#ifndef LETHE_STORAGE_CHUNK_H
#define LETHE_STORAGE_CHUNK_H

#include "daemon/base/status.h"
#include "proto/seal/aead.h"
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
size_t blob_chunk_seal(const struct seal_key *data_key,
                       const struct chunk_place *place,
                       const void *content,
                       size_t n,
                       uint8_t to[CHUNK_STORED_MAX]);
/* Is it from before encryption?  Then it opens without a key. */
int blob_chunk_is_plain(struct kv_bytes stored);
/*
 * Opens a stored chunk, whose content must have n bytes, into `to`.  DATA_LOSS if it is damaged, of
 * another size, of another key or belongs elsewhere; then nothing of the content is in `to`.
 */
enum status blob_chunk_open(const struct seal_key *data_key,
                            const struct chunk_place *place,
                            struct kv_bytes stored,
                            void *to,
                            size_t n,
                            struct fault *f) MUST_CHECK;
/* Size of the content of a stored chunk of either format; 0 if it can be neither. */
size_t blob_chunk_content(struct kv_bytes stored);

#endif
