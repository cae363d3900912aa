#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/kv/kv_internal.h"

#include <string.h>

#define KV_CURSOR_MAGIC 0x6b766375u

enum cursor_state { CURSOR_START, CURSOR_ON, CURSOR_END };

struct kv_cursor {
    uint32_t magic;
    struct kv_txn *txn;
    MDB_cursor *cursor;
    enum kv_db db;
    const struct kv_keys *keys; /* NULL: keys and values as they are stored */
    enum cursor_state state;
    size_t prefix_size;
    size_t seek_size; /* 0: no seek, start at the prefix's first or last key */
    uint8_t prefix[KV_KEY_MAX];
    uint8_t seek[KV_KEY_MAX];
};

enum status kv_cursor_open_stored(struct kv_txn *t,
                                  enum kv_db db,
                                  struct kv_bytes prefix,
                                  struct kv_cursor **ret_cursor,
                                  struct fault *f)
{
    kv_txn_check(t);
    INVARIANT(prefix.size <= KV_KEY_MAX);
    struct kv_cursor *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a cursor");
    const int rc = mdb_cursor_open(t->txn, t->kv->dbi[db], &c->cursor);
    if (rc != 0) {
        sysio_free(c);
        FAIL_LMDB(rc, "cannot open a cursor", f);
    }
    c->magic = KV_CURSOR_MAGIC;
    c->txn = t;
    c->db = db;
    c->prefix_size = prefix.size;
    if (prefix.size)
        memcpy(c->prefix, prefix.data, prefix.size);
    t->cursors++;
    *ret_cursor = c;
    return STATUS_OK;
}

enum status kv_cursor_open(struct kv_txn *t,
                           enum kv_db db,
                           struct kv_bytes prefix,
                           struct kv_cursor **ret_cursor,
                           struct fault *f)
{
    TRY(kv_cursor_open_stored(t, db, prefix, ret_cursor, f));
    if (kv_secrecy_of(db) != KV_CLEAR)
        (*ret_cursor)->keys = t->kv->keys;
    /* Veiled keys have no order that means anything. */
    INVARIANT(!(*ret_cursor)->keys || kv_secrecy_of(db) != KV_VEILED || prefix.size == 0);
    return STATUS_OK;
}

void kv_cursor_close(struct kv_cursor *c)
{
    if (!c)
        return;
    INVARIANT(c->magic == KV_CURSOR_MAGIC);
    mdb_cursor_close(c->cursor);
    c->txn->cursors--;
    c->magic = 0;
    sysio_free(c);
}

void kv_cursor_seek(struct kv_cursor *c, struct kv_bytes key)
{
    INVARIANT(c->magic == KV_CURSOR_MAGIC && key.size > 0 && key.size <= KV_KEY_MAX);
    c->state = CURSOR_START;
    c->seek_size = key.size;
    memcpy(c->seek, key.data, key.size);
}

/* The first key >= `from`, or MDB_FIRST if it is empty. */
static int cursor_at_least(struct kv_cursor *c, struct kv_bytes from, MDB_val *k, MDB_val *v)
{
    if (from.size == 0)
        return mdb_cursor_get(c->cursor, k, v, MDB_FIRST);
    *k = kv_val_of(from);
    return mdb_cursor_get(c->cursor, k, v, MDB_SET_RANGE);
}

