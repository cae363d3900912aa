#include "daemon/base/sysio.h"
#include "storage/store/store_internal.h"
#include "storage/vault/data_keys.h"

#include <string.h>

/* 64 chunks are 4 MB: small enough for any map, large enough to be quick. */
#define BATCH     64u
#define CHUNK_KEY (CHUNK_EXTENT_SIZE + 4)

struct upgrade {
    uint8_t last[CHUNK_KEY]; /* the chunk that was looked at last, durable with its batch */
    size_t last_size;        /* 0: none yet */
    uint8_t keys[BATCH][CHUNK_KEY];
    uint32_t n;
    int done;
    uint8_t content[CHUNK_CONTENT_MAX];
    uint8_t sealed[CHUNK_STORED_MAX];
};

/* The next chunks that are still plain; `done` if there are fewer than a batch. */
static enum status find_plain(struct kv_txn *txn, struct upgrade *u, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    uint8_t from[CHUNK_KEY + 1] = {0};
    u->n = 0;
    TRY(kv_cursor_open(txn, KV_CHUNKS, kv_bytes_of(NULL, 0), &c, f));
    memcpy(from, u->last, u->last_size);
    if (u->last_size > 0)
        kv_cursor_seek(c, kv_bytes_of(from, sizeof from));
    enum status st = STATUS_OK;
    while (u->n < BATCH && (st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        if (key.size == CHUNK_KEY && blob_chunk_is_plain(value))
            memcpy(u->keys[u->n++], key.data, CHUNK_KEY);
    }
    kv_cursor_close(c);
    u->done = st == STATUS_NOT_FOUND;
    return u->done ? STATUS_OK : st;
}

static enum status
seal_one(struct kv_txn *txn, struct upgrade *u, const uint8_t *key, struct fault *f)
{
    struct kv_bytes stored = {0};
    struct chunk_place place = {.index = 0};
    struct seal_key data_key;
    memcpy(place.extent, key, CHUNK_EXTENT_SIZE);
    for (size_t i = CHUNK_EXTENT_SIZE; i < CHUNK_KEY; i++)
        place.index = place.index << 8 | key[i];
    TRY(kv_get(txn, KV_CHUNKS, kv_bytes_of(key, CHUNK_KEY), &stored, f));
    const size_t n = blob_chunk_content(stored);
    TRY(blob_chunk_open(NULL, &place, stored, u->content, n, f));
    enum status st = data_key_get(txn, place.extent, &data_key, f);
    if (st == STATUS_NOT_FOUND)
        st = data_key_make(txn, place.extent, &data_key, f);
    TRY(st);
    const size_t size = blob_chunk_seal(&data_key, &place, u->content, n, u->sealed);
    seal_key_wipe(&data_key);
    return kv_put(txn, KV_CHUNKS, kv_bytes_of(key, CHUNK_KEY), kv_bytes_of(u->sealed, size), f);
}

static enum status seal_batch(struct kv_txn *txn, void *context, struct fault *f)
{
    struct upgrade *u = context;
    TRY(find_plain(txn, u, f));
    for (uint32_t i = 0; i < u->n; i++)
        TRY(seal_one(txn, u, u->keys[i], f));
    return STATUS_OK;
}

static enum status seal_chunks(struct store *s, struct fault *f)
{
    struct upgrade *u = sysio_alloc(1, sizeof *u);
    if (!u)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to seal the store");
    enum status st = STATUS_OK;
    while (st == STATUS_OK && !u->done) {
        st = kv_update(s->kv, seal_batch, u, f);
        if (st == STATUS_OK && u->n > 0) {
            memcpy(u->last, u->keys[u->n - 1], CHUNK_KEY);
            u->last_size = CHUNK_KEY;
        }
    }
    seal_wipe(u, sizeof *u);
    sysio_free(u);
    return st;
}

static enum status note_sealed(struct kv_txn *txn, void *context, struct fault *f)
{
    (void)context;
    return vault_sealed(txn, f);
}

static enum status is_unsealed(struct store *s, int *ret_unsealed, struct fault *f)
{
    struct kv_txn *txn;
    TRY(kv_begin(s->kv, KV_READ, &txn, f));
    const enum status st = vault_unsealed(txn, ret_unsealed, f);
    kv_abort(txn);
    return st;
}

enum status store_upgrade(struct store *s, struct fault *f)
{
    int unsealed = 0;
    TRY(is_unsealed(s, &unsealed, f));
    if (!unsealed)
        return STATUS_OK;
    enum status st = seal_chunks(s, f);
    if (st == STATUS_OK)
        st = kv_compact(s->kv, f);
    if (st == STATUS_OK)
        st = kv_update(s->kv, note_sealed, NULL, f);
    if (st != STATUS_OK)
        fault_prefix(f, "sealing the store");
    return st;
}
