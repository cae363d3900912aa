#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/kv/kv_internal.h"

#include <string.h>

#define PLACE_MAX (16 + 1 + KV_KEY_MAX) /* database name, 0, key */

static const char *const DB_NAMES[KV_DBS] = {
#define X(name, text) text,
    SCHEMA_DATABASES(X)
#undef X
};

enum kv_secrecy kv_secrecy_of(enum kv_db db)
{
    static const uint8_t SECRECY[KV_DBS] = {
        [KV_REQUESTS] = KV_SEALED, [KV_UPLOADS] = KV_SEALED,      [KV_PINS] = KV_SEALED,
        [KV_SALTS] = KV_SEALED,    [KV_BLOBS] = KV_VEILED,        [KV_DATASETS] = KV_VEILED,
        [KV_MEMORIES] = KV_VEILED, [KV_CERTIFICATES] = KV_SEALED,
    };
    return (enum kv_secrecy)SECRECY[db];
}

/* What ties sealed bytes to their place. */
static size_t place_of(enum kv_db db, struct kv_bytes key, uint8_t to[PLACE_MAX])
{
    const size_t n = strlen(DB_NAMES[db]) + 1;
    INVARIANT(n <= PLACE_MAX - KV_KEY_MAX && key.size <= KV_KEY_MAX);
    memcpy(to, DB_NAMES[db], n);
    memcpy(to + n, key.data, key.size);
    return n + key.size;
}

struct kv_bytes kv_seal_key(const struct kv_keys *keys,
                            enum kv_db db,
                            struct kv_bytes key,
                            uint8_t to[KV_VEIL_SIZE])
{
    uint8_t place[PLACE_MAX];
    if (kv_secrecy_of(db) != KV_VEILED)
        return key;
    const size_t n = place_of(db, key, place);
    const struct digest d = seal_hash_keyed(keys->index.b, sizeof keys->index.b, place, n);
    memcpy(to, d.b, KV_VEIL_SIZE);
    return kv_bytes_of(to, KV_VEIL_SIZE);
}

enum status kv_seal_value(const struct kv_keys *keys,
                          enum kv_db db,
                          struct kv_bytes key,
                          struct kv_bytes value,
                          struct kv_bytes *ret_sealed,
                          struct fault *f)
{
    uint8_t place[PLACE_MAX];
    uint8_t veil[KV_VEIL_SIZE];
    const size_t front = kv_secrecy_of(db) == KV_VEILED ? 2 + key.size : 0;
    const size_t n = front + value.size;
    uint8_t *plain = sysio_alloc(n + n + SEAL_AEAD_SIZE, 1);
    if (!plain)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to seal a record");
    if (front) {
        plain[0] = (uint8_t)key.size;
        plain[1] = (uint8_t)(key.size >> 8);
        memcpy(plain + 2, key.data, key.size);
    }
    if (value.size)
        memcpy(plain + front, value.data, value.size);
    const size_t place_size = place_of(db, kv_seal_key(keys, db, key, veil), place);
    /* Sealed behind the plain bytes, then moved over them: one allocation, nothing left of them. */
    seal_aead_seal(&keys->records, place, place_size, plain, n, plain + n);
    memmove(plain, plain + n, n + SEAL_AEAD_SIZE);
    *ret_sealed = kv_bytes_of(plain, n + SEAL_AEAD_SIZE);
    return STATUS_OK;
}

void kv_seal_free(struct kv_bytes sealed)
{
    void *bytes;
    memcpy(&bytes, &sealed.data, sizeof bytes);
    sysio_free(bytes);
}

/* At least n bytes of the transaction's own, without what they held. */
static enum status opened_room(struct kv_txn *t, size_t n, struct fault *f)
{
    if (n > t->opened_room) {
        uint8_t *more = sysio_alloc(n, 1);
        if (!more)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a record of %zu bytes", n);
        if (t->opened)
            seal_wipe(t->opened, t->opened_room);
        sysio_free(t->opened);
        t->opened = more;
        t->opened_room = n;
    }
    t->opened_size = n;
    return STATUS_OK;
}

static enum status open_veiled(struct kv_txn *t,
                               enum kv_db db,
                               struct kv_bytes *ret_key,
                               struct kv_bytes *ret_value,
                               struct fault *f)
{
    const uint8_t *p = t->opened;
    const size_t n = t->opened_size >= 2 ? (size_t)(p[0] | p[1] << 8) : 0;
    if (n == 0 || n > KV_KEY_MAX || n + 2 > t->opened_size)
        FAIL(f, STATUS_DATA_LOSS, DB_NAMES[db], "a sealed record is malformed");
    *ret_key = kv_bytes_of(p + 2, n);
    *ret_value = kv_bytes_of(p + 2 + n, t->opened_size - 2 - n);
    return STATUS_OK;
}

