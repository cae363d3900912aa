/*
 * KIND_FORGET and KIND_EVALUATE: from the call to a durable request.  The way of a forget request:
 * handle_forget (serve thread) -> answer_forget (core thread) -> admit_forget -> submit, which
 * records it and is then acknowledged -> job_run_turn -> job_build -> worker -> job_run_listen ->
 * gate_judge -> commit_candidate.
 */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/request_view.h"

#define DAY_US ((int64_t)86400 * 1000000)

/* ---------------------------------------------------------------- recording */

/* What arrived, as it is kept: without what a repeat may change. */
static enum status submission_make(const struct core *core,
                                   struct call *call,
                                   const char *kind,
                                   char principal[QUEUE_PRINCIPAL_SIZE],
                                   struct queue_submission *ret_submission,
                                   struct fault *f)
{
    struct wire_envelope m = *call_message(call);
    const uint8_t *bytes;
    size_t size;
    m.deadline_ms = 0;
    m.n_frames = 0;
    m.frame_bytes = NULL;
    TRY(wire_envelope_encode(&m, call_arena(call), &bytes, &size, f));
    (void)snprintf(principal, QUEUE_PRINCIPAL_SIZE, "%s/%.100s", call_role_name(call_roles(call)),
                   call_principal(call));
    const uint64_t asked = m.kind == WIRE_KIND_FORGET ? m.body.forget.seed : 0;
    *ret_submission =
        (struct queue_submission){.id = m.request_id,
                                  .principal = principal,
                                  .kind = kind,
                                  .payload = bytes,
                                  .payload_size = size,
                                  .seed = job_seed(core->config, asked, &m.request_id),
                                  .submitted_us = clock_wall_us()};
    return STATUS_OK;
}

static int64_t due_of(const struct config *config, const struct wire_forget *m, int64_t now_us)
{
    if (m->due_at != 0)
        return m->due_at;
    return config->due_days > 0 ? now_us + config->due_days * DAY_US : clock_add_month(now_us);
}

/* 1 if a request of this id is on record. */
static enum status
is_known(struct core *core, const struct request_id *id, int *ret, struct fault *f)
{
    struct queue_record record;
    if (repeats_known(core->repeats, id))
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id", "this request id was used for something else");
    const enum status st = store_read_request(core->store, id, &record, f);
    *ret = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/*
 * Records a submission together with its first move.  A repeat of a known request changes nothing
 * and gives the record as it is; ALREADY_EXISTS: the id was used for something else.
 */
static enum status submit(struct core *core,
                          const struct queue_submission *s,
                          enum request_event event,
                          const struct request_id *duplicate_of,
                          struct queue_record *ret_record,
                          struct fault *f)
{
    const struct queue_move move = {
        .id = s->id, .event = event, .now_us = s->submitted_us, .duplicate_of = duplicate_of};
    struct store_change change = {.accept = s, .moves = &move, .n_moves = 1};
    struct store_result result;
    const enum status st = core_commit(core, &change, &result, f);
    if (st == STATUS_ALREADY_EXISTS)
        (void)snprintf(f->field, sizeof f->field, "request_id"); /* its name on the wire */
    TRY(st);
    *ret_record = result.known ? result.accepted : result.moved;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- forget */

/* Room for this request and for closing everything that was promised before. */
static enum status reserve(struct core *core, const struct admit_plan *plan, struct fault *f)
{
    uint64_t open;
    TRY(open_requests_count(core->store, &open, f));
    if (open >= CORE_OPEN_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "queue", "%d requests are open already", CORE_OPEN_MAX);
    return store_reserve(core->store, (open + 1) * plan->store_bytes + CORE_RESERVE, f);
}

static enum status admit(struct core *core, const struct wire_forget *m, struct fault *f)
{
    const struct job_context context = {.config = core->config,
                                        .store = core->store,
                                        .base = core->base,
                                        .threads = (uint32_t)core->config->threads};
    struct kv_txn *txn;
    struct admit_plan plan;
    struct served *serving = served_take_serving(core->served);
    enum status st = store_read_begin(core->store, &txn, f);
    if (st == STATUS_OK) {
        st = admit_forget(txn, &context, m, serving->manifest, &plan, f);
        store_read_end(txn);
    }
    served_release(serving);
    TRY(st);
    return reserve(core, &plan, f);
}

static enum status submit_forget(struct core *core,
                                 struct call *call,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    const struct wire_forget *m = &call_message(call)->body.forget;
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    struct request_id same = {0};
    int known;
    TRY(submission_make(core, call, JOB_TEXT_KIND_FORGET, principal, &s, f));
    TRY(is_known(core, &s.id, &known, f));
    if (!known) {
        TRY(admit(core, m, f));
        TRY(open_requests_same(core->store, m, &same, f));
    }
    s.due_us = due_of(core->config, m, s.submitted_us);
    if (!request_id_is_zero(&same))
        return submit(core, &s, REQUEST_EVENT_DUPLICATE, &same, ret_record, f);
    return submit(core, &s, REQUEST_EVENT_ENQUEUE, NULL, ret_record, f);
}

static void answer_forget(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = submit_forget(core, call, &record, &f);
    if (st == STATUS_OK)
        request_view_answer(core, call, &record);
    else if (status_class_of(st) == STATUS_CLASS_LIMIT)
        call_fail_retry(call, st, &f, 30);
    else
        call_fail(call, st, &f);
}

void handle_forget(struct core *core, struct call *call)
{
    core_post(core, answer_forget, call);
}

/* ---------------------------------------------------------------- evaluate */

static enum status check_evaluate(struct core *core, const char *version, struct fault *f)
{
    struct kv_txn *txn;
    struct digest digest;
    struct base_data data = {0};
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = admit_resolve(txn, version, &digest, f);
    if (st == STATUS_OK)
        st = base_data_find(txn, core->base, &data, f);
    store_read_end(txn);
    const int train = data.train != NULL, test = data.test != NULL;
    base_data_free(&data);
    TRY(st);
    if (!train || !test)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "no %s data of the base yet: lethe data import NAME PATH --role %s",
             train ? "test" : "training", train ? "test" : "train");
    const struct admit_plan plan = {0};
    return reserve(core, &plan, f);
}

static enum status submit_evaluate(struct core *core,
                                   struct call *call,
                                   struct queue_record *ret_record,
                                   struct fault *f)
{
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    int known;
    TRY(submission_make(core, call, JOB_TEXT_KIND_EVALUATE, principal, &s, f));
    TRY(is_known(core, &s.id, &known, f));
    if (!known)
        TRY(check_evaluate(core, call_message(call)->body.evaluate.version, f));
    return submit(core, &s, REQUEST_EVENT_ENQUEUE, NULL, ret_record, f);
}

/* The evaluation's caller waits for the report itself. */
static void answer_evaluate(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = submit_evaluate(core, call, &record, &f);
    if (st != STATUS_OK)
        call_fail(call, st, &f);
    else if (request_state_is_final(record.state))
        request_view_answer_report(core, call, &record.id);
    else
        waiters_add(core->waiters, core, call, &record.id, request_view_answer_report);
}

void handle_evaluate(struct core *core, struct call *call)
{
    core_post(core, answer_evaluate, call);
}
