/* KIND_LEARN: a task becomes a lane.  The way is that of a forget request (handlers_forget.c). */
#include "daemon/jobs/handlers.h"

#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/submit.h"

static enum status admit(struct core *core, const struct wire_envelope *m, struct fault *f)
{
    struct submit_view v;
    struct admit_plan plan;
    TRY(submit_view_begin(core, &v, f));
    const enum status st =
        admit_learn(v.txn, &v.context, &m->body.learn, v.serving->manifest, &plan, f);
    return submit_view_end(core, &v, st, &plan, f);
}

static enum status
submit_learn(struct core *core, struct call *call, struct queue_record *ret_record, struct fault *f)
{
    return submit_message(core, call, JOB_TEXT_KIND_LEARN, admit, ret_record, f);
}

static void answer_learn(struct core *core, struct call *call)
{
    submit_answer(core, call, submit_learn);
}

void handle_learn(struct core *core, struct call *call)
{
    core_post(core, answer_learn, call);
}
