/* KIND_REQUESTS, KIND_REQUEST, KIND_WAIT and KIND_CANCEL, on the core thread. */
#include "daemon/jobs/handlers.h"

#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/job_run.h"
#include "daemon/jobs/owner.h"
#include "daemon/jobs/request_view.h"
#include "daemon/jobs/wire_view.h"
#include "proto/limits.h"

#define PAGE_DEFAULT 50u

/* ---------------------------------------------------------------- list */

struct page {
    struct kv_txn *txn;
    const struct call *call;
    size_t max;
    struct arena *arena;
    struct wire_request *items;
    size_t n;
    uint64_t last;
};

static enum status page_add(const struct queue_record *record, void *context, struct fault *f)
{
    struct page *p = context;
    if (!owner_sees_all(p->call) && !owner_is(p->call, record))
        return STATUS_OK;
    if (p->n == p->max)
        return STATUS_CANCELLED; /* the page is full: ends the listing */
    TRY(wire_view_request(p->txn, record, WIRE_VIEW_BRIEF, p->arena, &p->items[p->n], f));
    p->n++;
    p->last = record->sequence;
    return STATUS_OK;
}

static enum status filter_of(const struct wire_list *m, struct queue_filter *ret, struct fault *f)
{
    struct queue_filter filter = {.newest_first = 1, .after = m->before};
    if (m->state[0] != '\0') {
        filter.state = request_state_parse(m->state);
        if (filter.state == REQUEST_NONE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "state", "there is no state \"%.40s\"", m->state);
    }
    if (m->limit > LIMIT_LIST)
        FAIL(f, STATUS_INVALID_ARGUMENT, "limit", "at most %u", LIMIT_LIST);
    filter.limit = m->limit == 0 ? PAGE_DEFAULT : m->limit;
    *ret = filter;
    return STATUS_OK;
}

static enum status list_requests(struct core *core,
                                 struct call *call,
                                 struct wire_requests *ret_requests,
                                 struct fault *f)
{
    struct queue_filter filter;
    struct arena *a = call_arena(call);
    TRY(filter_of(&call_message(call)->body.list, &filter, f));
    struct page p = {.call = call,
                     .arena = a,
                     .max = filter.limit,
                     .items = arena_alloc_zero(a, filter.limit, sizeof *p.items)};
    /* Requests of others are passed over, so the page counts what it takes. */
    if (!owner_sees_all(call))
        filter.limit = 0;
    if (!p.items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "limit", "no memory for the list");
    TRY(store_read_begin(core->store, &p.txn, f));
    const enum status st = queue_list(p.txn, &filter, page_add, &p, f);
    store_read_end(p.txn);
    if (st != STATUS_OK && st != STATUS_CANCELLED)
        return st;
    *ret_requests = (struct wire_requests){
        .items = p.items, .n_items = p.n, .next_before = p.n == p.max ? p.last : 0};
    return STATUS_OK;
}

static void answer_requests(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_REQUESTS};
    const enum status st = list_requests(core, call, &reply.body.requests, &f);
    core_answer(call, st, &reply, &f);
}

void handle_requests(struct core *core, struct call *call)
{
    core_post(core, answer_requests, call);
}

/* ---------------------------------------------------------------- one, wait */

/* The request that the call names, if the peer may see it. */
static enum status find_seen(struct core *core,
                             const struct call *call,
                             struct queue_record *ret_record,
                             struct fault *f)
{
    TRY(store_read_request(core->store, &call_message(call)->body.by_id.id, ret_record, f));
    return owner_check_see(call, ret_record, f);
}

static void answer_request(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = find_seen(core, call, &record, &f);
    if (st == STATUS_OK)
        request_view_answer(core, call, &record);
    else
        call_fail(call, st, &f);
}

void handle_request(struct core *core, struct call *call)
{
    core_post(core, answer_request, call);
}

static void answer_wait(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const struct request_id *id = &call_message(call)->body.by_id.id;
    const enum status st = find_seen(core, call, &record, &f);
    if (st != STATUS_OK)
        call_fail(call, st, &f);
    else if (request_state_is_final(record.state))
        request_view_answer(core, call, &record);
    else
        waiters_add(core->waiters, core, call, id, request_view_answer_id);
}

void handle_wait(struct core *core, struct call *call)
{
    core_post(core, answer_wait, call);
}

/* ---------------------------------------------------------------- cancel */

static enum status cancel_stored(struct core *core,
                                 const struct request_id *id,
                                 const char *reason,
                                 const char *actor,
                                 struct fault *f)
{
    struct queue_error error = {.code = STATUS_CANCELLED};
    (void)snprintf(error.text, sizeof error.text, "%s", reason[0] ? reason : "cancelled");
    const struct queue_move move = {
        .id = *id, .event = REQUEST_EVENT_CANCEL, .now_us = clock_wall_us(), .error = &error};
    struct store_change change = {.actor = actor, .moves = &move, .n_moves = 1};
    struct store_result result;
    return core_commit(core, &change, &result, f);
}

static enum status cancel(struct core *core, const struct call *call, struct fault *f)
{
    struct queue_record record;
    const char *actor = call_principal(call);
    const struct wire_by_id *m = &call_message(call)->body.by_id;
    TRY(store_read_request(core->store, &m->id, &record, f));
    TRY(owner_check_cancel(call, &record, m->reason, f));
    if (record.state == REQUEST_CANCELLED)
        return STATUS_OK; /* a repeat */
    if (request_state_is_final(record.state))
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is %s and cannot be cancelled",
             request_state_name(record.state));
    if (job_run_is(core, &m->id))
        return job_run_cancel(core, m->reason, actor, f);
    return cancel_stored(core, &m->id, m->reason, actor, f);
}

static void answer_cancel(struct core *core, struct call *call)
{
    struct fault f = {0};
    const struct wire_by_id *m = &call_message(call)->body.by_id;
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = cancel(core, call, &f);
    if (st == STATUS_OK)
        request_view_answer_id(core, call, &m->id);
    else
        call_fail(call, st, &f);
}

void handle_cancel(struct core *core, struct call *call)
{
    core_post(core, answer_cancel, call);
}
