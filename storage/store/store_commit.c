#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "storage/store/references.h"
#include "storage/store/store_internal.h"
#include "storage/vault/rotation.h"

#include <stdio.h>
#include <string.h>

/* One run of a change.  kv_update may run it again from the start, so results are made anew. */
struct commit {
    const struct store_change *change;
    struct store_result result;
};

/* ---------------------------------------------------------------- events */

static enum status write_event(struct kv_txn *txn, struct event *e, uint64_t *ret, struct fault *f)
{
    TRY(event_append(txn, e, f));
    *ret = e->sequence;
    return STATUS_OK;
}

/* An event about no request whose text is a digest or a number. */
static enum status note_digest(struct kv_txn *txn,
                               struct commit *c,
                               const char *kind,
                               const struct digest *digest,
                               struct fault *f)
{
    struct event e = {.wall_us = c->change->now_us};
    (void)snprintf(e.kind, sizeof e.kind, "%s", kind);
    digest_format(digest, e.text);
    return write_event(txn, &e, &c->result.last_event, f);
}

static enum status note_version(struct kv_txn *txn,
                                struct commit *c,
                                const char *kind,
                                const struct digest *version,
                                const struct request_id *request,
                                uint64_t number,
                                struct fault *f)
{
    struct event e = {.wall_us = c->change->now_us, .version = *version};
    if (request)
        e.request = *request;
    (void)snprintf(e.kind, sizeof e.kind, "%s", kind);
    if (number)
        (void)snprintf(e.text, sizeof e.text, "%llu", (unsigned long long)number);
    return write_event(txn, &e, &c->result.last_event, f);
}

/* ---------------------------------------------------------------- requests */

static enum status apply_accept(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct queue_submission *s = c->change->accept;
    if (!s)
        return STATUS_OK;
    TRY(queue_accept(txn, s, &c->result.accepted, &c->result.known, f));
    if (c->result.known)
        return STATUS_OK;
    struct event e = {.wall_us = c->change->now_us, .request = s->id};
    (void)snprintf(e.kind, sizeof e.kind, "request.accepted");
    (void)snprintf(e.text, sizeof e.text, "%s", s->kind);
    return write_event(txn, &e, &c->result.last_event, f);
}

/* What a request names as its result must be in the store. */
static enum status check_move(struct kv_txn *txn, const struct queue_move *move, struct fault *f)
{
    struct blob_info info;
    uint64_t number;
    if (move->report && !digest_is_zero(move->report))
        TRY(blob_stat(txn, move->report, &info, f));
    if (move->version_after && !digest_is_zero(move->version_after))
        TRY(version_number(txn, move->version_after, &number, f));
    return STATUS_OK;
}

enum status store_move(struct kv_txn *txn,
                       const struct queue_move *move,
                       int64_t now_us,
                       struct queue_record *ret_record,
                       uint64_t *ret_event,
                       struct fault *f)
{
    struct queue_record before;
    struct queue_record after;
    TRY(queue_get(txn, &move->id, &before, f));
    TRY(check_move(txn, move, f));
    TRY(queue_move(txn, move, &after, f));
    if (request_state_is_final(after.state) && !digest_is_zero(&after.attachment))
        TRY(references_drop_blob(txn, &after.attachment, f));
    struct event e = {.wall_us = now_us, .request = move->id, .version = after.version_after};
    (void)snprintf(e.kind, sizeof e.kind, "request.state");
    (void)snprintf(e.text, sizeof e.text, "%s %s %s", request_state_name(before.state),
                   request_event_name(move->event), request_state_name(after.state));
    TRY(write_event(txn, &e, ret_event, f));
    *ret_record = after;
    return STATUS_OK;
}

static enum status apply_moves(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct store_change *change = c->change;
    for (size_t i = 0; i < change->n_moves; i++)
        TRY(store_move(txn, &change->moves[i], change->now_us, &c->result.moved,
                       &c->result.last_event, f));
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
    struct event e = {.wall_us = c->change->now_us, .request = *c->change->cancel};
    (void)snprintf(e.kind, sizeof e.kind, "request.cancel");
    (void)snprintf(e.text, sizeof e.text, "asked");
    return write_event(txn, &e, &c->result.last_event, f);
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
        TRY(note_digest(txn, c, "data.uploaded", &digest, f));
    }
    return STATUS_OK;
}

static enum status apply_datasets(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_datasets; i++) {
        struct digest digest = {0};
        TRY(dataset_put(txn, &c->change->datasets[i], &digest, f));
        TRY(note_digest(txn, c, "data.imported", &digest, f));
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
    return note_digest(txn, c, "data.removed", &content, f);
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
                                  const char *kind,
                                  const char *name,
                                  const struct digest *before,
                                  struct fault *f)
{
    struct digest now = {0};
    TRY(memory_digest(txn, name, &now, f));
    if (!digest_is_zero(before) && !digest_equal(before, &now))
        TRY(references_drop_blob(txn, before, f));
    return note_digest(txn, c, kind, &now, f);
}

