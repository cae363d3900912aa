#include "storage/store/store_log.h"

#include "daemon/base/invariant.h"
#include "proto/seal/note.h"
#include "storage/audit/audit_log.h"
#include "storage/store/old_events.h"
#include "storage/store/store_entries.h"
#include "storage/store/store_internal.h"

#include <string.h>

static const char ORIGIN_KEY[] = "log-origin";

static struct kv_bytes origin_key(void)
{
    return kv_bytes_of(ORIGIN_KEY, sizeof ORIGIN_KEY - 1);
}

static enum status read_origin(struct kv_txn *txn, char ret_origin[SIGN_NAME_SIZE], struct fault *f)
{
    struct kv_bytes value = {0};
    ret_origin[0] = '\0';
    const enum status st = kv_get(txn, KV_META, origin_key(), &value, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    if (!sign_name_is_valid(value.data, value.size))
        FAIL(f, STATUS_DATA_LOSS, "log", "the name of the log is damaged");
    memcpy(ret_origin, value.data, value.size);
    ret_origin[value.size] = '\0';
    return STATUS_OK;
}

enum status store_log_origin(struct store *s, char ret_origin[SIGN_NAME_SIZE], struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(s, &txn, f));
    const enum status st = read_origin(txn, ret_origin, f);
    store_read_end(txn);
    return st;
}

const struct sign_vkey *store_log_vkey(const struct store *s)
{
    INVARIANT(s->magic == STORE_MAGIC);
    return s->log_key ? sign_key_public(s->log_key) : NULL;
}

/* ---------------------------------------------------------------- beginning */

struct beginning {
    const struct sign_key *key;
    const struct sign_key *old_key;
    int64_t now_us;
    struct store_log_begun begun;
};

/* The log's name is that of its first key. */
static enum status settle_origin(struct kv_txn *txn, const struct sign_vkey *v, struct fault *f)
{
    char origin[SIGN_NAME_SIZE];
    if (v->type != SIGN_LOG)
        FAIL(f, STATUS_FAILED_PRECONDITION, "log_key", "this is the key of a witness");
    TRY(read_origin(txn, origin, f));
    if (origin[0] == '\0')
        return kv_put(txn, KV_META, origin_key(), kv_bytes_of(v->name, strlen(v->name)), f);
    if (strcmp(origin, v->name) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "log_key",
             "the key is called %.40s, the log of this store %.40s", v->name, origin);
    return STATUS_OK;
}

/* What a store had before its log: a list of events, and a version that serves. */
static enum status adopt(struct log_batch *log, struct beginning *x, struct fault *f)
{
    struct sha256 root;
    struct serving now;
    TRY(old_events_clean(log->txn, f));
    TRY(old_events_root(log->txn, &x->begun.adopted, &root, f));
    if (x->begun.adopted == 0)
        return STATUS_OK;
    const struct log_value values[] = {
        log_value_number("count", x->begun.adopted),
        log_value_sha256("events", &root),
    };
    TRY(log_batch_add(log, LOG_KIND_ADOPTED, values, 2, NULL, f));
    const enum status st = serving_get(log->txn, &now, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    return entry_serving(log, &now, NULL, f);
}

static enum status start(struct log_batch *log, struct beginning *x, struct fault *f)
{
    const struct log_value value = log_value_vkey("key", sign_key_public(x->key));
    TRY(log_batch_add(log, LOG_KIND_STARTED, &value, 1, NULL, f));
    TRY(adopt(log, x, f));
    x->begun.started = 1;
    return STATUS_OK;
}

static enum status roll(struct log_batch *log, struct beginning *x, struct fault *f)
{
    const struct log_value values[] = {
        log_value_vkey("old", sign_key_public(x->old_key)),
        log_value_vkey("new", sign_key_public(x->key)),
    };
    log->old_key = x->old_key;
    x->begun.rolled = 1;
    return log_batch_add(log, LOG_KIND_KEY_ROLLED, values, 2, NULL, f);
}

static enum status
resume(struct log_batch *log, const struct audit_head *h, struct beginning *x, struct fault *f)
{
    struct note last;
    if (h->checkpoint_size == 0 ||
        note_parse(h->checkpoint, h->checkpoint_size, &last, f) != STATUS_OK ||
        last.checkpoint.size != h->range.size || !sha256_equal(&last.checkpoint.root, &h->root))
        FAIL(f, STATUS_DATA_LOSS, "log", "the newest checkpoint is not that of the log's head");
    if (note_verify(&last, sign_key_public(x->key), NULL) == NOTE_GOOD)
        return STATUS_OK;
    if (x->old_key && note_verify(&last, sign_key_public(x->old_key), NULL) == NOTE_GOOD)
        return roll(log, x, f);
    FAIL(f, STATUS_FAILED_PRECONDITION, "log_key",
         "not the key that signed the log until now; to change the key, name the one before as "
         "log_key_old");
}

static enum status run_begin(struct kv_txn *txn, void *context, struct fault *f)
{
    struct beginning *x = context;
    struct audit_head head;
    struct log_batch log = log_batch_make(txn, x->key, NULL, x->now_us);
    memset(&x->begun, 0, sizeof x->begun);
    TRY(settle_origin(txn, sign_key_public(x->key), f));
    TRY(audit_head_get(txn, &head, f));
    if (head.range.size == 0)
        TRY(start(&log, x, f));
    else
        TRY(resume(&log, &head, x, f));
    return log_batch_sign(&log, f);
}

enum status store_log_begin(struct store *s,
                            struct sign_key *key,
                            const struct sign_key *old_key,
                            int64_t now_us,
                            struct store_log_begun *ret_begun,
                            struct fault *f)
{
    INVARIANT(s->magic == STORE_MAGIC && !s->log_key && key);
    struct beginning x = {.key = key, .old_key = old_key, .now_us = now_us};
    const enum status st = kv_update(s->kv, run_begin, &x, f);
    if (st != STATUS_OK) {
        sign_key_free(key);
        return st;
    }
    s->log_key = key;
    *ret_begun = x.begun;
    return STATUS_OK;
}
