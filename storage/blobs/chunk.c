#include "storage/blobs/chunk.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "proto/seal/hash.h"

#include <string.h>

#define CHUNK_PLAIN    1u
#define CHUNK_OVERHEAD (1u + SEAL_TAG_SIZE)

_Static_assert(CHUNK_OVERHEAD <= CHUNK_SEAL_MAX, "the seal has outgrown its room");

static const char CHUNK_CONTEXT[] = "lethe/chunk/v1";
#define CHUNK_CONTEXT_SIZE (sizeof CHUNK_CONTEXT - 1 + CHUNK_EXTENT_SIZE + 4)

static void chunk_tag(const struct chunk_place *place,
                      const void *content,
                      size_t n,
                      uint8_t tag[SEAL_TAG_SIZE])
{
    uint8_t context[CHUNK_CONTEXT_SIZE];
    struct byte_writer w = byte_writer_make(context, sizeof context);
    put_bytes(&w, CHUNK_CONTEXT, sizeof CHUNK_CONTEXT - 1);
    put_bytes(&w, place->extent, CHUNK_EXTENT_SIZE);
    put_u32(&w, place->index);
    seal_tag(context, w.used, content, n, tag);
}

size_t blob_chunk_seal(const struct chunk_place *place,
                       const void *content,
                       size_t n,
                       uint8_t to[CHUNK_STORED_MAX])
{
    INVARIANT(n > 0 && n <= CHUNK_CONTENT_MAX);
    to[0] = CHUNK_PLAIN;
    chunk_tag(place, content, n, to + 1);
    memcpy(to + CHUNK_OVERHEAD, content, n);
    return CHUNK_OVERHEAD + n;
}

enum status blob_chunk_open(const struct chunk_place *place,
                            struct kv_bytes stored,
                            struct kv_bytes *ret_content,
                            struct fault *f)
{
    const uint8_t *p = stored.data;
    uint8_t tag[SEAL_TAG_SIZE];
    if (stored.size <= CHUNK_OVERHEAD || stored.size > CHUNK_OVERHEAD + CHUNK_CONTENT_MAX)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has an impossible size of %zu bytes",
             (unsigned)place->index, stored.size);
    if (p[0] != CHUNK_PLAIN)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has the unknown format %u",
             (unsigned)place->index, (unsigned)p[0]);
    chunk_tag(place, p + CHUNK_OVERHEAD, stored.size - CHUNK_OVERHEAD, tag);
    if (memcmp(tag, p + 1, sizeof tag) != 0)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u is damaged", (unsigned)place->index);
    *ret_content = kv_bytes_of(p + CHUNK_OVERHEAD, stored.size - CHUNK_OVERHEAD);
    return STATUS_OK;
}