static enum status apply_memory(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    struct digest before = {0};
    const struct replay_memory *m = c->change->memory;
    if (!m)
        return STATUS_OK;
    TRY(memory_digest(txn, m->name, &before, f));
    TRY(replay_memory_put(txn, m, &c->result.memory, f));
    return memory_changed(txn, c, "memory.changed", m->name, &before, f);
}

static enum status apply_memory_classes(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_memory_classes; i++) {
        struct digest before = {0};
        uint64_t rows = 0;
        const struct store_memory_class *m = &c->change->memory_classes[i];
        TRY(memory_digest(txn, m->name, &before, f));
        TRY(replay_memory_remove_class(txn, m->name, m->class_index, &rows, f));
        TRY(memory_changed(txn, c, "memory.changed", m->name, &before, f));
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
    return memory_changed(txn, c, "memory.removed", name, &before, f);
}

/* ---------------------------------------------------------------- versions */

static enum status apply_version(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct version *v = c->change->version;
    if (!v)
        return STATUS_OK;
    TRY(version_put(txn, v, &c->result.version, f));
    return note_version(txn, c, "version.committed", &c->result.version, &v->request, v->number, f);
}

static enum status apply_serve(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct serving_move *m = c->change->serve;
    if (!m)
        return STATUS_OK;
    TRY(serving_swap(txn, m, &c->result.serving, f));
    return note_version(txn, c, "serving.moved", &m->version, &m->request,
                        c->result.serving.generation, f);
}

static enum status apply_pins(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    const struct serving_pin *pin = c->change->pin;
    const struct digest *unpin = c->change->unpin;
    if (pin) {
        TRY(serving_pin(txn, pin, f));
        TRY(note_version(txn, c, "version.pinned", &pin->version, NULL, 0, f));
    }
    if (unpin) {
        TRY(serving_unpin(txn, unpin, f));
        TRY(note_version(txn, c, "version.unpinned", unpin, NULL, 0, f));
    }
    return STATUS_OK;
}

static enum status apply_shred_done(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    return c->change->shred_done ? rotation_done(txn, f) : STATUS_OK;
}

static enum status apply_notes(struct kv_txn *txn, struct commit *c, struct fault *f)
{
    for (size_t i = 0; i < c->change->n_notes; i++) {
        const struct store_note *n = &c->change->notes[i];
        struct event e = {
            .wall_us = c->change->now_us, .request = n->request, .version = n->version};
        (void)snprintf(e.kind, sizeof e.kind, "%s", n->kind);
        (void)snprintf(e.text, sizeof e.text, "%s", n->text ? n->text : "");
        TRY(write_event(txn, &e, &c->result.last_event, f));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the whole */

static enum status apply(struct kv_txn *txn, void *context, struct fault *f)
{
    static enum status (*const STEPS[])(struct kv_txn *, struct commit *, struct fault *) = {
        apply_blobs,  apply_uploads,        apply_datasets,       apply_datasets_removed,
        apply_memory, apply_memory_classes, apply_memory_removed, apply_version,
        apply_serve,  apply_moves,          apply_answer,         apply_cancel,
        apply_pins,   apply_shred_done,     apply_notes,
    };
    struct commit *c = context;
    memset(&c->result, 0, sizeof c->result);
    TRY(apply_accept(txn, c, f));
    for (size_t i = 0; !c->result.known && i < sizeof STEPS / sizeof *STEPS; i++)
        TRY(STEPS[i](txn, c, f));
    return STATUS_OK;
}

enum status store_commit(struct store *s,
                         const struct store_change *change,
                         struct store_result *ret_result,
                         struct fault *f)
{
    struct commit c = {.change = change};
    INVARIANT(s->magic == STORE_MAGIC);
    TRY(kv_update(s->kv, apply, &c, f));
    if (ret_result)
        *ret_result = c.result;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- recovery */

struct recovery {
    int64_t now_us;
    size_t moved;
};

static enum status
restart_all(struct kv_txn *txn, struct recovery *r, enum request_state state, struct fault *f)
{
    struct queue_record q;
    enum status st;
    while ((st = queue_oldest(txn, state, &q, f)) == STATUS_OK) {
        const struct queue_move move = {
            .id = q.id, .event = REQUEST_EVENT_RESTART, .now_us = r->now_us};
        uint64_t event = 0;
        TRY(store_move(txn, &move, r->now_us, &q, &event, f));
        r->moved++;
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status recover(struct kv_txn *txn, void *context, struct fault *f)
{
    struct recovery *r = context;
    r->moved = 0;
    TRY(restart_all(txn, r, REQUEST_RUNNING, f));
    return restart_all(txn, r, REQUEST_EVALUATING, f);
}

enum status store_recover(struct store *s, int64_t now_us, size_t *ret_moved, struct fault *f)
{
    struct recovery r = {.now_us = now_us};
    int finished = 0;
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
