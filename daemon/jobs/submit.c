#include "daemon/jobs/submit.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/request_view.h"
#include "proto/limits.h"

#define RETRY_S 30 /* when a call that met a limit may come again */

/* ---------------------------------------------------------------- the whole way */

/* What submit_answer takes that is none of these belongs to a stream. */
static enum core_stats_kind stats_kind(enum wire_kind kind)
{
    return kind == WIRE_KIND_FORGET     ? CORE_STATS_FORGET
           : kind == WIRE_KIND_LEARN    ? CORE_STATS_LEARN
           : kind == WIRE_KIND_IMPORT   ? CORE_STATS_IMPORT
           : kind == WIRE_KIND_EVALUATE ? CORE_STATS_EVALUATE
                                        : CORE_STATS_STREAM;
}

void submit_answer(struct core *core, struct call *call, submit_function *submit)
{
    struct fault f = {0};
    struct queue_record record;
    const enum status st = submit(core, call, &record, &f);
    if (st != STATUS_OK)
        tally_refusal(core->tally, stats_kind(call_message(call)->kind));
    if (st == STATUS_OK)
        request_view_acknowledge(core, call, &record);
    else if (status_class_of(st) == STATUS_CLASS_LIMIT)
        call_fail_retry(call, st, &f, RETRY_S);
    else
        call_fail(call, st, &f);
}

enum status submit_message(struct core *core,
                           struct call *call,
                           const char *kind,
                           submit_admit *admit,
                           struct queue_record *ret_record,
                           struct fault *f)
{
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    int known;
    TRY(submit_make(core, call, kind, principal, &s, f));
    TRY(submit_known(core, &s, &known, f));
    if (!known)
        TRY(admit(core, call_message(call), f));
    return submit_record(core, &s, REQUEST_EVENT_ENQUEUE, NULL, ret_record, f);
}

/* ---------------------------------------------------------------- admission */

enum status submit_view_begin(struct core *core, struct submit_view *ret_view, struct fault *f)
{
    struct submit_view v = {.context = core_job_context(core),
                            .serving = served_take_serving(core->served)};
    const enum status st = store_read_begin(core->store, &v.txn, f);
    if (st != STATUS_OK) {
        served_release(v.serving);
        return st;
    }
    *ret_view = v;
    return STATUS_OK;
}

enum status submit_view_end(struct core *core,
                            struct submit_view *view,
                            enum status admitted,
                            const struct admit_plan *plan,
                            struct fault *f)
{
    store_read_end(view->txn);
    served_release(view->serving);
    TRY(admitted);
    return submit_reserve(core, plan, f);
}

enum status submit_reserve(struct core *core, const struct admit_plan *plan, struct fault *f)
{
    uint64_t open;
    TRY(open_requests_count(core->store, &open, f));
    if (open >= LIMIT_OPEN_REQUESTS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "queue", "%u requests are open already",
             LIMIT_OPEN_REQUESTS);
    return store_reserve(core->store, (open + 1) * plan->store_bytes + CORE_RESERVE, f);
}

/* ---------------------------------------------------------------- what is recorded */

enum status submit_make_of(const struct core *core,
                           struct call *call,
                           const struct wire_envelope *asked_for,
                           const char *kind,
                           char principal[QUEUE_PRINCIPAL_SIZE],
                           struct queue_submission *ret_submission,
                           struct fault *f)
{
    struct wire_envelope m = *asked_for;
    const uint8_t *bytes;
    size_t size;
    m.deadline_ms = 0;
    m.n_frames = 0;
    m.frame_bytes = NULL;
    TRY(wire_envelope_encode(&m, call_arena(call), &bytes, &size, f));
    (void)snprintf(principal, QUEUE_PRINCIPAL_SIZE, "%s/%.100s", call_role(call),
                   call_principal(call));
    const uint64_t asked = m.kind == WIRE_KIND_FORGET        ? m.body.forget.seed
                           : m.kind == WIRE_KIND_LEARN       ? m.body.learn.seed
                           : m.kind == WIRE_KIND_STREAM_OPEN ? m.body.stream_open.seed
                                                             : 0;
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

enum status submit_make(const struct core *core,
                        struct call *call,
                        const char *kind,
                        char principal[QUEUE_PRINCIPAL_SIZE],
                        struct queue_submission *ret_submission,
                        struct fault *f)
{
    return submit_make_of(core, call, call_message(call), kind, principal, ret_submission, f);
}

/* The daemon's own user may fill the queue as far as it goes. */
static enum status
check_quota(const struct core *core, const struct queue_submission *s, struct fault *f)
{
    const char *slash = strchr(s->principal, '/');
    const char *principal = slash ? slash + 1 : s->principal;
    uint64_t open;
    if (strcmp(principal, "local") == 0)
        return STATUS_OK;
    TRY(open_requests_of(core->store, principal, &open, f));
    if (open >= (uint64_t)core->config->quota_open)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "quota_open", "%llu of your requests are open already",
             (unsigned long long)open);
    return STATUS_OK;
}

enum status
submit_known(struct core *core, const struct queue_submission *s, int *ret, struct fault *f)
{
    const struct request_id *id = &s->id;
    struct queue_record record;
    if (repeats_known(core->repeats, id))
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id", "this request id was used for something else");
    const enum status st = store_read_request(core->store, id, &record, f);
    *ret = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? check_quota(core, s, f) : st;
}

static enum status record_change(struct core *core,
                                 struct store_change *change,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    struct store_result result;
    const enum status st = core_commit(core, change, &result, f);
    if (st == STATUS_ALREADY_EXISTS)
        (void)snprintf(f->field, sizeof f->field, "request_id"); /* its name on the wire */
    TRY(st);
    *ret_record = result.known ? result.accepted : result.moved;
    return STATUS_OK;
}

enum status submit_record(struct core *core,
                          const struct queue_submission *s,
                          enum request_event event,
                          const struct request_id *duplicate_of,
                          struct queue_record *ret_record,
                          struct fault *f)
{
    const struct queue_move move = {
        .id = s->id, .event = event, .now_us = s->submitted_us, .duplicate_of = duplicate_of};
    struct store_change change = {.accept = s, .moves = &move, .n_moves = 1};
    return record_change(core, &change, ret_record, f);
}

enum status submit_record_file(struct core *core,
                               const struct queue_submission *s,
                               const struct store_blob *file,
                               struct queue_record *ret_record,
                               struct fault *f)
{
    const struct queue_move move = {
        .id = s->id, .event = REQUEST_EVENT_ENQUEUE, .now_us = s->submitted_us};
    struct store_change change = {
        .accept = s, .blobs = file, .n_blobs = 1, .moves = &move, .n_moves = 1};
    return record_change(core, &change, ret_record, f);
}
