#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/vault/vault_internal.h"

#include <string.h>

#define PLACE_SIZE  (DATA_KEY_NAME_SIZE + 8)
#define BATCH       1024u
#define DEAD_NUMBER "dead-keys"

struct row {
    uint8_t name[DATA_KEY_NAME_SIZE];
    uint8_t wrapped[SEAL_WRAPPED_SIZE];
};

static void place_of(const uint8_t *name, uint64_t epoch, uint8_t to[PLACE_SIZE])
{
    struct byte_writer w = byte_writer_make(to, PLACE_SIZE);
    put_bytes(&w, name, DATA_KEY_NAME_SIZE);
    put_u64(&w, epoch);
}

static struct kv_bytes key_of(const uint8_t *name)
{
    return kv_bytes_of(name, DATA_KEY_NAME_SIZE);
}

static void wrap(const struct epoch_keys *by,
                 const uint8_t *name,
                 const struct seal_key *key,
                 uint8_t ret_wrapped[SEAL_WRAPPED_SIZE])
{
    uint8_t place[PLACE_SIZE];
    place_of(name, by->epoch, place);
    seal_key_wrap(&by->wrap, place, sizeof place, key, ret_wrapped);
}

static enum status unwrap(const struct epoch_keys *by,
                          const uint8_t *name,
                          struct kv_bytes row,
                          struct seal_key *ret_key,
                          struct fault *f)
{
    uint8_t place[PLACE_SIZE];
    place_of(name, by->epoch, place);
    if (row.size != SEAL_WRAPPED_SIZE ||
        seal_key_unwrap(&by->wrap, place, sizeof place, row.data, ret_key, NULL) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "keys", "the row of a data key is damaged");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the cache */

static struct cached_key *slot_of(struct vault *v, const uint8_t *name)
{
    return &v->secrets->cache[name[0] % VAULT_CACHE_SLOTS];
}

static int cache_get(struct vault *v, const uint8_t *name, struct seal_key *ret_key)
{
    (void)pthread_mutex_lock(&v->cache_lock);
    const struct cached_key *slot = slot_of(v, name);
    const int found = slot->used && memcmp(slot->name, name, DATA_KEY_NAME_SIZE) == 0;
    if (found)
        *ret_key = slot->key;
    (void)pthread_mutex_unlock(&v->cache_lock);
    return found;
}

static void cache_put(struct vault *v, const uint8_t *name, const struct seal_key *key)
{
    (void)pthread_mutex_lock(&v->cache_lock);
    struct cached_key *slot = slot_of(v, name);
    memcpy(slot->name, name, DATA_KEY_NAME_SIZE);
    slot->key = *key;
    slot->used = 1;
    (void)pthread_mutex_unlock(&v->cache_lock);
}

static void cache_drop(struct vault *v, const uint8_t *name)
{
    (void)pthread_mutex_lock(&v->cache_lock);
    struct cached_key *slot = slot_of(v, name);
    if (slot->used && memcmp(slot->name, name, DATA_KEY_NAME_SIZE) == 0) {
        seal_key_wipe(&slot->key);
        slot->used = 0;
    }
    (void)pthread_mutex_unlock(&v->cache_lock);
}

void vault_forget_keys(struct vault *v)
{
    (void)pthread_mutex_lock(&v->cache_lock);
    for (size_t i = 0; i < VAULT_CACHE_SLOTS; i++) {
        seal_key_wipe(&v->secrets->cache[i].key);
        v->secrets->cache[i].used = 0;
    }
    (void)pthread_mutex_unlock(&v->cache_lock);
}

/* ---------------------------------------------------------------- rows */

enum status data_key_make(struct kv_txn *txn,
                          const uint8_t name[DATA_KEY_NAME_SIZE],
                          struct seal_key *ret_key,
                          struct fault *f)
{
    uint8_t wrapped[SEAL_WRAPPED_SIZE];
    const struct vault *v = vault_of(txn);
    seal_key_make(ret_key);
    wrap(&v->secrets->now, name, ret_key, wrapped);
    return kv_put(txn, KV_KEYS, key_of(name), kv_bytes_of(wrapped, sizeof wrapped), f);
}

/*
 * The row is looked up in any case: a key whose row this transaction does not see is gone for it.
 * Only read transactions fill the cache, as a writer may see a row that is never committed.
 */
enum status data_key_get(struct kv_txn *txn,
                         const uint8_t name[DATA_KEY_NAME_SIZE],
                         struct seal_key *ret_key,
                         struct fault *f)
{
    struct kv_bytes row = {0};
    struct vault *v = vault_of(txn);
    TRY(kv_get(txn, KV_KEYS, key_of(name), &row, f));
    if (cache_get(v, name, ret_key))
        return STATUS_OK;
    TRY(unwrap(&v->secrets->now, name, row, ret_key, f));
    if (kv_is_read(txn))
        cache_put(v, name, ret_key);
    return STATUS_OK;
}

enum status
data_key_delete(struct kv_txn *txn, const uint8_t name[DATA_KEY_NAME_SIZE], struct fault *f)
{
    uint64_t dead = 0;
    const enum status st = kv_del(txn, KV_KEYS, key_of(name), f);
    cache_drop(vault_of(txn), name);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    TRY(vault_get_number(txn, DEAD_NUMBER, &dead, f));
    return vault_put_number(txn, DEAD_NUMBER, dead + 1, f);
}

/* ---------------------------------------------------------------- all rows */

/* Copies up to BATCH rows behind `after` (NULL: from the first). */
static enum status read_batch(
    struct kv_txn *txn, const uint8_t *after, struct row *rows, size_t *ret_n, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    size_t n = 0;
    TRY(kv_cursor_open(txn, KV_KEYS, kv_bytes_of(NULL, 0), &c, f));
    if (after) {
        uint8_t from[DATA_KEY_NAME_SIZE + 1] = {0};
        memcpy(from, after, DATA_KEY_NAME_SIZE);
        kv_cursor_seek(c, kv_bytes_of(from, sizeof from));
    }
    enum status st = STATUS_OK;
    while (n < BATCH && (st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        if (key.size != DATA_KEY_NAME_SIZE || value.size != SEAL_WRAPPED_SIZE) {
            st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "keys",
                           "the row of a data key is damaged");
            break;
        }
        memcpy(rows[n].name, key.data, key.size);
        memcpy(rows[n++].wrapped, value.data, value.size);
    }
    kv_cursor_close(c);
    *ret_n = n;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status rewrap_batch(struct kv_txn *txn,
                                const struct epoch_keys *from,
                                const struct epoch_keys *to,
                                struct row *rows,
                                size_t n,
                                struct fault *f)
{
    struct seal_key key;
    enum status st = STATUS_OK;
    for (size_t i = 0; i < n && st == STATUS_OK; i++) {
        st = unwrap(from, rows[i].name, kv_bytes_of(rows[i].wrapped, SEAL_WRAPPED_SIZE), &key, f);
        if (st != STATUS_OK)
            break;
        wrap(to, rows[i].name, &key, rows[i].wrapped);
        st = kv_put(txn, KV_KEYS, key_of(rows[i].name),
                    kv_bytes_of(rows[i].wrapped, SEAL_WRAPPED_SIZE), f);
    }
    seal_key_wipe(&key);
    return st;
}

enum status data_keys_rewrap(struct kv_txn *txn,
                             const struct epoch_keys *from,
                             const struct epoch_keys *to,
                             uint64_t *ret_n,
                             struct fault *f)
{
    uint64_t total = 0;
    size_t n = 0;
    uint8_t last[DATA_KEY_NAME_SIZE];
    struct row *rows = sysio_alloc(BATCH, sizeof *rows);
    if (!rows)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to wrap keys");
    enum status st;
    do {
        st = read_batch(txn, total ? last : NULL, rows, &n, f);
        if (st == STATUS_OK && n > 0)
            st = rewrap_batch(txn, from, to, rows, n, f);
        if (n > 0)
            memcpy(last, rows[n - 1].name, sizeof last);
        total += n;
    } while (st == STATUS_OK && n == BATCH);
    sysio_free(rows);
    if (st == STATUS_OK)
        *ret_n = total;
    return st;
}
