/* KIND_STREAM_OPEN, _PUSH, _CLOSE.  The way is that of a forget request (handlers_forget.c). */
#include "daemon/jobs/handlers.h"

#include "daemon/jobs/admit_stream.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/request_view.h"
#include "daemon/jobs/submit.h"

static enum status
admit_now(struct core *core, const struct wire_envelope *m, int opening, struct fault *f)
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
        st = admit_stream(txn, &context, m, serving->manifest, opening, &plan, f);
        store_read_end(txn);
    }
    served_release(serving);
    TRY(st);
    return submit_reserve(core, &plan, f);
}

/* A stream that an accepted request will open may be pushed to: its turn comes first. */
static enum status admit(struct core *core, const struct wire_envelope *m, struct fault *f)
{
    int opening = 0;
    if (m->kind != WIRE_KIND_STREAM_OPEN)
        TRY(open_requests_opens(core->store, admit_stream_name(m), &opening, f));
    return admit_now(core, m, opening, f);
}

static enum status submit_stream(struct core *core,
                                 struct call *call,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    int known;
    TRY(submit_make(core, call, JOB_TEXT_KIND_STREAM, principal, &s, f));
    TRY(submit_known(core, &s.id, &known, f));
    if (!known)
        TRY(admit(core, call_message(call), f));
    return submit_record(core, &s, REQUEST_EVENT_ENQUEUE, NULL, ret_record, f);
}

static void answer_stream(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = submit_stream(core, call, &record, &f);
    if (st == STATUS_OK)
        request_view_answer(core, call, &record);
    else if (status_class_of(st) == STATUS_CLASS_LIMIT)
        call_fail_retry(call, st, &f, 30);
    else
        call_fail(call, st, &f);
}

void handle_stream_open(struct core *core, struct call *call)
{
    core_post(core, answer_stream, call);
}

void handle_stream_push(struct core *core, struct call *call)
{
    core_post(core, answer_stream, call);
}

void handle_stream_close(struct core *core, struct call *call)
{
    core_post(core, answer_stream, call);
}
