#include "daemon/base/sysio.h"
#include "storage/store/store_internal.h"
#include "storage/vault/rotation.h"

#include <string.h>

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

/* ---------------------------------------------------------------- what only older versions need */

struct outdated {
    const struct version *kept;
    struct digest *items;
    size_t n;
    size_t room;
};

static int is_kept(const struct version *kept, const struct digest *blob)
{
    for (size_t i = 0; i < kept->n_components; i++)
        if (digest_equal(&kept->components[i].blob, blob))
            return 1;
    return 0;
}

static int is_listed(const struct outdated *x, const struct digest *blob)
{
    for (size_t i = 0; i < x->n; i++)
        if (digest_equal(&x->items[i], blob))
            return 1;
    return 0;
}

static enum status
add_outdated(struct kv_txn *txn, struct outdated *x, const struct digest *blob, struct fault *f)
{
    int there = 0;
    if (is_kept(x->kept, blob) || is_listed(x, blob))
        return STATUS_OK;
    TRY(blob_exists(txn, blob, &there, f));
    if (!there)
        return STATUS_OK;
    if (x->n == x->room) {
        const size_t room = x->room ? 2 * x->room : 64;
        struct digest *items = sysio_alloc(room, sizeof *items);
        if (!items)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu names", room);
        if (x->n)
            memcpy(items, x->items, x->n * sizeof *items);
        sysio_free(x->items);
        x->items = items;
        x->room = room;
    }
    x->items[x->n++] = *blob;
    return STATUS_OK;
}

static enum status find_outdated(struct kv_txn *txn, struct outdated *x, struct fault *f)
{
    uint64_t latest = 0;
    TRY(version_latest(txn, &latest, f));
    for (uint64_t n = 1; n <= latest; n++) {
        struct digest digest = {0};
        struct version *v = NULL;
        TRY(version_by_number(txn, n, &digest, f));
        TRY(version_get(txn, &digest, &v, f));
        enum status st = STATUS_OK;
        for (size_t i = 0; i < v->n_components && st == STATUS_OK; i++)
            st = add_outdated(txn, x, &v->components[i].blob, f);
        version_free(v);
        TRY(st);
    }
    return STATUS_OK;
}

enum status store_outdated(struct store *s,
                           const struct version *kept,
                           struct digest **ret_list,
                           size_t *ret_n,
                           struct fault *f)
{
    struct kv_txn *txn;
    struct outdated x = {.kept = kept};
    TRY(store_read_begin(s, &txn, f));
    const enum status st = find_outdated(txn, &x, f);
    store_read_end(txn);
    if (st != STATUS_OK) {
        sysio_free(x.items);
        return st;
    }
    *ret_list = x.items;
    *ret_n = x.n;
    return STATUS_OK;
}
