/* KIND_LEARN: a task becomes a lane.  The way is that of a forget request (handlers_forget.c). */
#include "daemon/jobs/handlers.h"

#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/request_view.h"
#include "daemon/jobs/submit.h"

static enum status admit(struct core *core, const struct wire_learn *m, struct fault *f)
{
    const struct job_context context = {.config = core->config,
                                        .store = core->store,
                                        .base = core->base,
                                        .keys = core->keys,
                                        .threads = (uint32_t)core->config->threads};
    struct kv_txn *txn;
    struct admit_plan plan;
    struct served *serving = served_take_serving(core->served);
    enum status st = store_read_begin(core->store, &txn, f);
    if (st == STATUS_OK) {
        st = admit_learn(txn, &context, m, serving->manifest, &plan, f);
        store_read_end(txn);
    }
    served_release(serving);
    TRY(st);
    return submit_reserve(core, &plan, f);
}

static enum status
submit_learn(struct core *core, struct call *call, struct queue_record *ret_record, struct fault *f)
{
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    int known;
    TRY(submit_make(core, call, JOB_TEXT_KIND_LEARN, principal, &s, f));
    TRY(submit_known(core, &s.id, &known, f));
    if (!known)
        TRY(admit(core, &call_message(call)->body.learn, f));
    return submit_record(core, &s, REQUEST_EVENT_ENQUEUE, NULL, ret_record, f);
}

static void answer_learn(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = submit_learn(core, call, &record, &f);
    if (st == STATUS_OK)
        request_view_answer(core, call, &record);
    else if (status_class_of(st) == STATUS_CLASS_LIMIT)
        call_fail_retry(call, st, &f, 30);
    else
        call_fail(call, st, &f);
}

void handle_learn(struct core *core, struct call *call)
{
    core_post(core, answer_learn, call);
}
