#include "storage/blobs/extents.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <string.h>

#define EXTENT_KEY_SIZE (CHUNK_EXTENT_SIZE + 4)
#define NO_CHUNK        UINT32_MAX

struct extent extent_make(void)
{
    struct extent e = {.size = 0};
    do {
        seal_random(e.name, sizeof e.name);
    } while (extent_is_none(&e));
    return e;
}

int extent_is_none(const struct extent *e)
{
    static const uint8_t ZERO[CHUNK_EXTENT_SIZE];
    return memcmp(e->name, ZERO, sizeof ZERO) == 0;
}

static struct chunk_place place_of(const struct extent *e, uint32_t index)
{
    struct chunk_place p = {.index = index};
    memcpy(p.extent, e->name, sizeof p.extent);
    return p;
}

static struct kv_bytes key_of(const struct chunk_place *p, uint8_t key[EXTENT_KEY_SIZE])
{
    memcpy(key, p->extent, CHUNK_EXTENT_SIZE);
    for (size_t i = 0; i < 4; i++)
        key[CHUNK_EXTENT_SIZE + i] = (uint8_t)(p->index >> (8 * (3 - i)));
    return kv_bytes_of(key, EXTENT_KEY_SIZE);
}

/* Bytes of content that chunk `index` must hold. */
static size_t chunk_size(const struct extent *e, uint32_t index)
{
    const uint64_t left = e->size - (uint64_t)index * CHUNK_CONTENT_MAX;
    return left < CHUNK_CONTENT_MAX ? (size_t)left : CHUNK_CONTENT_MAX;
}

static enum status open_chunk(struct kv_txn *txn,
                              const struct extent *e,
                              uint32_t index,
                              struct kv_bytes *ret_content,
                              struct fault *f)
{
    uint8_t key[EXTENT_KEY_SIZE];
    struct kv_bytes stored = {0};
    const struct chunk_place place = place_of(e, index);
    const enum status st = kv_get(txn, KV_CHUNKS, key_of(&place, key), &stored, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u is missing", (unsigned)index);
    TRY(st);
    TRY(blob_chunk_open(&place, stored, ret_content, f));
    if (ret_content->size != chunk_size(e, index))
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has %zu bytes instead of %zu", (unsigned)index,
             ret_content->size, chunk_size(e, index));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- writing */

/* Fills one chunk of `e` from its present end on; *ret_taken says how much went into it. */
static enum status append_chunk(struct kv_txn *txn,
                                struct extent *e,
                                uint8_t *content,
                                uint8_t *sealed,
                                struct kv_bytes bytes,
                                size_t *ret_taken,
                                struct fault *f)
{
    uint8_t key[EXTENT_KEY_SIZE];
    const uint32_t index = (uint32_t)(e->size / CHUNK_CONTENT_MAX);
    const size_t old = (size_t)(e->size % CHUNK_CONTENT_MAX);
    const size_t room = CHUNK_CONTENT_MAX - old;
    const size_t n = bytes.size < room ? bytes.size : room;
    const struct chunk_place place = place_of(e, index);
    if (old) {
        struct kv_bytes before = {0};
        TRY(open_chunk(txn, e, index, &before, f));
        memcpy(content, before.data, old);
    }
    memcpy(content + old, bytes.data, n);
    const size_t stored = blob_chunk_seal(&place, content, old + n, sealed);
    TRY(kv_put(txn, KV_CHUNKS, key_of(&place, key), kv_bytes_of(sealed, stored), f));
    e->size += n;
    *ret_taken = n;
    return STATUS_OK;
}

enum status
extent_append(struct kv_txn *txn, struct extent *e, const void *bytes, size_t n, struct fault *f)
{
    struct extent grown = *e;
    const uint8_t *from = bytes;
    INVARIANT(!extent_is_none(e));
    if (n > EXTENT_SIZE_MAX - e->size)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "size", "more than %llu bytes in one piece of content",
             (unsigned long long)EXTENT_SIZE_MAX);
    if (n == 0)
        return STATUS_OK;
    uint8_t *buffers = sysio_alloc(2, CHUNK_STORED_MAX);
    if (!buffers)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a chunk");
    enum status st = STATUS_OK;
    while (st == STATUS_OK && n > 0) {
        size_t taken = 0;
        st = append_chunk(txn, &grown, buffers, buffers + CHUNK_STORED_MAX, kv_bytes_of(from, n),
                          &taken, f);
        from += taken;
        n -= taken;
    }
    sysio_free(buffers);
    if (st == STATUS_OK)
        *e = grown;
    return st;
}

