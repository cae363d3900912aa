#include "storage/blobs/chunk.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "proto/seal/hash.h"

#include <string.h>

#define CHUNK_PLAIN    1u
#define CHUNK_SEALED   2u
#define CHUNK_OVERHEAD (1u + SEAL_TAG_SIZE) /* of format 1 */

_Static_assert(SEAL_AEAD_SIZE == CHUNK_SEAL_MAX, "the seal does not fit into its room");
_Static_assert(CHUNK_OVERHEAD <= CHUNK_SEAL_MAX, "the seal has outgrown its room");

static const char CHUNK_CONTEXT[] = "lethe/chunk/v1";
#define CHUNK_PLACE_SIZE   (CHUNK_EXTENT_SIZE + 4)
#define CHUNK_CONTEXT_SIZE (sizeof CHUNK_CONTEXT - 1 + CHUNK_PLACE_SIZE)

static void put_place(struct byte_writer *w, const struct chunk_place *place)
{
    put_bytes(w, place->extent, CHUNK_EXTENT_SIZE);
    put_u32(w, place->index);
}

static void chunk_key(const struct seal_key *data_key, uint32_t index, struct seal_key *ret_key)
{
    uint8_t context[4];
    struct byte_writer w = byte_writer_make(context, sizeof context);
    put_u32(&w, index);
    seal_key_derive(data_key, "lethe/chunk/v2", context, sizeof context, ret_key);
}

size_t blob_chunk_seal(const struct seal_key *data_key,
                       const struct chunk_place *place,
                       const void *content,
                       size_t n,
                       uint8_t to[CHUNK_STORED_MAX])
{
    struct seal_key key;
    uint8_t where[CHUNK_PLACE_SIZE];
    struct byte_writer w = byte_writer_make(where, sizeof where);
    INVARIANT(n > 0 && n <= CHUNK_CONTENT_MAX);
    put_place(&w, place);
    chunk_key(data_key, place->index, &key);
    seal_aead_seal_marked(&key, CHUNK_SEALED, where, w.used, content, n, to);
    seal_key_wipe(&key);
    return n + SEAL_AEAD_SIZE;
}

int blob_chunk_is_plain(struct kv_bytes stored)
{
    const uint8_t *p = stored.data;
    return stored.size > CHUNK_OVERHEAD && p[0] == CHUNK_PLAIN;
}

size_t blob_chunk_content(struct kv_bytes stored)
{
    const uint8_t *p = stored.data;
    const size_t more = stored.size && p[0] == CHUNK_PLAIN ? CHUNK_OVERHEAD : SEAL_AEAD_SIZE;
    return stored.size > more && stored.size - more <= CHUNK_CONTENT_MAX ? stored.size - more : 0;
}

static enum status open_plain(
    const struct chunk_place *place, const uint8_t *stored, void *to, size_t n, struct fault *f)
{
    uint8_t context[CHUNK_CONTEXT_SIZE];
    uint8_t tag[SEAL_TAG_SIZE];
    struct byte_writer w = byte_writer_make(context, sizeof context);
    put_bytes(&w, CHUNK_CONTEXT, sizeof CHUNK_CONTEXT - 1);
    put_place(&w, place);
    seal_tag(context, w.used, stored + CHUNK_OVERHEAD, n, tag);
    if (memcmp(tag, stored + 1, sizeof tag) != 0)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u is damaged", (unsigned)place->index);
    memcpy(to, stored + CHUNK_OVERHEAD, n);
    return STATUS_OK;
}

static enum status open_sealed(const struct seal_key *data_key,
                               const struct chunk_place *place,
                               struct kv_bytes stored,
                               void *to,
                               struct fault *f)
{
    struct seal_key key;
    uint8_t where[CHUNK_PLACE_SIZE];
    struct byte_writer w = byte_writer_make(where, sizeof where);
    put_place(&w, place);
    chunk_key(data_key, place->index, &key);
    const enum status st = seal_aead_open(&key, where, w.used, stored.data, stored.size, to, NULL);
    seal_key_wipe(&key);
    if (st != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u is damaged", (unsigned)place->index);
    return STATUS_OK;
}

enum status blob_chunk_open(const struct seal_key *data_key,
                            const struct chunk_place *place,
                            struct kv_bytes stored,
                            void *to,
                            size_t n,
                            struct fault *f)
{
    const uint8_t *p = stored.data;
    const size_t there = blob_chunk_content(stored);
    if (there == 0)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has an impossible size of %zu bytes",
             (unsigned)place->index, stored.size);
    if (p[0] != CHUNK_PLAIN && p[0] != CHUNK_SEALED)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has the unknown format %u",
             (unsigned)place->index, (unsigned)p[0]);
    if (there != n)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has %zu bytes instead of %zu",
             (unsigned)place->index, there, n);
    if (p[0] == CHUNK_PLAIN)
        return open_plain(place, p, to, n, f);
    return open_sealed(data_key, place, stored, to, f);
}
