#include "storage/store/store_internal.h"
#include "storage/vault/rotation.h"

#include <stdio.h>

static enum status note(struct store *s,
                        int64_t now_us,
                        const char *kind,
                        const char *text,
                        int shred_done,
                        struct fault *f)
{
    const struct store_note n = {.kind = kind, .text = text};
    const struct store_change change = {
        .now_us = now_us, .shred_done = shred_done, .notes = &n, .n_notes = 1};
    return store_commit(s, &change, NULL, f);
}

static enum status note_done(struct store *s, int64_t now_us, uint64_t epoch, struct fault *f)
{
    char text[64];
    (void)snprintf(text, sizeof text, "epoch %llu", (unsigned long long)epoch);
    return note(s, now_us, "shred.done", text, 1, f);
}

enum status store_shred_finish(struct store *s, int64_t now_us, int *ret_finished, struct fault *f)
{
    uint64_t epoch = 0;
    *ret_finished = 0;
    TRY(rotation_destroy(s->vault, &epoch, f));
    if (epoch == 0)
        return STATUS_OK;
    TRY(note_done(s, now_us, epoch, f));
    *ret_finished = 1;
    return STATUS_OK;
}

enum status
store_shred(struct store *s, int64_t now_us, struct store_shredding *ret_shredding, struct fault *f)
{
    char text[64];
    int finished = 0;
    struct vault_state before = {0};
    struct rotation_result r = {0};
    /* One that was cut off ends first, so that each shred.begin has its shred.done. */
    TRY(store_shred_finish(s, now_us, &finished, f));
    TRY(store_vault_state(s, &before, f));
    (void)snprintf(text, sizeof text, "epoch %llu, %llu keys", (unsigned long long)before.epoch,
                   (unsigned long long)before.dead_keys);
    TRY(note(s, now_us, "shred.begin", text, 0, f));
    enum status st = rotation_run(s->vault, &r, f);
    const int switched = r.epoch != 0;
    if (st == STATUS_OK)
        st = note_done(s, now_us, before.epoch, f);
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
