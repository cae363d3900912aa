/*
 * KIND_HISTORY, KIND_SHOW, KIND_DIFF, KIND_SERVED_AT, KIND_ROLLBACK and KIND_PIN, on the core
 * thread.
 *
 * A pin keeps a version serving: it moves the serving pointer there, and rollbacks are refused
 * until it is taken away.  An erasure outranks it: its commit moves the pointer and drops the pin,
 * because the pinned version would keep the erased state.
 */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/group_norms.h"
#include "daemon/jobs/receipts.h"
#include "daemon/jobs/wire_view.h"
#include "proto/limits.h"
#include "storage/store/log_batch.h"

#define PAGE_DEFAULT 50u

/* ---------------------------------------------------------------- history */

static enum status list_versions(struct kv_txn *txn,
                                 uint64_t from,
                                 uint32_t limit,
                                 struct arena *a,
                                 struct wire_versions *ret_versions,
                                 struct fault *f)
{
    struct wire_version *items = arena_alloc_zero(a, limit, sizeof *items);
    if (!items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "limit", "no memory for the list");
    size_t n = 0;
    for (uint64_t number = from; number > 0 && n < limit; number--) {
        struct digest digest;
        TRY(version_by_number(txn, number, &digest, f));
        TRY(wire_view_version(txn, &digest, WIRE_VIEW_BRIEF, a, &items[n], f));
        n++;
    }
    const uint64_t last = n > 0 ? items[n - 1].number : 0;
    *ret_versions =
        (struct wire_versions){.items = items, .n_items = n, .next_before = last > 1 ? last : 0};
    return STATUS_OK;
}

static enum status history(struct core *core,
                           const struct wire_list *m,
                           struct arena *a,
                           struct wire_versions *ret_versions,
                           struct fault *f)
{
    struct kv_txn *txn;
    uint64_t from;
    if (m->limit > LIMIT_LIST)
        FAIL(f, STATUS_INVALID_ARGUMENT, "limit", "at most %u", LIMIT_LIST);
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = version_latest(txn, &from, f);
    if (st == STATUS_OK) {
        if (m->before > 0 && m->before <= from)
            from = m->before - 1;
        st = list_versions(txn, from, m->limit ? m->limit : PAGE_DEFAULT, a, ret_versions, f);
    }
    store_read_end(txn);
    return st;
}

static void answer_history(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VERSIONS};
    const enum status st =
        history(core, &call_message(call)->body.list, call_arena(call), &reply.body.versions, &f);
    core_answer(call, st, &reply, &f);
}

void handle_history(struct core *core, struct call *call)
{
    core_post(core, answer_history, call);
}

/* ---------------------------------------------------------------- show, diff, served-at */

static enum status show(struct core *core,
                        const char *name,
                        struct arena *a,
                        struct wire_version *ret_version,
                        struct fault *f)
{
    struct kv_txn *txn;
    struct digest digest;
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = admit_resolve(txn, name, &digest, f);
    if (st == STATUS_OK)
        st = wire_view_version(txn, &digest, WIRE_VIEW_FULL, a, ret_version, f);
    store_read_end(txn);
    return st;
}

static void answer_version(struct core *core, struct call *call, const char *name)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VERSION};
    const enum status st = show(core, name, call_arena(call), &reply.body.version, &f);
    core_answer(call, st, &reply, &f);
}

static void answer_show(struct core *core, struct call *call)
{
    answer_version(core, call, call_message(call)->body.version.version);
}

void handle_show(struct core *core, struct call *call)
{
    core_post(core, answer_show, call);
}

static enum status diff(struct core *core,
                        const struct wire_diff *m,
                        struct arena *a,
                        struct wire_diff_info *ret_diff,
                        struct fault *f)
{
    struct kv_txn *txn;
    struct digest x, y;
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = admit_resolve(txn, m->a, &x, f);
    if (st == STATUS_OK)
        st = admit_resolve(txn, m->b, &y, f);
    if (st == STATUS_OK)
        st = wire_view_diff(txn, &x, &y, a, ret_diff, f);
    if (st == STATUS_OK)
        st = group_norms_tell(txn, &core->base->vit, a, ret_diff, f);
    store_read_end(txn);
    return st;
}

static void answer_diff(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_DIFF};
    const enum status st =
        diff(core, &call_message(call)->body.diff, call_arena(call), &reply.body.diff, &f);
    core_answer(call, st, &reply, &f);
}

void handle_diff(struct core *core, struct call *call)
{
    core_post(core, answer_diff, call);
}

static enum status served_proof(
    struct kv_txn *txn, int64_t time, struct arena *a, struct wire_version *v, struct fault *f)
{
    struct evidence e = {0};
    TRY(evidence_served(txn, time, LIMIT_PROOF_BYTES, &e, f));
    return receipt_text(&e, a, &v->proof, f);
}

