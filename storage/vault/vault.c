#include "storage/vault/vault.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

#define SECRET_PREFIX "secret-"
#define SEALED_SECRET (SEAL_KEY_SIZE + SEAL_AEAD_SIZE)
#define CHECK_NAME    "kek-check"
#define SECRETS_MAX   32u

static struct kv_bytes name_key(const char *name)
{
    return kv_bytes_of(name, strlen(name));
}

/* ---------------------------------------------------------------- keys of an epoch */

void vault_derive(const struct seal_key *kek,
                  const struct request_id *identity,
                  uint64_t epoch,
                  struct epoch_keys *ret_keys)
{
    const uint8_t *id = identity->b;
    ret_keys->epoch = epoch;
    seal_key_derive(kek, "lethe/wrap/v1", id, REQUEST_ID_SIZE, &ret_keys->wrap);
    seal_key_derive(kek, "lethe/secrets/v1", id, REQUEST_ID_SIZE, &ret_keys->secret);
    seal_key_derive(kek, "lethe/records/v1", id, REQUEST_ID_SIZE, &ret_keys->kv.records);
    seal_key_derive(kek, "lethe/index/v1", id, REQUEST_ID_SIZE, &ret_keys->kv.index);
}

struct vault *vault_of(const struct kv_txn *txn)
{
    struct vault *v = kv_owner(txn);
    INVARIANT(v && v->magic == VAULT_MAGIC);
    return v;
}

/* ---------------------------------------------------------------- meta records */

enum status vault_get_number(struct kv_txn *txn, const char *name, uint64_t *ret_x, struct fault *f)
{
    struct kv_bytes value = {0};
    const enum status st = kv_get(txn, KV_META, name_key(name), &value, f);
    if (st == STATUS_NOT_FOUND) {
        *ret_x = 0;
        return STATUS_OK;
    }
    TRY(st);
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const uint64_t x = get_u64(&r);
    if (!byte_reader_done(&r))
        FAIL(f, STATUS_DATA_LOSS, name, "the record is damaged");
    *ret_x = x;
    return STATUS_OK;
}

enum status vault_put_number(struct kv_txn *txn, const char *name, uint64_t x, struct fault *f)
{
    uint8_t value[8];
    struct byte_writer w = byte_writer_make(value, sizeof value);
    if (x == 0) {
        const enum status st = kv_del(txn, KV_META, name_key(name), f);
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    }
    put_u64(&w, x);
    return kv_put(txn, KV_META, name_key(name), kv_bytes_of(value, w.used), f);
}

static enum status put_secret(struct kv_txn *txn,
                              const struct epoch_keys *keys,
                              const char *name,
                              const struct seal_key *secret,
                              struct fault *f)
{
    uint8_t sealed[SEALED_SECRET];
    seal_aead_seal(&keys->secret, name, strlen(name), secret->b, sizeof secret->b, sealed);
    return kv_put(txn, KV_META, name_key(name), kv_bytes_of(sealed, sizeof sealed), f);
}

static enum status get_secret(struct kv_txn *txn,
                              const struct epoch_keys *keys,
                              const char *name,
                              struct seal_key *ret_secret,
                              struct fault *f)
{
    struct kv_bytes value = {0};
    TRY(kv_get(txn, KV_META, name_key(name), &value, f));
    if (value.size != SEALED_SECRET || seal_aead_open(&keys->secret, name, strlen(name), value.data,
                                                      value.size, ret_secret->b, NULL) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "secret", "the record \"%s\" is damaged", name);
    return STATUS_OK;
}

enum status
vault_secret(struct kv_txn *txn, const char *name, struct seal_key *ret_secret, struct fault *f)
{
    char key[sizeof SECRET_PREFIX + VAULT_NAME_MAX];
    const struct epoch_keys *keys = &vault_of(txn)->secrets->now;
    INVARIANT(name[0] && strlen(name) <= VAULT_NAME_MAX);
    (void)snprintf(key, sizeof key, SECRET_PREFIX "%s", name);
    const enum status st = get_secret(txn, keys, key, ret_secret, f);
    if (st != STATUS_NOT_FOUND)
        return st;
    if (kv_is_read(txn))
        FAIL(f, STATUS_NOT_FOUND, "secret", "the secret \"%s\" was never made", name);
    seal_key_make(ret_secret);
    return put_secret(txn, keys, key, ret_secret, f);
}

