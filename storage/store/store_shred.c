#include "storage/store/store_internal.h"
#include "storage/vault/rotation.h"

/* shred.begin or, with the name of the key store, shred.done. */
static enum status tell(struct store *s,
                        int64_t now_us,
                        uint64_t epoch,
                        uint64_t count,
                        const char *keystore,
                        struct fault *f)
{
    struct log_value values[3] = {log_value_number("epoch", epoch),
                                  log_value_number("count", count)};
    size_t n = 2;
    if (keystore)
        values[n++] = log_value_word("keystore", keystore);
    const struct store_entry entry = {.kind = keystore ? LOG_KIND_SHRED_DONE : LOG_KIND_SHRED_BEGIN,
                                      .values = values,
                                      .n_values = n};
    const struct store_change change = {
        .now_us = now_us, .shred_done = keystore != NULL, .entries = &entry, .n_entries = 1};
    return store_commit(s, &change, NULL, f);
}

enum status store_shred_finish(struct store *s, int64_t now_us, int *ret_finished, struct fault *f)
{
    uint64_t epoch = 0;
    struct vault_state state = {0};
    *ret_finished = 0;
    TRY(rotation_destroy(s->vault, &epoch, f));
    if (epoch == 0)
        return STATUS_OK;
    TRY(store_vault_state(s, &state, f));
    TRY(tell(s, now_us, epoch, state.shredding_keys, state.backend, f));
    *ret_finished = 1;
    return STATUS_OK;
}

enum status
store_shred(struct store *s, int64_t now_us, struct store_shredding *ret_shredding, struct fault *f)
{
    int finished = 0;
    struct vault_state before = {0};
    struct rotation_result r = {0};
    /* One that was cut off ends first, so that each switch has its shred.done. */
    TRY(store_shred_finish(s, now_us, &finished, f));
    TRY(store_vault_state(s, &before, f));
    TRY(tell(s, now_us, before.epoch, before.dead_keys, NULL, f));
    enum status st = rotation_run(s->vault, &r, f);
    const int switched = r.epoch != 0;
    if (st == STATUS_OK)
        st = tell(s, now_us, before.epoch, r.dead, before.backend, f);
    if (switched)
        *ret_shredding = (struct store_shredding){
            .epoch = r.epoch, .keys = r.keys, .dead = r.dead, .pending = st != STATUS_OK};
    return st;
}

enum status store_vault_state(struct store *s, struct vault_state *ret_state, struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(s, &txn, f));
    const enum status st = vault_state(txn, ret_state, f);
    store_read_end(txn);
    return st;
}

enum status store_compact(struct store *s, struct fault *f)
{
    return kv_compact(s->kv, f);
}
