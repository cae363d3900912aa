#include "storage/vault/rotation.h"

#include "daemon/base/invariant.h"
#include "storage/vault/vault_internal.h"

#define SHREDDING      "shredding"
#define SHREDDING_KEYS "shredding-keys"
#define DEAD           "dead-keys"

struct run {
    struct vault *v;
    struct rotation_result result;
};

/* Everything that lives moves to the next epoch; what was deleted stays behind. */
static enum status move_all(struct kv_txn *txn, void *context, struct fault *f)
{
    struct run *run = context;
    const struct epoch_keys *from = &run->v->secrets->now;
    const struct epoch_keys *to = &run->v->secrets->next;
    run->result = (struct rotation_result){.epoch = to->epoch};
    TRY(vault_get_number(txn, DEAD, &run->result.dead, f));
    TRY(data_keys_rewrap(txn, from, to, &run->result.keys, f));
    TRY(kv_reseal(txn, &from->kv, &to->kv, f));
    TRY(vault_put_epoch(txn, from, to, f));
    TRY(vault_put_number(txn, DEAD, 0, f));
    TRY(vault_put_number(txn, SHREDDING_KEYS, run->result.dead, f));
    return vault_put_number(txn, SHREDDING, from->epoch, f);
}

static enum status switch_epoch(struct kv *kv, void *context, struct fault *f)
{
    struct run *run = context;
    struct vault_secrets *s = run->v->secrets;
    TRY(kv_update(kv, move_all, run, f));
    s->now = s->next;
    kv_set_keys(kv, &s->now.kv);
    vault_forget_keys(run->v);
    return STATUS_OK;
}

static enum status put_next_kek(struct vault *v, struct fault *f)
{
    struct seal_key kek;
    const uint64_t epoch = v->secrets->now.epoch + 1;
    seal_key_make(&kek);
    vault_derive(&kek, &v->store.identity, epoch, &v->secrets->next);
    const enum status st = key_store_put(&v->store, epoch, &kek, f);
    seal_key_wipe(&kek);
    return st;
}

static void wipe_next(struct vault *v)
{
    static const struct epoch_keys NONE;
    struct epoch_keys *next = &v->secrets->next;
    seal_key_wipe(&next->wrap);
    seal_key_wipe(&next->secret);
    seal_key_wipe(&next->kv.records);
    seal_key_wipe(&next->kv.index);
    *next = NONE;
}

enum status rotation_run(struct vault *v, struct rotation_result *ret_result, struct fault *f)
{
    struct run run = {.v = v};
    uint64_t shredded = 0;
    INVARIANT(v->magic == VAULT_MAGIC);
    enum status st = put_next_kek(v, f);
    if (st == STATUS_OK)
        st = kv_exclusive(v->kv, switch_epoch, &run, f);
    const uint64_t unused = v->secrets->next.epoch;
    wipe_next(v);
    if (st != STATUS_OK) {
        /* It wraps nothing.  Should it not go now, the next start sees to it. */
        if (unused != v->secrets->now.epoch &&
            key_store_destroy(&v->store, unused, NULL) != STATUS_OK)
            fault_prefix(f, "and the new key is still there");
        return st;
    }
    *ret_result = run.result;
    return rotation_destroy(v, &shredded, f);
}

enum status rotation_destroy(struct vault *v, uint64_t *ret_epoch, struct fault *f)
{
    struct kv_txn *txn;
    size_t n = 0;
    TRY(kv_begin(v->kv, KV_READ, &txn, f));
    const enum status st = vault_get_number(txn, SHREDDING, ret_epoch, f);
    kv_abort(txn);
    TRY(st);
    return key_store_keep_only(&v->store, v->secrets->now.epoch, &n, f);
}

enum status rotation_done(struct kv_txn *txn, struct fault *f)
{
    TRY(vault_put_number(txn, SHREDDING_KEYS, 0, f));
    return vault_put_number(txn, SHREDDING, 0, f);
}
