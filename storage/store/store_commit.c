#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/store/certificates.h"
#include "storage/store/log_batch.h"
#include "storage/store/references.h"
#include "storage/store/store_entries.h"
#include "storage/store/store_internal.h"
#include "storage/vault/rotation.h"

#include <string.h>

/* One run of a change.  kv_update may run it again from the start, so results are made anew. */
struct commit {
    const struct store_change *change;
    const struct sign_key *key;
    struct log_batch log;
    struct store_result result;
};

/* ---------------------------------------------------------------- requests */

static enum status apply_accept(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct queue_submission *s = c->change->accept;
    if (!s)
        return STATUS_OK;
    TRY(queue_accept(txn, s, &c->result.accepted, &c->result.known, f));
    return c->result.known ? STATUS_OK : entry_accepted(&c->log, s, f);
}

/* What a request names as its result must be in the store, and stays there. */
static enum status check_move(struct kv_txn *txn, const struct queue_move *move, struct fault *f)
{
    uint64_t number;
    if (move->report && !digest_is_zero(move->report))
        TRY(blob_keep(txn, move->report, f));
    if (move->version_after && !digest_is_zero(move->version_after))
        TRY(version_number(txn, move->version_after, &number, f));
    return STATUS_OK;
}

enum status store_move(struct log_batch *log,
                       const struct queue_move *move,
                       struct queue_record *ret_record,
                       struct fault *f)
{
    struct queue_record before;
    struct queue_record after;
    TRY(queue_get(log->txn, &move->id, &before, f));
    TRY(check_move(log->txn, move, f));
    TRY(queue_move(log->txn, move, &after, f));
    TRY(entry_moved(log, before.state, move, &after, f));
    if (request_state_is_final(after.state) && !digest_is_zero(&after.attachment))
        TRY(references_drop_blob(log->txn, &after.attachment, f));
    *ret_record = after;
    return STATUS_OK;
}

static enum status apply_moves(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct store_change *change = c->change;
    (void)txn;
    for (size_t i = 0; i < change->n_moves; i++)
        TRY(store_move(&c->log, &change->moves[i], &c->result.moved, f));
    return STATUS_OK;
}

static enum status apply_answer(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct store_answer *a = c->change->answer;
    return a ? queue_set_answer(txn, &a->id, a->bytes, a->size, f) : STATUS_OK;
}

static enum status apply_cancel(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    if (!c->change->cancel)
        return STATUS_OK;
    TRY(queue_request_cancel(txn, c->change->cancel, f));
    return entry_cancel(&c->log, c->change->cancel, f);
}

/* ---------------------------------------------------------------- content */

static enum status apply_blobs(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    struct digest digest;
    for (size_t i = 0; i < c->change->n_blobs; i++) {
        const struct store_blob *b = &c->change->blobs[i];
        TRY(blob_put(txn, b->kind, b->bytes, b->size, &digest, f));
    }
    return STATUS_OK;
}

static enum status apply_uploads(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_uploads; i++) {
        struct digest digest = {0};
        const struct store_upload_end *u = &c->change->uploads[i];
        TRY(upload_close(txn, &u->id, u->kind, &digest, f));
        TRY(entry_data(&c->log, LOG_KIND_DATA_UPLOADED, &digest, NULL, f));
    }
    return STATUS_OK;
}

static enum status apply_datasets(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_datasets; i++) {
        struct digest digest = {0};
        const struct dataset *d = &c->change->datasets[i];
        TRY(dataset_put(txn, d, &digest, f));
        TRY(entry_data(&c->log, LOG_KIND_DATA_IMPORTED, &digest, dataset_role_name(d->role), f));
    }
    return STATUS_OK;
}

/* The record goes, and with it what nothing else names. */
static enum status remove_dataset(struct kv_txn *txn,
                                  struct commit *c,
                                  const struct store_dataset_name *name,
                                  struct fault *f)
{
    struct dataset *d = NULL;
    TRY(dataset_get(txn, name->name, name->role, &d, f));
    const struct digest pixels = d->pixels;
    const struct digest labels = d->labels;
    const struct digest subjects = d->subjects;
    const struct digest content = d->digest;
    datasets_free(d);
    TRY(dataset_remove(txn, name->name, name->role, name->in_use, f));
    TRY(references_drop_blob(txn, &pixels, f));
    TRY(references_drop_blob(txn, &labels, f));
    if (!digest_is_zero(&subjects))
        TRY(references_drop_blob(txn, &subjects, f));
    return entry_data(&c->log, LOG_KIND_DATA_REMOVED, &content, dataset_role_name(name->role), f);
}

static enum status apply_datasets_removed(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_datasets_removed; i++)
        TRY(remove_dataset(txn, c, &c->change->datasets_removed[i], f));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- memories */

