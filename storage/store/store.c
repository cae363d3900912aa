#include "storage/store/store.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/store/store_internal.h"

#include <string.h>

static enum status read_identity(struct store *s, struct fault *f)
{
    static const char KEY[] = "store";
    struct kv_txn *txn;
    struct kv_bytes value = {0};
    TRY(kv_begin(s->kv, KV_READ, &txn, f));
    enum status st = kv_get(txn, KV_META, kv_bytes_of(KEY, sizeof KEY - 1), &value, f);
    if (st == STATUS_NOT_FOUND || (st == STATUS_OK && value.size != sizeof s->identity.b))
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "store",
                       "the identity of the store is damaged");
    if (st == STATUS_OK)
        memcpy(s->identity.b, value.data, sizeof s->identity.b);
    kv_abort(txn);
    return st;
}

enum status store_open(const struct kv_options *options, struct store **ret_store, struct fault *f)
{
    return store_open_keyed(options, NULL, ret_store, f);
}

enum status store_open_keyed(const struct kv_options *options,
                             const char *kek_folder,
                             struct store **ret_store,
                             struct fault *f)
{
    TRY(seal_init(f));
    struct store *s = sysio_alloc(1, sizeof *s);
    if (!s)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the store");
    s->magic = STORE_MAGIC;
    enum status st = kv_open(options, &s->kv, f);
    if (st == STATUS_OK)
        st = vault_open(s->kv, kek_folder, &s->vault, f);
    if (st == STATUS_OK)
        st = store_upgrade(s, f);
    if (st == STATUS_OK)
        st = read_identity(s, f);
    if (st != STATUS_OK) {
        store_close(s);
        return st;
    }
    *ret_store = s;
    return STATUS_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    INVARIANT(s->magic == STORE_MAGIC);
    vault_close(s->vault);
    kv_close(s->kv);
    sign_key_free(s->log_key);
    s->magic = 0;
    sysio_free(s);
}

struct request_id store_identity(const struct store *s)
{
    INVARIANT(s->magic == STORE_MAGIC);
    return s->identity;
}

static enum status subject_key(struct kv_txn *txn, void *context, struct fault *f)
{
    struct subject_key *key = context;
    struct seal_key secret;
    TRY(vault_secret(txn, "subjects", &secret, f));
    _Static_assert(sizeof key->b == sizeof secret.b, "a subject key is a secret");
    memcpy(key->b, secret.b, sizeof key->b);
    seal_key_wipe(&secret);
    return STATUS_OK;
}

enum status store_subject_key(struct store *s, struct subject_key *ret_key, struct fault *f)
{
    return kv_update(s->kv, subject_key, ret_key, f);
}

enum status store_reserve(struct store *s, uint64_t bytes, struct fault *f)
{
    return kv_reserve(s->kv, bytes, f);
}

enum status store_stats(struct store *s, struct kv_stats *ret_stats, struct fault *f)
{
    return kv_stats(s->kv, ret_stats, f);
}

/* ---------------------------------------------------------------- reading */

enum status store_read_begin(struct store *s, struct kv_txn **ret_txn, struct fault *f)
{
    INVARIANT(s->magic == STORE_MAGIC);
    return kv_begin(s->kv, KV_READ, ret_txn, f);
}

void store_read_end(struct kv_txn *txn)
{
    kv_abort(txn);
}

/* Runs one expression on a read transaction of its own and returns its status. */
#define READ_ONCE(s, f, expression)                                                                \
    do {                                                                                           \
        struct kv_txn *txn;                                                                        \
        TRY(store_read_begin((s), &txn, (f)));                                                     \
        const enum status st = (expression);                                                       \
        store_read_end(txn);                                                                       \
        return st;                                                                                 \
    } while (0)

enum status store_read_request(struct store *s,
                               const struct request_id *id,
                               struct queue_record *ret_record,
                               struct fault *f)
{
    READ_ONCE(s, f, queue_get(txn, id, ret_record, f));
}

static enum status payload_of(struct kv_txn *txn,
                              const struct request_id *id,
                              void **ret_bytes,
                              size_t *ret_size,
                              struct fault *f)
{
    struct queue_record q;
    TRY(queue_get(txn, id, &q, f));
    return queue_payload(txn, &q, ret_bytes, ret_size, f);
}

