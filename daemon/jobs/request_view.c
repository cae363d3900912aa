#include "daemon/jobs/request_view.h"

#include "daemon/jobs/job_run.h"
#include "daemon/jobs/receipts.h"
#include "daemon/jobs/wire_view.h"

static enum status view_record(struct core *core,
                               const struct queue_record *record,
                               struct arena *a,
                               struct wire_request *ret_request,
                               struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = wire_view_request(txn, record, WIRE_VIEW_FULL, a, ret_request, f);
    store_read_end(txn);
    return st;
}

static void
answer(struct core *core, struct call *call, const struct queue_record *record, int acknowledge)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_REQUEST};
    struct wire_request *r = &reply.body.request;
    struct wire_progress progress;
    enum status st = view_record(core, record, call_arena(call), r, &f);
    if (st == STATUS_OK && acknowledge)
        st = receipt_of_acceptance(core, call, record, &r->receipt, &f);
    if (st == STATUS_OK && job_run_is(core, &record->id) && core->job.has_progress) {
        progress = wire_view_progress(&core->job.progress, record->attempts + record->step);
        r->progress = &progress;
    }
    core_answer(call, st, &reply, &f);
}

void request_view_answer(struct core *core, struct call *call, const struct queue_record *record)
{
    answer(core, call, record, 0);
}

void request_view_acknowledge(struct core *core,
                              struct call *call,
                              const struct queue_record *record)
{
    answer(core, call, record, 1);
}

void request_view_answer_id(struct core *core, struct call *call, const struct request_id *id)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = store_read_request(core->store, id, &record, &f);
    if (st == STATUS_OK)
        request_view_answer(core, call, &record);
    else
        call_fail(call, st, &f);
}

static enum status report_of(struct core *core,
                             struct call *call,
                             const struct queue_record *record,
                             struct wire_report *ret_report,
                             struct fault *f)
{
    struct wire_request r;
    if (!request_state_is_final(record->state))
        FAIL(f, STATUS_DEADLINE_EXCEEDED, NULL,
             "the evaluation is %s; ask again with the same request id",
             request_state_name(record->state));
    if (record->state != REQUEST_COMMITTED) {
        const enum status code =
            record->error.code == STATUS_OK ? STATUS_INTERNAL : record->error.code;
        return fault_set(f, code, __FILE__, __LINE__, record->error.field, "%s",
                         record->error.text);
    }
    TRY(view_record(core, record, call_arena(call), &r, f));
    *ret_report =
        (struct wire_report){.version = record->version_after, .evaluation = r.evaluation};
    return STATUS_OK;
}

void request_view_answer_report(struct core *core, struct call *call, const struct request_id *id)
{
    struct fault f = {0};
    struct queue_record record;
    struct wire_reply reply = {.answer = WIRE_ANSWER_REPORT};
    enum status st = store_read_request(core->store, id, &record, &f);
    if (st == STATUS_OK)
        st = report_of(core, call, &record, &reply.body.report, &f);
    core_answer(call, st, &reply, &f);
}