/* Digest of a memory as it is now; zero if there is none of that name. */
static enum status
memory_digest(struct kv_txn *txn, const char *name, struct digest *ret_digest, struct fault *f)
{
    struct replay_memory *m = NULL;
    *ret_digest = (struct digest){0};
    const enum status st = replay_memory_get(txn, name, &m, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    *ret_digest = m->digest;
    replay_memory_free(m);
    return STATUS_OK;
}

/* The lists as they were before must not stay behind: they say what was erased. */
static enum status memory_changed(struct kv_txn *txn,
                                  struct commit *c,
                                  const char *name,
                                  const struct digest *before,
                                  struct fault *f)
{
    struct digest now = {0};
    TRY(memory_digest(txn, name, &now, f));
    if (!digest_is_zero(before) && !digest_equal(before, &now))
        TRY(references_drop_blob(txn, before, f));
    if (digest_is_zero(&now))
        return entry_memory(&c->log, LOG_KIND_MEMORY_REMOVED, before, f);
    return entry_memory(&c->log, LOG_KIND_MEMORY_CHANGED, &now, f);
}

static enum status apply_memory(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    struct digest before = {0};
    const struct replay_memory *m = c->change->memory;
    if (!m)
        return STATUS_OK;
    TRY(memory_digest(txn, m->name, &before, f));
    TRY(replay_memory_put(txn, m, &c->result.memory, f));
    return memory_changed(txn, c, m->name, &before, f);
}

static enum status apply_memory_classes(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_memory_classes; i++) {
        struct digest before = {0};
        uint64_t rows = 0;
        const struct store_memory_class *m = &c->change->memory_classes[i];
        TRY(memory_digest(txn, m->name, &before, f));
        TRY(replay_memory_remove_class(txn, m->name, m->class_index, &rows, f));
        TRY(memory_changed(txn, c, m->name, &before, f));
        c->result.memory_rows += rows;
    }
    return STATUS_OK;
}

static enum status apply_memory_removed(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    struct digest before = {0};
    const char *name = c->change->memory_removed;
    if (!name)
        return STATUS_OK;
    TRY(memory_digest(txn, name, &before, f));
    TRY(replay_memory_remove(txn, name, f));
    return memory_changed(txn, c, name, &before, f);
}

/* ---------------------------------------------------------------- versions */

static enum status apply_version(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct version *v = c->change->version;
    if (!v)
        return STATUS_OK;
    TRY(version_put(txn, v, &c->result.version, f));
    const struct store_method none = {0};
    const struct store_method *method = c->change->method ? c->change->method : &none;
    return entry_version(&c->log, &c->result.version, v, method, f);
}

static enum status apply_serve(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct serving_move *m = c->change->serve;
    if (!m)
        return STATUS_OK;
    struct serving before = {0};
    const enum status st = serving_get(txn, &before, f);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    TRY(serving_swap(txn, m, &c->result.serving, f));
    return entry_serving(&c->log, &c->result.serving, &before.version, f);
}

static enum status apply_pins(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct serving_pin *pin = c->change->pin;
    const struct digest *unpin = c->change->unpin;
    if (pin) {
        TRY(serving_pin(txn, pin, f));
        TRY(entry_pin(&c->log, LOG_KIND_VERSION_PINNED, &pin->version, f));
    }
    if (unpin) {
        TRY(serving_unpin(txn, unpin, f));
        TRY(entry_pin(&c->log, LOG_KIND_VERSION_UNPINNED, unpin, f));
    }
    return STATUS_OK;
}

static enum status apply_blanked(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_blanked; i++) {
        const struct store_blank *b = &c->change->blanked[i];
        struct digest pixels = {{0}};
        struct digest subjects = {{0}};
        TRY(dataset_blank_rows(txn, b->name, b->role, b->rows, b->n_rows, &pixels, &subjects, f));
        TRY(references_drop_blob(txn, &pixels, f));
        if (!digest_is_zero(&subjects))
            TRY(references_drop_blob(txn, &subjects, f));
    }
    return STATUS_OK;
}

static enum status apply_destroyed(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_destroyed; i++)
        TRY(blob_destroy(txn, &c->change->destroyed[i], f));
    return STATUS_OK;
}

static enum status apply_shred_done(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    return c->change->shred_done ? rotation_done(txn, f) : STATUS_OK;
}

static enum status apply_entries(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    (void)txn;
    for (size_t i = 0; i < c->change->n_entries; i++) {
        const struct store_entry *e = &c->change->entries[i];
        TRY(log_batch_add(&c->log, e->kind, e->values, e->n_values, NULL, f));
    }
    return STATUS_OK;
}

static enum status apply_certificate(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    (void)txn;
    return c->change->certificate ? certificate_record_issue(&c->log, c->change->certificate, f)
                                  : STATUS_OK;
}

/* ---------------------------------------------------------------- the whole */