enum status extent_delete(struct kv_txn *txn, const struct extent *e, struct fault *f)
{
    uint8_t key[EXTENT_KEY_SIZE];
    if (extent_is_none(e))
        return STATUS_OK;
    for (uint32_t i = 0; (uint64_t)i * CHUNK_CONTENT_MAX < e->size; i++) {
        const struct chunk_place place = place_of(e, i);
        const enum status st = kv_del(txn, KV_CHUNKS, key_of(&place, key), f);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- reading */

void extent_reader_init(struct extent_reader *r, struct kv_txn *txn, const struct extent *e)
{
    *r = (struct extent_reader){.txn = txn, .extent = *e, .open_index = NO_CHUNK};
}

static enum status reader_open(struct extent_reader *r, uint32_t index, struct fault *f)
{
    if (r->open_index == index)
        return STATUS_OK;
    r->open_index = NO_CHUNK;
    TRY(open_chunk(r->txn, &r->extent, index, &r->open, f));
    r->open_index = index;
    return STATUS_OK;
}

enum status
extent_read(struct extent_reader *r, uint64_t offset, void *to, size_t n, struct fault *f)
{
    uint8_t *p = to;
    if (offset > r->extent.size || n > r->extent.size - offset)
        FAIL(f, STATUS_OUT_OF_RANGE, "offset", "bytes %llu to %llu of %llu",
             (unsigned long long)offset, (unsigned long long)(offset + n),
             (unsigned long long)r->extent.size);
    while (n > 0) {
        const size_t skip = (size_t)(offset % CHUNK_CONTENT_MAX);
        TRY(reader_open(r, (uint32_t)(offset / CHUNK_CONTENT_MAX), f));
        const size_t there = r->open.size - skip;
        const size_t part = n < there ? n : there;
        memcpy(p, (const uint8_t *)r->open.data + skip, part);
        p += part;
        offset += part;
        n -= part;
    }
    return STATUS_OK;
}

enum status extent_digest(struct kv_txn *txn,
                          const struct extent *e,
                          struct digest *ret_digest,
                          struct fault *f)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    for (uint32_t i = 0; (uint64_t)i * CHUNK_CONTENT_MAX < e->size; i++) {
        struct kv_bytes content = {0};
        TRY(open_chunk(txn, e, i, &content, f));
        seal_hash_update(&h, content.data, content.size);
    }
    *ret_digest = seal_hash_final(&h);
    return STATUS_OK;
}

enum status extent_load(struct kv_txn *txn,
                        const struct extent *e,
                        size_t max,
                        void **ret_bytes,
                        size_t *ret_size,
                        struct fault *f)
{
    if (e->size > max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "size", "%llu bytes of content, limit %zu",
             (unsigned long long)e->size, max);
    struct extent_reader r;
    void *bytes = sysio_alloc((size_t)e->size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %llu bytes", (unsigned long long)e->size);
    extent_reader_init(&r, txn, e);
    const enum status st = extent_read(&r, 0, bytes, (size_t)e->size, f);
    if (st != STATUS_OK) {
        sysio_free(bytes);
        return st;
    }
    *ret_bytes = bytes;
    *ret_size = (size_t)e->size;
    return STATUS_OK;
}