static enum status served_interval(struct kv_txn *txn,
                                   int64_t time,
                                   struct arena *a,
                                   struct wire_version *ret_version,
                                   struct fault *f)
{
    struct serving s, next;
    TRY(serving_at(txn, time, &s, f));
    TRY(wire_view_version(txn, &s.version, WIRE_VIEW_FULL, a, ret_version, f));
    ret_version->served_from = s.since_us;
    const enum status st = serving_generation(txn, s.generation + 1, &next, f);
    if (st == STATUS_OK)
        ret_version->served_until = next.since_us;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static void answer_served_at(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct kv_txn *txn;
    struct wire_reply reply = {.answer = WIRE_ANSWER_VERSION};
    const struct wire_served_at *m = &call_message(call)->body.served_at;
    const int64_t time = m->time == 0 ? clock_wall_us() : m->time;
    enum status st = store_read_begin(core->store, &txn, &f);
    if (st == STATUS_OK) {
        st = served_interval(txn, time, call_arena(call), &reply.body.version, &f);
        if (st == STATUS_OK && m->proof)
            st = served_proof(txn, time, call_arena(call), &reply.body.version, &f);
        store_read_end(txn);
    }
    core_answer(call, st, &reply, &f);
}

void handle_served_at(struct core *core, struct call *call)
{
    core_post(core, answer_served_at, call);
}

/* ---------------------------------------------------------------- moving the pointer */

/* Where the pointer is and where it shall go. */
struct pointer_move {
    struct serving serving;
    struct digest target;
    int pinned; /* the serving version is */
};

static enum status
move_read(struct kv_txn *txn, const char *name, struct pointer_move *m, struct fault *f)
{
    struct serving_pin pin;
    TRY(serving_get(txn, &m->serving, f));
    TRY(admit_resolve(txn, name, &m->target, f));
    const enum status st = serving_pinned(txn, &m->serving.version, &pin, f);
    m->pinned = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status
move_prepare(struct core *core, const char *name, struct pointer_move *ret_move, struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = move_read(txn, name, ret_move, f);
    store_read_end(txn);
    return st;
}

/* The first request whose erasure would be undone. */
static void note_returning(const struct request_id *erasure, void *context)
{
    struct request_id *first = context;
    if (request_id_is_zero(first))
        *first = *erasure;
}

/* Names of the classes that are forgotten in `serving` and alive in `target`, as far as they fit.
 */
static void
list_returning(const struct version *serving, const struct version *target, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t k = 0; k < serving->n_labels && used < size; k++) {
        const struct version_label *now = &serving->labels[k];
        const struct version_label *then = version_find_label(target, now->name);
        if (now->status != VERSION_LABEL_FORGOTTEN || !then || then->status != VERSION_LABEL_ACTIVE)
            continue;
        const int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "", now->name);
        used += n > 0 ? (size_t)n : 0;
    }
    wire_text_clean(text);
}

static enum status
check_returning(const struct version *serving, const struct version *target, struct fault *f)
{
    struct request_id first = {0};
    const size_t n = version_returning(serving, target, note_returning, &first);
    if (n == 0)
        return STATUS_OK;
    char id[REQUEST_ID_TEXT_SIZE], classes[64];
    request_id_format(&first, id);
    list_returning(serving, target, classes, sizeof classes);
    FAIL(f, STATUS_FAILED_PRECONDITION, "version",
         "would bring erased state back: %s%s%zu erasure%s, first %s", classes,
         classes[0] ? "; " : "", n, n == 1 ? "" : "s", id);
}

/* Refuses what would undo an erasure; gives the target ready to be served. */
static enum status move_check(struct core *core,
                              const struct pointer_move *m,
                              struct served **ret_served,
                              struct fault *f)
{
    struct served *target;
    TRY(served_take(core->served, &m->target, &target, f));
    struct served *serving = served_take_serving(core->served);
    const enum status st = check_returning(serving->manifest, target->manifest, f);
    served_release(serving);
    if (st != STATUS_OK) {
        served_release(target);
        return st;
    }
    *ret_served = target;
    return STATUS_OK;
}

static enum status move_commit(struct core *core,
                               struct call *call,
                               const struct pointer_move *m,
                               const struct serving_pin *pin,
                               const struct digest *unpin,
                               struct fault *f)
{
    const struct serving_move serve = {.expected_generation = m->serving.generation,
                                       .version = m->target,
                                       .request = call_message(call)->request_id,
                                       .now_us = clock_wall_us()};
    const int moves = !digest_equal(&m->serving.version, &m->target);
    struct store_change change = {
        .actor = call_principal(call), .serve = moves ? &serve : NULL, .pin = pin, .unpin = unpin};
    struct store_result result;
    return core_commit(core, &change, &result, f);
}