enum status kv_seal_open(struct kv_txn *t,
                         const struct kv_keys *keys,
                         enum kv_db db,
                         struct kv_bytes stored_key,
                         struct kv_bytes stored,
                         struct kv_bytes *ret_key,
                         struct kv_bytes *ret_value,
                         struct fault *f)
{
    uint8_t place[PLACE_MAX];
    if (stored.size < SEAL_AEAD_SIZE)
        FAIL(f, STATUS_DATA_LOSS, DB_NAMES[db], "a sealed record is cut off");
    TRY(opened_room(t, stored.size - SEAL_AEAD_SIZE + 1, f));
    t->opened_size = stored.size - SEAL_AEAD_SIZE;
    const size_t n = place_of(db, stored_key, place);
    if (seal_aead_open(&keys->records, place, n, stored.data, stored.size, t->opened, NULL) !=
        STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, DB_NAMES[db],
             "a sealed record is damaged, or sealed under another key");
    if (kv_secrecy_of(db) == KV_VEILED)
        return open_veiled(t, db, ret_key, ret_value, f);
    *ret_key = stored_key;
    *ret_value = kv_bytes_of(t->opened, t->opened_size);
    return STATUS_OK;
}

void kv_set_keys(struct kv *kv, const struct kv_keys *keys)
{
    INVARIANT(kv->magic == KV_MAGIC && kv->open == 0);
    kv->keys = keys;
}

/* ---------------------------------------------------------------- sealing anew */

/* Records taken out of one database: u32 key size, u32 value size, key, value, again and again. */
struct taken {
    uint8_t *bytes;
    size_t size;
    size_t room;
};

static void taken_fini(struct taken *x)
{
    if (x->bytes)
        seal_wipe(x->bytes, x->room);
    sysio_free(x->bytes);
    *x = (struct taken){0};
}

static enum status
taken_add(struct taken *x, struct kv_bytes key, struct kv_bytes value, struct fault *f)
{
    const uint32_t sizes[2] = {(uint32_t)key.size, (uint32_t)value.size};
    const size_t n = sizeof sizes + key.size + value.size;
    if (x->size + n > x->room) {
        struct taken more = {.size = x->size, .room = 2 * x->room + n};
        more.bytes = sysio_alloc(more.room, 1);
        if (!more.bytes)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to seal %zu bytes of records", more.room);
        if (x->size)
            memcpy(more.bytes, x->bytes, x->size);
        taken_fini(x);
        *x = more;
    }
    memcpy(x->bytes + x->size, sizes, sizeof sizes);
    memcpy(x->bytes + x->size + sizeof sizes, key.data, key.size);
    if (value.size)
        memcpy(x->bytes + x->size + sizeof sizes + key.size, value.data, value.size);
    x->size += n;
    return STATUS_OK;
}

static enum status take_all(
    struct kv_txn *t, const struct kv_keys *from, enum kv_db db, struct taken *x, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open_stored(t, db, kv_bytes_of(NULL, 0), &c, f));
    enum status st;
    while ((st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        if (from)
            st = kv_seal_open(t, from, db, key, value, &key, &value, f);
        if (st == STATUS_OK)
            st = taken_add(x, key, value, f);
        if (st != STATUS_OK)
            break;
    }
    kv_cursor_close(c);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status put_sealed(struct kv_txn *t,
                              const struct kv_keys *keys,
                              enum kv_db db,
                              struct kv_bytes key,
                              struct kv_bytes value,
                              struct fault *f)
{
    uint8_t veil[KV_VEIL_SIZE];
    struct kv_bytes sealed = {0};
    TRY(kv_seal_value(keys, db, key, value, &sealed, f));
    const enum status st = kv_put_stored(t, db, kv_seal_key(keys, db, key, veil), sealed, f);
    kv_seal_free(sealed);
    return st;
}

static enum status put_all(struct kv_txn *t,
                           const struct kv_keys *to,
                           enum kv_db db,
                           const struct taken *x,
                           struct fault *f)
{
    for (size_t at = 0; at < x->size;) {
        uint32_t sizes[2];
        memcpy(sizes, x->bytes + at, sizeof sizes);
        const uint8_t *key = x->bytes + at + sizeof sizes;
        TRY(put_sealed(t, to, db, kv_bytes_of(key, sizes[0]), kv_bytes_of(key + sizes[0], sizes[1]),
                       f));
        at += sizeof sizes + sizes[0] + sizes[1];
    }
    return STATUS_OK;
}

enum status
kv_reseal(struct kv_txn *txn, const struct kv_keys *from, const struct kv_keys *to, struct fault *f)
{
    enum status st = STATUS_OK;
    for (unsigned db = 0; db < KV_DBS && st == STATUS_OK; db++) {
        struct taken x = {0};
        if (kv_secrecy_of((enum kv_db)db) == KV_CLEAR)
            continue;
        st = take_all(txn, from, (enum kv_db)db, &x, f);
        if (st == STATUS_OK)
            st = kv_clear(txn, (enum kv_db)db, f);
        if (st == STATUS_OK)
            st = put_all(txn, to, (enum kv_db)db, &x, f);
        taken_fini(&x);
    }
    return st;
}
