/*
 * KIND_APPROVE and KIND_DENY, on the core thread: the word of a second person on an erasure that
 * waits for it.  Never the submitter's own.  The reason is committed to in the log with the
 * request's own salt, and kept in the request's sealed answer, which is deleted with it.
 */
#include "daemon/jobs/handlers.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/owner.h"
#include "daemon/jobs/request_view.h"
#include "proto/seal/commitment.h"
#include "storage/store/log_batch.h"
#include "storage/store/salts.h"

/* Salts are made when a request is accepted. */
static enum status commit_reason(struct core *core,
                                 const struct wire_by_id *m,
                                 struct sha256 *ret_commitment,
                                 struct fault *f)
{
    struct kv_txn *txn;
    struct salts salts;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = salts_get(txn, &m->id, &salts, f);
    store_read_end(txn);
    TRY(st);
    *ret_commitment = commitment_make(&salts.reason, "reason", m->reason, strlen(m->reason));
    explicit_bzero(&salts, sizeof salts);
    return STATUS_OK;
}

static enum status decide(struct core *core, struct call *call, int approve, struct fault *f)
{
    const struct wire_by_id *m = &call_message(call)->body.by_id;
    const char *actor = call_principal(call);
    const int has_reason = m->reason[0] != '\0';
    const struct queue_error error = {.code = STATUS_PERMISSION_DENIED,
                                      .text = "denied by a second person"};
    struct sha256 reason = {{0}};
    struct store_result result;
    if (has_reason)
        TRY(commit_reason(core, m, &reason, f));
    const struct log_value values[] = {
        log_value_request("request", &m->id),
        log_value_actor("actor", log_actor_of(actor)),
        log_value_commitment("reason", has_reason ? &reason : NULL),
    };
    const struct store_entry entry = {approve ? LOG_KIND_REQUEST_APPROVED : LOG_KIND_REQUEST_DENIED,
                                      values, sizeof values / sizeof *values};
    const struct queue_move move = {.id = m->id,
                                    .event = approve ? REQUEST_EVENT_APPROVE : REQUEST_EVENT_DENY,
                                    .now_us = clock_wall_us(),
                                    .error = approve ? NULL : &error,
                                    .answer = has_reason ? m->reason : NULL,
                                    .answer_size = strlen(m->reason)};
    struct store_change change = {
        .actor = actor, .moves = &move, .n_moves = 1, .entries = &entry, .n_entries = 1};
    return core_commit(core, &change, &result, f);
}

/* Who submitted a request may take it back (cancel), but has no second voice. */
static enum status judge(struct core *core, struct call *call, int approve, struct fault *f)
{
    struct queue_record record;
    const struct wire_by_id *m = &call_message(call)->body.by_id;
    TRY(core_once(core, call, f));
    TRY(store_read_request(core->store, &m->id, &record, f));
    if (owner_is(call, &record))
        FAIL(f, STATUS_PERMISSION_DENIED, "id", "you submitted it: another person has to decide%s",
             approve ? "" : "; to take it back, cancel it");
    if (!approve && m->reason[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "reason", "to deny an erasure needs a reason");
    if (record.state == (approve ? REQUEST_QUEUED : REQUEST_DENIED))
        return STATUS_OK; /* a repeat */
    if (record.state != REQUEST_AWAITING_APPROVAL)
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is %s and waits for nobody's word",
             request_state_name(record.state));
    return decide(core, call, approve, f);
}

static void answer(struct core *core, struct call *call, int approve)
{
    struct fault f = {0};
    const enum status st = judge(core, call, approve, &f);
    if (st == STATUS_OK)
        request_view_answer_id(core, call, &call_message(call)->body.by_id.id);
    else
        call_fail(call, st, &f);
}

static void answer_approve(struct core *core, struct call *call)
{
    answer(core, call, 1);
}

static void answer_deny(struct core *core, struct call *call)
{
    answer(core, call, 0);
}

void handle_approve(struct core *core, struct call *call)
{
    core_post(core, answer_approve, call);
}

void handle_deny(struct core *core, struct call *call)
{
    core_post(core, answer_deny, call);
}