/* The names of all secrets; they are few. */
static enum status
list_secrets(struct kv_txn *txn, char (*names)[64], size_t *ret_n, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    size_t n = 0;
    TRY(kv_cursor_open(txn, KV_META, name_key(SECRET_PREFIX), &c, f));
    enum status st;
    while ((st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        if (n == SECRETS_MAX || key.size >= sizeof names[0]) {
            st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "secret",
                           "the list of secrets is damaged");
            break;
        }
        memcpy(names[n], key.data, key.size);
        names[n++][key.size] = '\0';
    }
    kv_cursor_close(c);
    *ret_n = n;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status reseal_secrets(struct kv_txn *txn,
                                  const struct epoch_keys *from,
                                  const struct epoch_keys *to,
                                  struct fault *f)
{
    char names[SECRETS_MAX][64];
    size_t n = 0;
    struct seal_key secret;
    TRY(list_secrets(txn, names, &n, f));
    enum status st = STATUS_OK;
    for (size_t i = 0; i < n && st == STATUS_OK; i++) {
        st = get_secret(txn, from, names[i], &secret, f);
        if (st == STATUS_OK)
            st = put_secret(txn, to, names[i], &secret, f);
    }
    seal_key_wipe(&secret);
    return st;
}

enum status vault_put_epoch(struct kv_txn *txn,
                            const struct epoch_keys *from,
                            const struct epoch_keys *to,
                            struct fault *f)
{
    const struct seal_key zero = {{0}};
    if (from)
        TRY(reseal_secrets(txn, from, to, f));
    TRY(put_secret(txn, to, CHECK_NAME, &zero, f));
    return vault_put_number(txn, "epoch", to->epoch, f);
}

/* ---------------------------------------------------------------- the first epoch */

/* What stood in the clear before: a key becomes a secret. */
static enum status take_over(struct kv_txn *txn,
                             const struct epoch_keys *keys,
                             const char *old,
                             const char *name,
                             struct fault *f)
{
    struct kv_bytes value = {0};
    struct seal_key secret;
    const enum status st = kv_get(txn, KV_META, name_key(old), &value, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    if (value.size != sizeof secret.b)
        FAIL(f, STATUS_DATA_LOSS, "secret", "the record \"%s\" is damaged", old);
    memcpy(secret.b, value.data, sizeof secret.b);
    TRY(put_secret(txn, keys, name, &secret, f));
    seal_key_wipe(&secret);
    return kv_del(txn, KV_META, name_key(old), f);
}

/* Was anything written before there were keys?  Then the file holds it in the clear. */
static enum status has_history(struct kv_txn *txn, int *ret_has, struct fault *f)
{
    static const enum kv_db TELLING[] = {KV_CHUNKS, KV_EVENTS, KV_UPLOADS, KV_REQUESTS,
                                         KV_LOG_ENTRIES};
    *ret_has = 0;
    for (size_t i = 0; i < sizeof TELLING / sizeof *TELLING && !*ret_has; i++) {
        uint64_t n = 0;
        TRY(kv_count(txn, TELLING[i], &n, f));
        *ret_has = n > 0;
    }
    return STATUS_OK;
}

static enum status begin_first_epoch(struct kv_txn *txn, void *context, struct fault *f)
{
    const struct vault *v = context;
    const struct epoch_keys *keys = &v->secrets->now;
    int old = 0;
    TRY(has_history(txn, &old, f));
    TRY(kv_reseal(txn, NULL, &keys->kv, f));
    TRY(take_over(txn, keys, "subject-key", SECRET_PREFIX "subjects", f));
    TRY(take_over(txn, keys, "content-key", SECRET_PREFIX "content", f));
    if (old)
        TRY(vault_put_number(txn, "unsealed", 1, f));
    return vault_put_epoch(txn, NULL, keys, f);
}

static enum status make_first_epoch(struct vault *v, struct fault *f)
{
    struct seal_key kek;
    seal_key_make(&kek);
    vault_derive(&kek, &v->store.identity, 1, &v->secrets->now);
    const enum status st = key_store_put(&v->store, 1, &kek, f);
    seal_key_wipe(&kek);
    TRY(st);
    return kv_update(v->kv, begin_first_epoch, v, f);
}

/* ---------------------------------------------------------------- opening */

static enum status check_kek(struct kv_txn *txn, const struct vault *v, struct fault *f)
{
    struct seal_key zero;
    const enum status st = get_secret(txn, &v->secrets->now, CHECK_NAME, &zero, NULL);
    if (st != STATUS_OK)
        FAIL(f, STATUS_FAILED_PRECONDITION, "kek",
             "the key of epoch %llu in %.80s does not open this store",
             (unsigned long long)v->secrets->now.epoch, v->store.folder);
    return STATUS_OK;
}

static enum status open_epoch(struct vault *v, uint64_t epoch, struct fault *f)
{
    struct seal_key kek;
    struct kv_txn *txn;
    size_t destroyed = 0;
    const enum status found = key_store_get(&v->store, epoch, &kek, f);
    if (found == STATUS_NOT_FOUND && f)
        f->code = STATUS_FAILED_PRECONDITION;
    if (found != STATUS_OK)
        return found == STATUS_NOT_FOUND ? STATUS_FAILED_PRECONDITION : found;
    vault_derive(&kek, &v->store.identity, epoch, &v->secrets->now);
    seal_key_wipe(&kek);
    TRY(kv_begin(v->kv, KV_READ, &txn, f));
    const enum status st = check_kek(txn, v, f);
    kv_abort(txn);
    TRY(st);
    /* Only now: a key that does not fit must never lead to the destruction of others. */
    return key_store_keep_only(&v->store, epoch, &destroyed, f);
}

static enum status
read_meta(struct kv *kv, struct request_id *ret_identity, uint64_t *ret_epoch, struct fault *f)
{
    struct kv_txn *txn;
    struct kv_bytes value = {0};
    TRY(kv_begin(kv, KV_READ, &txn, f));
    enum status st = kv_get(txn, KV_META, name_key("store"), &value, f);
    if (st == STATUS_NOT_FOUND || (st == STATUS_OK && value.size != REQUEST_ID_SIZE))
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "store",
                       "the identity of the store is damaged");
    if (st == STATUS_OK) {
        memcpy(ret_identity->b, value.data, REQUEST_ID_SIZE);
        st = vault_get_number(txn, "epoch", ret_epoch, f);
    }
    kv_abort(txn);
    return st;
}

static enum status open_parts(struct vault *v, const char *kek_folder, struct fault *f)
{
    char beside[KEY_STORE_PATH_SIZE];
    struct request_id identity;
    uint64_t epoch = 0;
    if (!kek_folder || !kek_folder[0]) {
        const int n = snprintf(beside, sizeof beside, "%s.keys", kv_folder(v->kv));
        if (n < 0 || (size_t)n >= sizeof beside)
            FAIL(f, STATUS_INVALID_ARGUMENT, "kek_folder", "the store's path is too long");
        kek_folder = beside;
    }
    v->secrets = seal_secret_alloc(sizeof *v->secrets);
    if (!v->secrets)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for keys");
    memset(v->secrets, 0, sizeof *v->secrets);
    TRY(read_meta(v->kv, &identity, &epoch, f));
    TRY(key_store_open(kek_folder, &identity, &v->store, f));
    return epoch ? open_epoch(v, epoch, f) : make_first_epoch(v, f);
}

enum status
vault_open(struct kv *kv, const char *kek_folder, struct vault **ret_vault, struct fault *f)
{
    TRY(seal_init(f));
    struct vault *v = sysio_alloc(1, sizeof *v);
    if (!v)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the vault");
    v->magic = VAULT_MAGIC;
    v->kv = kv;
    (void)pthread_mutex_init(&v->cache_lock, NULL);
    const enum status st = open_parts(v, kek_folder, f);
    if (st != STATUS_OK) {
        vault_close(v);
        return st;
    }
    kv_set_keys(kv, &v->secrets->now.kv);
    kv_set_owner(kv, v);
    *ret_vault = v;
    return STATUS_OK;
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    INVARIANT(v->magic == VAULT_MAGIC);
    kv_set_keys(v->kv, NULL);
    kv_set_owner(v->kv, NULL);
    seal_secret_free(v->secrets);
    (void)pthread_mutex_destroy(&v->cache_lock);
    v->magic = 0;
    sysio_free(v);
}

/* ---------------------------------------------------------------- questions */

enum status vault_state(struct kv_txn *txn, struct vault_state *ret_state, struct fault *f)
{
    struct vault_state s = {.backend = key_store_backend()};
    TRY(vault_get_number(txn, "epoch", &s.epoch, f));
    TRY(vault_get_number(txn, "dead-keys", &s.dead_keys, f));
    TRY(vault_get_number(txn, "shredding", &s.shredding, f));
    TRY(vault_get_number(txn, "shredding-keys", &s.shredding_keys, f));
    TRY(kv_count(txn, KV_KEYS, &s.data_keys, f));
    *ret_state = s;
    return STATUS_OK;
}

enum status vault_unsealed(struct kv_txn *txn, int *ret_unsealed, struct fault *f)
{
    uint64_t x = 0;
    TRY(vault_get_number(txn, "unsealed", &x, f));
    *ret_unsealed = x != 0;
    return STATUS_OK;
}

enum status vault_sealed(struct kv_txn *txn, struct fault *f)
{
    return vault_put_number(txn, "unsealed", 0, f);
}