/* The last key < `below`, or MDB_LAST if it is empty. */
static int cursor_below(struct kv_cursor *c, struct kv_bytes below, MDB_val *k, MDB_val *v)
{
    if (below.size == 0)
        return mdb_cursor_get(c->cursor, k, v, MDB_LAST);
    *k = kv_val_of(below);
    const int rc = mdb_cursor_get(c->cursor, k, v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(c->cursor, k, v, MDB_LAST);
    return rc ? rc : mdb_cursor_get(c->cursor, k, v, MDB_PREV);
}

/* The smallest key above all keys with the prefix; size 0 if there is none. */
static size_t prefix_end(const struct kv_cursor *c, uint8_t to[KV_KEY_MAX])
{
    size_t n = c->prefix_size;
    memcpy(to, c->prefix, n);
    while (n > 0 && to[n - 1] == 0xff)
        n--;
    if (n > 0)
        to[n - 1]++;
    return n;
}

static int cursor_first(struct kv_cursor *c, MDB_val *k, MDB_val *v)
{
    if (c->seek_size)
        return cursor_at_least(c, kv_bytes_of(c->seek, c->seek_size), k, v);
    return cursor_at_least(c, kv_bytes_of(c->prefix, c->prefix_size), k, v);
}

static int cursor_last(struct kv_cursor *c, MDB_val *k, MDB_val *v)
{
    uint8_t end[KV_KEY_MAX];
    if (c->seek_size)
        return cursor_below(c, kv_bytes_of(c->seek, c->seek_size), k, v);
    return cursor_below(c, kv_bytes_of(end, prefix_end(c, end)), k, v);
}

static enum status cursor_result(struct kv_cursor *c,
                                 int rc,
                                 const MDB_val *k,
                                 const MDB_val *v,
                                 struct kv_bytes *ret_key,
                                 struct kv_bytes *ret_value,
                                 struct fault *f)
{
    if (rc != 0 && rc != MDB_NOTFOUND)
        FAIL_LMDB(rc, "cannot read", f);
    if (rc == MDB_NOTFOUND || k->mv_size < c->prefix_size ||
        memcmp(k->mv_data, c->prefix, c->prefix_size) != 0) {
        c->state = CURSOR_END;
        return STATUS_NOT_FOUND;
    }
    c->state = CURSOR_ON;
    if (c->keys)
        return kv_seal_open(c->txn, c->keys, c->db, kv_bytes_of_val(k), kv_bytes_of_val(v), ret_key,
                            ret_value, f);
    *ret_key = kv_bytes_of_val(k);
    *ret_value = kv_bytes_of_val(v);
    return STATUS_OK;
}

enum status kv_cursor_next(struct kv_cursor *c,
                           struct kv_bytes *ret_key,
                           struct kv_bytes *ret_value,
                           struct fault *f)
{
    MDB_val k = {0};
    MDB_val v = {0};
    INVARIANT(c->magic == KV_CURSOR_MAGIC);
    if (c->state == CURSOR_END)
        return STATUS_NOT_FOUND;
    kv_count_operation(c->txn->kv);
    const int rc = c->state == CURSOR_START ? cursor_first(c, &k, &v)
                                            : mdb_cursor_get(c->cursor, &k, &v, MDB_NEXT);
    return cursor_result(c, rc, &k, &v, ret_key, ret_value, f);
}

enum status kv_cursor_prev(struct kv_cursor *c,
                           struct kv_bytes *ret_key,
                           struct kv_bytes *ret_value,
                           struct fault *f)
{
    MDB_val k = {0};
    MDB_val v = {0};
    INVARIANT(c->magic == KV_CURSOR_MAGIC);
    if (c->state == CURSOR_END)
        return STATUS_NOT_FOUND;
    kv_count_operation(c->txn->kv);
    const int rc = c->state == CURSOR_START ? cursor_last(c, &k, &v)
                                            : mdb_cursor_get(c->cursor, &k, &v, MDB_PREV);
    return cursor_result(c, rc, &k, &v, ret_key, ret_value, f);
}

enum status kv_scan(struct kv_txn *txn,
                    enum kv_db db,
                    struct kv_bytes prefix,
                    kv_scan_fn *fn,
                    void *context,
                    struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, db, prefix, &c, f));
    enum status st = STATUS_OK;
    while (st == STATUS_OK) {
        st = kv_cursor_next(c, &key, &value, f);
        if (st == STATUS_NOT_FOUND) {
            st = STATUS_OK;
            break;
        }
        if (st == STATUS_OK)
            st = fn(key, value, context, f);
    }
    kv_cursor_close(c);
    return st;
}