/* Which erasures a refused move would have undone: how many, and the first of them. */
struct returning {
    struct request_id ids[LOG_REQUESTS_MAX];
    size_t n, kept;
};

static void list_erasure(const struct request_id *erasure, void *context)
{
    struct returning *r = context;
    if (r->kept < LOG_REQUESTS_MAX)
        r->ids[r->kept++] = *erasure;
}

static void
find_returning(struct core *core, const struct digest *target, struct returning *ret_returning)
{
    struct version *v;
    struct returning r = {.n = 0};
    *ret_returning = r;
    if (store_read_version(core->store, target, &v, NULL) != STATUS_OK)
        return;
    struct served *serving = served_take_serving(core->served);
    r.n = version_returning(serving->manifest, v, list_erasure, &r);
    served_release(serving);
    version_free(v);
    *ret_returning = r;
}

static void note_refused(struct core *core, struct call *call, const struct fault *why)
{
    struct fault f = {0};
    struct pointer_move m = {.pinned = 0};
    struct returning r = {.n = 0};
    struct store_result result;
    if (move_prepare(core, call_message(call)->body.rollback.version, &m, NULL) == STATUS_OK)
        find_returning(core, &m.target, &r);
    const struct log_value values[] = {
        log_value_request("request", &call_message(call)->request_id),
        log_value_actor("actor", log_actor_of(call_principal(call))),
        log_value_digest("version", &m.target),
        log_value_word("reason", status_name(why->code)),
        log_value_number("count", r.n),
        log_value_requests("requests", r.ids, r.kept),
    };
    const struct store_entry entry = {LOG_KIND_ROLLBACK_REFUSED, values,
                                      sizeof values / sizeof *values};
    struct store_change change = {.actor = call_principal(call), .entries = &entry, .n_entries = 1};
    if (core_commit(core, &change, &result, &f) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "rollback.unrecorded", f.text, NULL);
}

static enum status rollback(struct core *core, struct call *call, const char *name, struct fault *f)
{
    struct pointer_move m;
    struct served *target;
    TRY(move_prepare(core, name, &m, f));
    if (digest_equal(&m.target, &m.serving.version))
        return STATUS_OK;
    if (m.pinned)
        FAIL(f, STATUS_FAILED_PRECONDITION, "version", "the serving version is pinned");
    TRY(move_check(core, &m, &target, f));
    const enum status st = move_commit(core, call, &m, NULL, NULL, f);
    if (st != STATUS_OK) {
        served_release(target);
        return st;
    }
    served_cache_publish(core->served, target);
    return STATUS_OK;
}

static void answer_rollback(struct core *core, struct call *call)
{
    struct fault f = {0};
    const char *name = call_message(call)->body.rollback.version;
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = rollback(core, call, name, &f);
    if (st == STATUS_OK) {
        answer_version(core, call, "serving");
        return;
    }
    if (st == STATUS_FAILED_PRECONDITION)
        note_refused(core, call, &f);
    call_fail(call, st, &f);
}

void handle_rollback(struct core *core, struct call *call)
{
    core_post(core, answer_rollback, call);
}

static enum status unpin(struct core *core, struct call *call, struct fault *f)
{
    struct pointer_move m;
    TRY(move_prepare(core, "serving", &m, f));
    if (!m.pinned)
        return STATUS_OK;
    return move_commit(core, call, &m, NULL, &m.serving.version, f);
}

static enum status pin(struct core *core, struct call *call, const char *name, struct fault *f)
{
    struct pointer_move m;
    struct served *target;
    TRY(move_prepare(core, name, &m, f));
    const int same = digest_equal(&m.target, &m.serving.version);
    if (same && m.pinned)
        return STATUS_OK;
    TRY(move_check(core, &m, &target, f));
    struct serving_pin record = {.version = m.target, .since_us = clock_wall_us()};
    (void)snprintf(record.who, sizeof record.who, "%.100s", call_principal(call));
    const struct digest *old = m.pinned ? &m.serving.version : NULL;
    const enum status st = move_commit(core, call, &m, &record, old, f);
    if (st == STATUS_OK && !same) {
        served_cache_publish(core->served, target);
        return STATUS_OK;
    }
    served_release(target);
    return st;
}

static void answer_pin(struct core *core, struct call *call)
{
    struct fault f = {0};
    const char *name = call_message(call)->body.version.version;
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = name[0] == '\0' ? unpin(core, call, &f) : pin(core, call, name, &f);
    if (st == STATUS_OK)
        answer_version(core, call, "serving");
    else
        call_fail(call, st, &f);
}

void handle_pin(struct core *core, struct call *call)
{
    core_post(core, answer_pin, call);
}
