/* KIND_STREAM_OPEN, _PUSH, _CLOSE.  The way is that of a forget request (handlers_forget.c). */
#include "daemon/jobs/handlers.h"

#include "daemon/jobs/admit_stream.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/submit.h"

/* A stream that an accepted request will open may be pushed to: its turn comes first. */
static enum status admit(struct core *core, const struct wire_envelope *m, struct fault *f)
{
    int opening = 0;
    struct submit_view v;
    struct admit_plan plan;
    if (m->kind != WIRE_KIND_STREAM_OPEN)
        TRY(open_requests_opens(core->store, admit_stream_name(m), &opening, f));
    TRY(submit_view_begin(core, &v, f));
    const enum status st =
        admit_stream(v.txn, &v.context, m, v.serving->manifest, opening, &plan, f);
    return submit_view_end(core, &v, st, &plan, f);
}

static enum status submit_stream(struct core *core,
                                 struct call *call,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    return submit_message(core, call, JOB_TEXT_KIND_STREAM, admit, ret_record, f);
}

static void answer_stream(struct core *core, struct call *call)
{
    submit_answer(core, call, submit_stream);
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
