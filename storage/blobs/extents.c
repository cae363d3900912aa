#include "storage/blobs/extents.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/vault/data_keys.h"

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

/*
 * The extent's data key.  Without one its chunks may still be from before encryption; a sealed one
 * then has lost its key, which is damage.
 */
static enum status find_key(struct kv_txn *txn,
                            const struct extent *e,
                            struct seal_key *ret_key,
                            int *ret_has,
                            struct fault *f)
{
    const enum status st = data_key_get(txn, e->name, ret_key, f);
    *ret_has = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* Opens chunk `index` into `to`, which has room for it; gives its size.  key NULL: there is none.
 */
static enum status open_chunk(struct kv_txn *txn,
                              const struct extent *e,
                              const struct seal_key *key,
                              uint32_t index,
                              uint8_t *to,
                              size_t *ret_size,
                              struct fault *f)
{
    uint8_t at[EXTENT_KEY_SIZE];
    struct kv_bytes stored = {0};
    const struct chunk_place place = place_of(e, index);
    const size_t n = chunk_size(e, index);
    const enum status st = kv_get(txn, KV_CHUNKS, key_of(&place, at), &stored, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u is missing", (unsigned)index);
    TRY(st);
    if (!key && !blob_chunk_is_plain(stored))
        FAIL(f, STATUS_DATA_LOSS, "chunk", "chunk %u has lost its key", (unsigned)index);
    TRY(blob_chunk_open(key, &place, stored, to, n, f));
    *ret_size = n;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- writing */

/* What appending works with: the key, a chunk's content and its sealed form. */
struct append {
    struct seal_key key;
    uint8_t content[CHUNK_CONTENT_MAX];
    uint8_t sealed[CHUNK_STORED_MAX];
};

/* Fills one chunk of `e` from its present end on; *ret_taken says how much went into it. */
static enum status append_chunk(struct kv_txn *txn,
                                struct extent *e,
                                struct append *a,
                                struct kv_bytes bytes,
                                size_t *ret_taken,
                                struct fault *f)
{
    uint8_t at[EXTENT_KEY_SIZE];
    const uint32_t index = (uint32_t)(e->size / CHUNK_CONTENT_MAX);
    size_t old = (size_t)(e->size % CHUNK_CONTENT_MAX);
    const size_t room = CHUNK_CONTENT_MAX - old;
    const size_t n = bytes.size < room ? bytes.size : room;
    const struct chunk_place place = place_of(e, index);
    if (old)
        TRY(open_chunk(txn, e, &a->key, index, a->content, &old, f));
    memcpy(a->content + old, bytes.data, n);
    const size_t stored = blob_chunk_seal(&a->key, &place, a->content, old + n, a->sealed);
    TRY(kv_put(txn, KV_CHUNKS, key_of(&place, at), kv_bytes_of(a->sealed, stored), f));
    e->size += n;
    *ret_taken = n;
    return STATUS_OK;
}

static enum status append_all(struct kv_txn *txn,
                              struct extent *e,
                              struct append *a,
                              const uint8_t *from,
                              size_t n,
                              struct fault *f)
{
    int has_key = 0;
    TRY(find_key(txn, e, &a->key, &has_key, f));
    if (!has_key)
        TRY(data_key_make(txn, e->name, &a->key, f));
    while (n > 0) {
        size_t taken = 0;
        TRY(append_chunk(txn, e, a, kv_bytes_of(from, n), &taken, f));
        from += taken;
        n -= taken;
    }
    return STATUS_OK;
}

enum status
extent_append(struct kv_txn *txn, struct extent *e, const void *bytes, size_t n, struct fault *f)
{
    struct extent grown = *e;
    INVARIANT(!extent_is_none(e));
    if (n > EXTENT_SIZE_MAX - e->size)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "size", "more than %llu bytes in one piece of content",
             (unsigned long long)EXTENT_SIZE_MAX);
    if (n == 0)
        return STATUS_OK;
    struct append *a = sysio_alloc(1, sizeof *a);
    if (!a)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a chunk");
    const enum status st = append_all(txn, &grown, a, bytes, n, f);
    seal_wipe(a, sizeof *a);
    sysio_free(a);
    if (st == STATUS_OK)
        *e = grown;
    return st;
}

enum status extent_delete(struct kv_txn *txn, const struct extent *e, struct fault *f)
{
    uint8_t key[EXTENT_KEY_SIZE];
    if (extent_is_none(e))
        return STATUS_OK;
    TRY(data_key_delete(txn, e->name, f));
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

void extent_reader_fini(struct extent_reader *r)
{
    if (r->open)
        seal_wipe(r->open, CHUNK_CONTENT_MAX);
    sysio_free(r->open);
    r->open = NULL;
    r->open_index = NO_CHUNK;
    seal_key_wipe(&r->key);
    r->has_key = 0;
}

static enum status
open_into(struct extent_reader *r, uint32_t index, uint8_t *to, size_t *ret_size, struct fault *f)
{
    if (!r->has_key)
        TRY(find_key(r->txn, &r->extent, &r->key, &r->has_key, f));
    return open_chunk(r->txn, &r->extent, r->has_key ? &r->key : NULL, index, to, ret_size, f);
}

/* Opens a chunk of which only a part is wanted, for this read and those that follow. */
static enum status keep_open(struct extent_reader *r, uint32_t index, struct fault *f)
{
    if (r->open_index == index)
        return STATUS_OK;
    if (!r->open)
        r->open = sysio_alloc(1, CHUNK_CONTENT_MAX);
    if (!r->open)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a chunk");
    r->open_index = NO_CHUNK;
    TRY(open_into(r, index, r->open, &r->open_size, f));
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
        const uint32_t index = (uint32_t)(offset / CHUNK_CONTENT_MAX);
        const size_t skip = (size_t)(offset % CHUNK_CONTENT_MAX);
        const size_t there = chunk_size(&r->extent, index) - skip;
        size_t part = n < there ? n : there;
        if (skip == 0 && part == there && r->open_index != index) {
            TRY(open_into(r, index, p, &part, f));
        } else {
            TRY(keep_open(r, index, f));
            memcpy(p, r->open + skip, part);
        }
        p += part;
        offset += part;
        n -= part;
    }
    return STATUS_OK;
}

static enum status hash_all(struct extent_reader *r, struct seal_hasher *h, struct fault *f)
{
    for (uint32_t i = 0; (uint64_t)i * CHUNK_CONTENT_MAX < r->extent.size; i++) {
        TRY(keep_open(r, i, f));
        seal_hash_update(h, r->open, r->open_size);
    }
    return STATUS_OK;
}

enum status extent_digest(struct kv_txn *txn,
                          const struct extent *e,
                          struct digest *ret_digest,
                          struct fault *f)
{
    struct seal_hasher h;
    struct extent_reader r;
    seal_hash_init(&h);
    extent_reader_init(&r, txn, e);
    const enum status st = hash_all(&r, &h, f);
    extent_reader_fini(&r);
    TRY(st);
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
    extent_reader_fini(&r);
    if (st != STATUS_OK) {
        sysio_free(bytes);
        return st;
    }
    *ret_bytes = bytes;
    *ret_size = (size_t)e->size;
    return STATUS_OK;
}