static enum status apply(struct kv_txn *txn, void *context, struct fault *f)
{
    static enum status (*const STEPS[])(struct kv_txn *, struct commit *, struct fault *) = {
        apply_blobs,   apply_uploads,        apply_datasets,       apply_datasets_removed,
        apply_memory,  apply_memory_classes, apply_memory_removed, apply_version,
        apply_serve,   apply_moves,          apply_answer,         apply_cancel,
        apply_pins,    apply_blanked,        apply_destroyed,      apply_shred_done,
        apply_entries, apply_certificate,
    };
    struct commit *c = context;
    const struct store_change *change = c->change;
    memset(&c->result, 0, sizeof c->result);
    c->log = log_batch_make(txn, c->key, change->actor, change->now_us);
    TRY(apply_accept(txn, c, f));
    for (size_t i = 0; !c->result.known && i < sizeof STEPS / sizeof *STEPS; i++)
        TRY(STEPS[i](txn, c, f));
    TRY(log_batch_sign(&c->log, f));
    c->result.log_size = c->log.n > 0 ? c->log.size : 0;
    if (change->certificate)
        TRY(certificate_record_signed(&c->log, change->certificate, f));
    if (!change->accept || c->result.known)
        return STATUS_OK;
    return entry_accepted_signed(&c->log, &change->accept->id, f);
}

enum status store_commit(struct store *s,
                         const struct store_change *change,
                         struct store_result *ret_result,
                         struct fault *f)
{
    struct commit c = {.change = change, .key = s->log_key};
    INVARIANT(s->magic == STORE_MAGIC);
    TRY(kv_update(s->kv, apply, &c, f));
    if (ret_result)
        *ret_result = c.result;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- recovery */

struct recovery {
    const struct sign_key *key;
    int64_t now_us;
    size_t moved;
};

static enum status
restart_all(struct log_batch *log, struct recovery *r, enum request_state state, struct fault *f)
{
    struct queue_record q;
    enum status st;
    while ((st = queue_oldest(log->txn, state, &q, f)) == STATUS_OK) {
        const struct queue_move move = {
            .id = q.id, .event = REQUEST_EVENT_RESTART, .now_us = r->now_us};
        TRY(store_move(log, &move, &q, f));
        r->moved++;
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status recover(struct kv_txn *txn, void *context, struct fault *f)
{
    struct recovery *r = context;
    struct log_batch log = log_batch_make(txn, r->key, NULL, r->now_us);
    r->moved = 0;
    TRY(restart_all(&log, r, REQUEST_RUNNING, f));
    TRY(restart_all(&log, r, REQUEST_EVALUATING, f));
    return log_batch_sign(&log, f);
}

enum status store_recover(struct store *s, int64_t now_us, size_t *ret_moved, struct fault *f)
{
    int finished = 0;
    struct recovery r = {.key = s->log_key, .now_us = now_us};
    TRY(store_shred_finish(s, now_us, &finished, f));
    TRY(kv_update(s->kv, recover, &r, f));
    if (ret_moved)
        *ret_moved = r.moved;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- collecting */

struct garbage {
    struct references refs;
    struct digest *items;
    size_t n;
    size_t room;
    uint64_t bytes;
};

static enum status note_garbage(const struct blob_info *info, void *context, struct fault *f)
{
    struct garbage *g = context;
    (void)f;
    if (info->kind == BLOB_OTHER || references_have(&g->refs, &info->digest))
        return STATUS_OK;
    INVARIANT(g->n < g->room);
    g->items[g->n++] = info->digest;
    g->bytes += info->size;
    return STATUS_OK;
}

static enum status find_garbage(struct kv_txn *txn, struct garbage *g, struct fault *f)
{
    uint64_t blobs = 0;
    TRY(references_collect(txn, &g->refs, f));
    TRY(kv_count(txn, KV_BLOBS, &blobs, f));
    g->room = (size_t)blobs;
    g->items = sysio_alloc(g->room, sizeof *g->items);
    if (!g->items)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to list %zu blobs", g->room);
    return blob_list(txn, note_garbage, g, f);
}

static enum status collect(struct kv_txn *txn, void *context, struct fault *f)
{
    struct garbage *total = context;
    struct garbage g = {0};
    enum status st = find_garbage(txn, &g, f);
    for (size_t i = 0; st == STATUS_OK && i < g.n; i++)
        st = blob_delete(txn, &g.items[i], f);
    references_fini(&g.refs);
    sysio_free(g.items);
    total->n = g.n;
    total->bytes = g.bytes;
    return st;
}

enum status
store_collect(struct store *s, size_t *ret_removed, uint64_t *ret_bytes, struct fault *f)
{
    struct garbage total = {0};
    TRY(kv_update(s->kv, collect, &total, f));
    if (ret_removed)
        *ret_removed = total.n;
    if (ret_bytes)
        *ret_bytes = total.bytes;
    return STATUS_OK;
}