enum status store_read_payload(struct store *s,
                               const struct request_id *id,
                               void **ret_bytes,
                               size_t *ret_size,
                               struct fault *f)
{
    READ_ONCE(s, f, payload_of(txn, id, ret_bytes, ret_size, f));
}

enum status store_read_oldest(struct store *s,
                              enum request_state state,
                              struct queue_record *ret_record,
                              struct fault *f)
{
    READ_ONCE(s, f, queue_oldest(txn, state, ret_record, f));
}

enum status store_read_counts(struct store *s, uint64_t ret_counts[REQUEST_STATES], struct fault *f)
{
    READ_ONCE(s, f, queue_counts(txn, ret_counts, f));
}

enum status store_read_version(struct store *s,
                               const struct digest *digest,
                               struct version **ret_version,
                               struct fault *f)
{
    READ_ONCE(s, f, version_get(txn, digest, ret_version, f));
}

enum status store_read_serving(struct store *s, struct serving *ret_serving, struct fault *f)
{
    READ_ONCE(s, f, serving_get(txn, ret_serving, f));
}

enum status store_read_blob(struct store *s,
                            const struct digest *digest,
                            size_t max,
                            void **ret_bytes,
                            size_t *ret_size,
                            struct fault *f)
{
    READ_ONCE(s, f, blob_load(txn, digest, max, ret_bytes, ret_size, f));
}

enum status store_read_dataset(struct store *s,
                               const char *name,
                               enum dataset_role role,
                               struct dataset **ret_dataset,
                               struct fault *f)
{
    READ_ONCE(s, f, dataset_get(txn, name, role, ret_dataset, f));
}

enum status store_read_memory(struct store *s,
                              const char *name,
                              struct replay_memory **ret_memory,
                              struct fault *f)
{
    READ_ONCE(s, f, replay_memory_get(txn, name, ret_memory, f));
}

/* ---------------------------------------------------------------- uploads */

struct upload_call {
    const struct upload_open *open;
    const struct request_id *id;
    uint64_t offset;
    const void *bytes;
    size_t n;
    int64_t now_us;
    struct upload upload;
    size_t removed;
};

static enum status run_upload_open(struct kv_txn *txn, void *context, struct fault *f)
{
    struct upload_call *c = context;
    return upload_open(txn, c->open, &c->upload, f);
}

enum status store_upload_open(struct store *s,
                              const struct upload_open *o,
                              struct upload *ret_upload,
                              struct fault *f)
{
    struct upload_call c = {.open = o};
    TRY(kv_update(s->kv, run_upload_open, &c, f));
    *ret_upload = c.upload;
    return STATUS_OK;
}

static enum status run_upload_append(struct kv_txn *txn, void *context, struct fault *f)
{
    struct upload_call *c = context;
    return upload_append(txn, c->id, c->offset, c->bytes, c->n, &c->upload, f);
}

enum status store_upload_append(struct store *s,
                                const struct request_id *id,
                                uint64_t offset,
                                const void *bytes,
                                size_t n,
                                struct upload *ret_upload,
                                struct fault *f)
{
    struct upload_call c = {.id = id, .offset = offset, .bytes = bytes, .n = n};
    TRY(kv_update(s->kv, run_upload_append, &c, f));
    *ret_upload = c.upload;
    return STATUS_OK;
}

static enum status run_upload_abort(struct kv_txn *txn, void *context, struct fault *f)
{
    struct upload_call *c = context;
    return upload_abort(txn, c->id, f);
}

enum status store_upload_abort(struct store *s, const struct request_id *id, struct fault *f)
{
    struct upload_call c = {.id = id};
    return kv_update(s->kv, run_upload_abort, &c, f);
}

static enum status run_upload_expire(struct kv_txn *txn, void *context, struct fault *f)
{
    struct upload_call *c = context;
    return upload_expire(txn, c->now_us, &c->removed, f);
}

enum status
store_upload_expire(struct store *s, int64_t now_us, size_t *ret_removed, struct fault *f)
{
    struct upload_call c = {.now_us = now_us};
    TRY(kv_update(s->kv, run_upload_expire, &c, f));
    *ret_removed = c.removed;
    return STATUS_OK;
}
