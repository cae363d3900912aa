/*
 * KIND_FORGET and KIND_EVALUATE: from the call to a durable request.  The way of a forget request:
 * handle_forget (serve thread) -> answer_forget (core thread), where submit_answer (submit.c) runs
 * submit_forget: admit_forget, submit_record; then it is acknowledged -> job_run_turn -> job_build
 * -> worker -> job_run_listen -> gate_judge -> commit_candidate.
 */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/approval.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/request_view.h"
#include "daemon/jobs/subjects.h"
#include "daemon/jobs/submit.h"
#include "proto/seal/subject.h"

#define DAY_US ((int64_t)86400 * 1000000)

/* ---------------------------------------------------------------- forget */

static int64_t due_of(const struct config *config, const struct wire_forget *m, int64_t now_us)
{
    if (m->due_at != 0)
        return m->due_at;
    return config->due_days > 0 ? now_us + config->due_days * DAY_US : clock_add_month(now_us);
}

static enum status admit(struct core *core, const struct wire_forget *m, struct fault *f)
{
    struct submit_view v;
    struct admit_plan plan;
    TRY(submit_view_begin(core, &v, f));
    const enum status st = admit_forget(v.txn, &v.context, m, v.serving->manifest, &plan, f);
    return submit_view_end(core, &v, st, &plan, f);
}

static enum status submit_forget(struct core *core,
                                 struct call *call,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    struct wire_envelope stored = *call_message(call);
    struct wire_forget *m = &stored.body.forget;
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    struct request_id same = {0};
    int known;
    /* Whose data it is about is kept as a keyed hash only. */
    const struct digest subject = subject_public(m->subject);
    if (m->subject[0] != '\0')
        TRY(subjects_name(core->store, m->subject, call_arena(call), &m->subject, f));
    TRY(submit_make_of(core, call, &stored, JOB_TEXT_KIND_FORGET, principal, &s, f));
    TRY(submit_known(core, &s, &known, f));
    if (!known) {
        TRY(admit(core, m, f));
        TRY(open_requests_same(core->store, m, &same, f));
    }
    s.due_us = due_of(core->config, m, s.submitted_us);
    if (!digest_is_zero(&subject))
        s.subject = &subject;
    if (!request_id_is_zero(&same))
        return submit_record(core, &s, REQUEST_EVENT_DUPLICATE, &same, ret_record, f);
    return submit_record(core, &s, approval_event(core->config, m), NULL, ret_record, f);
}

static void answer_forget(struct core *core, struct call *call)
{
    submit_answer(core, call, submit_forget);
}

void handle_forget(struct core *core, struct call *call)
{
    core_post(core, answer_forget, call);
}

/* ---------------------------------------------------------------- evaluate */

static enum status admit_evaluate(struct core *core, const struct wire_envelope *m, struct fault *f)
{
    struct kv_txn *txn;
    struct digest digest;
    struct base_data data = {0};
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = admit_resolve(txn, m->body.evaluate.version, &digest, f);
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
    return submit_reserve(core, &plan, f);
}

static enum status submit_evaluate(struct core *core,
                                   struct call *call,
                                   struct queue_record *ret_record,
                                   struct fault *f)
{
    return submit_message(core, call, JOB_TEXT_KIND_EVALUATE, admit_evaluate, ret_record, f);
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
