#include "daemon/jobs/job_run.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/jobs/admit_stream.h"
#include "daemon/jobs/commit.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/gate.h"
#include "daemon/jobs/job_state.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/version_data.h"

/* Pause after trouble that a moment may cure: a worker that does not start, a full disk. */
#define TROUBLE_PAUSE_US 1000000

static struct commit_context commit_of(const struct core *core)
{
    return (struct commit_context){.base = core->base,
                                   .store = core->store,
                                   .config = core->config,
                                   .now_us = clock_wall_us()};
}

static struct job_state_limits limits_of(const struct core *core)
{
    const int again = request_id_equal(&core->failing, &core->job.record.id);
    return (struct job_state_limits){.max_attempts = (uint32_t)core->config->max_attempts,
                                     .steps = job_is_forget(&core->job) ? job_parameter_steps() : 0,
                                     .failures = again ? core->failures : 0};
}

/* One job at a time, and a retried request is the oldest again: one counter is enough. */
static void count_failure(struct core *core)
{
    if (!request_id_equal(&core->failing, &core->job.record.id))
        core->failures = 0;
    core->failing = core->job.record.id;
    core->failures++;
}

int job_run_is(const struct core *core, const struct request_id *id)
{
    return core->job.kind != JOB_KIND_NONE && request_id_equal(&core->job.record.id, id);
}

static void
log_job(enum log_level level, const char *event, const struct job *job, const char *text)
{
    char id[REQUEST_ID_TEXT_SIZE];
    request_id_format(&job->record.id, id);
    log_event(level, event, text, "request", id, NULL);
}

/*
 * The store refused to record how a job ended, or its disk is full: forget the job here; recovery
 * puts its request back into the queue as it would after a restart.
 */
static void give_up_here(struct core *core, const struct fault *f)
{
    log_job(LOG_LEVEL_ERROR, "job.unrecorded", &core->job, f->text);
    job_clear(&core->job);
    core->recover_at_us = clock_mono_us() + TROUBLE_PAUSE_US;
}

/*
 * Moves the job's request; a state that is no longer running or evaluating ends the job.  `actor`:
 * who asked for it, NULL: nobody.
 */
static void job_settle_for(struct core *core,
                           enum request_event event,
                           const struct gate *gate,
                           const struct queue_error *error,
                           const char *actor)
{
    struct fault f = {0};
    struct job *job = &core->job;
    struct commit_context c = commit_of(core);
    c.actor = actor;
    struct queue_record record;
    const enum status st = commit_move(&c, job, event, gate, error, &record, &f);
    if (st != STATUS_OK) {
        give_up_here(core, &f);
        return;
    }
    job->record = record;
    if (record.state != REQUEST_RUNNING && record.state != REQUEST_EVALUATING)
        job_clear(job);
    core_announce(core, &record);
}

static void job_settle(struct core *core,
                       enum request_event event,
                       const struct gate *gate,
                       const struct queue_error *error)
{
    job_settle_for(core, event, gate, error, NULL);
}

static void
settle_error(struct core *core, enum request_event event, enum status st, struct fault *f)
{
    const struct queue_error error = commit_error(st, f);
    log_job(LOG_LEVEL_WARNING, "job.failed", &core->job, error.text);
    count_failure(core);
    job_settle(core, event, NULL, &error);
}

static void job_died(struct core *core, const char *text)
{
    struct fault f = {0};
    const struct job_state_limits limits = limits_of(core);
    (void)fault_set(&f, STATUS_UNAVAILABLE, __FILE__, __LINE__, "worker", "%s", text);
    settle_error(core, job_state_after_death(&core->job.record, &limits), STATUS_UNAVAILABLE, &f);
}

/* ---------------------------------------------------------------- starting */

/* True if the worker can take a job now; starts it if need be. */
static int worker_is_ready(struct core *core, int64_t now_us)
{
    if (!core->worker || core->worker_ready || now_us < core->worker_retry_us)
        return core->worker_ready;
    struct fault f = {0};
    if (!worker_running(core->worker) && worker_start(core->worker, &f) != STATUS_OK) {
        log_event(LOG_LEVEL_ERROR, "worker.start", f.text, NULL);
        core->worker_retry_us = now_us + TROUBLE_PAUSE_US;
    }
    return 0;
}

static void job_give(struct core *core)
{
    struct fault f = {0};
    struct job *job = &core->job;
    job->pending = 0;
    core->worker_ready = 0;
    tally_attempt(core->tally);
    if (worker_give(core->worker, core->base->weights_fd, &job->spec, &f) == STATUS_OK)
        return;
    worker_kill(core->worker);
    job_died(core, f.text);
}

/* A queued request whose job cannot be built: gone for good, or not now. */
static void job_unbuildable(struct core *core,
                            const struct queue_record *record,
                            enum status st,
                            const struct fault *f)
{
    const enum status_class class = status_class_of(st);
    core->job.record = *record;
    if (class == STATUS_CLASS_TRANSIENT || class == STATUS_CLASS_BUG || st == STATUS_NO_MEMORY ||
        st == STATUS_NO_SPACE) {
        log_job(LOG_LEVEL_ERROR, "job.postponed", &core->job, f->text);
        core->recover_at_us = clock_mono_us() + TROUBLE_PAUSE_US;
        job_clear(&core->job);
        return;
    }
    const struct queue_error error = commit_error(st, f);
    job_settle(core, REQUEST_EVENT_GONE, NULL, &error);
    job_clear(&core->job);
}

static void job_start(struct core *core, const struct queue_record *record)
{
    struct fault f = {0};
    const struct job_context context = core_job_context(core);
    if (record->cancel_requested) {
        const struct queue_error error = {.code = STATUS_CANCELLED, .text = "cancelled"};
        core->job.record = *record;
        job_settle(core, REQUEST_EVENT_CANCEL, NULL, &error);
        return;
    }
    enum status st = job_build(&context, record, &core->job, &f);
    if (st != STATUS_OK) {
        job_unbuildable(core, record, st, &f);
        return;
    }
    job_settle(core, REQUEST_EVENT_START, NULL, NULL);
    if (core->job.kind == JOB_KIND_NONE)
        return;
    log_job(LOG_LEVEL_INFO, "job.started", &core->job, record->kind);
    st = job_build_attempt(&context, &core->job, &f);
    if (st == STATUS_OK)
        job_give(core);
    else
        settle_error(core, REQUEST_EVENT_GIVE_UP, st, &f);
}

static void job_next(struct core *core)
{
    struct queue_record record;
    struct fault f = {0};
    const enum status st = store_read_oldest(core->store, REQUEST_QUEUED, &record, &f);
    if (st == STATUS_OK)
        job_start(core, &record);
    else if (st != STATUS_NOT_FOUND)
        log_event(LOG_LEVEL_ERROR, "queue.unreadable", f.text, NULL);
}

static int anything_queued(struct core *core)
{
    struct queue_record record;
    return store_read_oldest(core->store, REQUEST_QUEUED, &record, NULL) == STATUS_OK;
}

static void recover_late(struct core *core, int64_t now_us)
{
    struct fault f = {0};
    if (store_recover(core->store, clock_wall_us(), NULL, &f) == STATUS_OK)
        core->recover_at_us = 0;
    else
        core->recover_at_us = now_us + TROUBLE_PAUSE_US;
}

/* A job whose result could not be stored is not begun: its request keeps its place in the queue. */
static int has_room(struct core *core, int64_t now_us)
{
    struct fault f = {0};
    if (store_reserve(core->store, CORE_RESERVE, &f) != STATUS_NO_SPACE)
        return 1;
    log_event(LOG_LEVEL_WARNING, "queue.waits", f.text, NULL);
    core->recover_at_us = now_us + TROUBLE_PAUSE_US;
    return 0;
}

void job_run_turn(struct core *core, int64_t now_us)
{
    if (core->recover_at_us != 0 && now_us >= core->recover_at_us)
        recover_late(core, now_us);
    if (core->recover_at_us != 0)
        return;
    if (core->job.kind != JOB_KIND_NONE) {
        if (core->job.pending && worker_is_ready(core, now_us))
            job_give(core);
        return;
    }
    if (core->drain_until_us == 0 && anything_queued(core) && worker_is_ready(core, now_us) &&
        has_room(core, now_us))
        job_next(core);
}

/* ---------------------------------------------------------------- ending */

static void finish_evaluation(struct core *core, const struct gate *gate)
{
    job_settle(core, REQUEST_EVENT_CANDIDATE, NULL, NULL);
    if (core->job.kind != JOB_KIND_NONE)
        job_settle(core, REQUEST_EVENT_COMMIT, gate, NULL);
}

static void
finish_commit(struct core *core, const struct job_result *result, const struct gate *gate)
{
    struct fault f = {0};
    struct queue_record record;
    struct served *served;
    const struct commit_context c = commit_of(core);
    const enum status st = commit_candidate(&c, &core->job, result, gate, &record, &served, &f);
    if (st == STATUS_ABORTED) {
        job_settle(core, REQUEST_EVENT_OVERTAKEN, NULL, NULL);
        return;
    }
    if (st == STATUS_NO_SPACE) {
        give_up_here(core, &f);
        return;
    }
    if (st != STATUS_OK) {
        const struct job_state_limits limits = limits_of(core);
        settle_error(core, job_state_after_error(&core->job.record, st, &limits), st, &f);
        return;
    }
    served_cache_publish(core->served, served);
    log_job(LOG_LEVEL_INFO, "request.committed", &core->job, "a new version serves");
    job_clear(&core->job);
    core_announce(core, &record);
}

/* The same request under the next parameter step, once the worker is ready again. */
static void finish_next_step(struct core *core, const struct gate *gate)
{
    struct fault f = {0};
    const struct job_context context = core_job_context(core);
    job_settle(core, REQUEST_EVENT_NEXT_STEP, gate, NULL);
    if (core->job.kind == JOB_KIND_NONE)
        return;
    const enum status st = job_build_attempt(&context, &core->job, &f);
    if (st != STATUS_OK)
        settle_error(core, REQUEST_EVENT_GIVE_UP, st, &f);
    else
        core->job.pending = 1;
}

static int is_dry_run(const struct wire_envelope *m)
{
    return (m->kind == WIRE_KIND_FORGET && m->body.forget.dry_run) ||
           (m->kind == WIRE_KIND_LEARN && m->body.learn.dry_run) ||
           (m->kind == WIRE_KIND_IMPORT && m->body.import.dry_run) ||
           (m->kind == WIRE_KIND_STREAM_PUSH && m->body.stream_push.dry_run);
}

static void finish_gate(struct core *core, const struct job_result *result, const struct gate *gate)
{
    const struct job_state_limits limits = limits_of(core);
    const int dry_run = is_dry_run(core->job.message);
    const enum request_event event =
        job_state_after_gate(&core->job.record, gate->report.gate.outcome, dry_run, &limits);
    struct queue_error error = {.code = STATUS_FAILED_PRECONDITION, .field = "gate"};
    gate_reason(gate, error.text, sizeof error.text);
    if (event == REQUEST_EVENT_COMMIT) {
        finish_commit(core, result, gate);
    } else if (event == REQUEST_EVENT_NEXT_STEP) {
        finish_next_step(core, gate);
    } else if (event == REQUEST_EVENT_DRY_RUN_DONE) {
        error = (struct queue_error){.code = STATUS_CANCELLED, .text = "DRY_RUN"};
        job_settle(core, event, gate, &error);
    } else {
        job_settle(core, event, gate, &error);
    }
}

/* The stream's record as the job left it. */
static const struct job_made *made_stream(const struct job *job, const struct job_result *result)
{
    for (uint32_t i = 0; i < result->n_made; i++) {
        const struct job_made *m = &result->made[i];
        if (strcmp(m->kind, VERSION_KIND_STREAM) == 0 &&
            strcmp(m->name, admit_stream_name(job->message)) == 0)
            return m;
    }
    return NULL;
}

static enum status
judge(const struct job *job, const struct job_result *result, struct gate *gate, struct fault *f)
{
    struct tame_learner_info after;
    TRY(gate_judge(result->report, result->report_size, &job->spec.limits, gate, f));
    const struct job_made *m = stream_job_is(job) ? made_stream(job, result) : NULL;
    if (!m)
        return STATUS_OK;
    const struct report_stream told = {result->events, result->n_events, &after};
    enum status st = tame_learner_peek(m->bytes, m->size, &after, f);
    if (st == STATUS_OK)
        st = gate_tell_stream(gate, &told, f);
    if (st != STATUS_OK)
        gate_fini(gate);
    return st;
}

static void finish_measured(struct core *core, const struct job_result *result)
{
    struct fault f = {0};
    struct gate gate;
    const struct job_state_limits limits = limits_of(core);
    const enum status st = judge(&core->job, result, &gate, &f);
    if (st != STATUS_OK) {
        settle_error(core, job_state_after_death(&core->job.record, &limits), st, &f);
        return;
    }
    tally_report(core->tally, &gate.report);
    if (core->job.kind == JOB_EVALUATE || stream_job_probes(&core->job)) {
        finish_evaluation(core, &gate);
    } else {
        job_settle(core, REQUEST_EVENT_CANDIDATE, NULL, NULL);
        if (core->job.kind != JOB_KIND_NONE)
            finish_gate(core, result, &gate);
    }
    gate_fini(&gate);
}

/* A stream that has as many experts as it may have turns the push down; nothing went wrong. */
static int is_full(const struct job *job, const struct job_result *result)
{
    return stream_job_is(job) && result->status == STATUS_RESOURCE_EXHAUSTED &&
           strcmp(result->fault.field, "experts_max") == 0;
}

static void reject(struct core *core, enum status st, const struct fault *f)
{
    const struct queue_error error = commit_error(st, f);
    job_settle(core, REQUEST_EVENT_CANDIDATE, NULL, NULL);
    if (core->job.kind != JOB_KIND_NONE)
        job_settle(core, REQUEST_EVENT_REJECT, NULL, &error);
}

static void job_finish(struct core *core)
{
    struct fault f = {0};
    struct job_result result;
    const struct job_state_limits limits = limits_of(core);
    if (worker_take_result(core->worker, &core->base->vit, &result, &f) != STATUS_OK) {
        job_died(core, "the worker's result is malformed");
    } else if (!request_id_equal(&result.request, &core->job.record.id)) {
        job_died(core, "the worker answered for another request");
    } else if (is_full(&core->job, &result)) {
        reject(core, result.status, &result.fault);
    } else if (result.status != STATUS_OK) {
        const enum request_event event =
            job_state_after_error(&core->job.record, result.status, &limits);
        settle_error(core, event, result.status, &result.fault);
    } else {
        finish_measured(core, &result);
    }
}

static void worker_ended(struct core *core)
{
    core->worker_ready = 0;
    core->worker_retry_us = clock_mono_us() + TROUBLE_PAUSE_US / 4;
    log_event(LOG_LEVEL_WARNING, "worker.died", "the worker process ended", NULL);
    if (core->job.kind != JOB_KIND_NONE && !core->job.pending)
        job_died(core, "the worker process died");
}

void job_run_listen(struct core *core)
{
    if (!core->worker)
        return;
    struct job_progress progress;
    for (;;) {
        switch (worker_next(core->worker, &progress)) {
        case WORKER_NOTHING:
            return;
        case WORKER_READY:
            core->worker_ready = 1;
            break;
        case WORKER_PROGRESS:
            core->job.progress = progress;
            core->job.has_progress = 1;
            tally_progress(core->tally, &progress, clock_mono_us());
            core_announce_progress(core);
            break;
        case WORKER_DONE:
            job_finish(core);
            break;
        case WORKER_DIED:
            worker_ended(core);
            break;
        }
    }
}

void job_run_drop(struct core *core)
{
    if (core->worker)
        worker_kill(core->worker);
    core->worker_ready = 0;
    if (core->job.kind == JOB_KIND_NONE)
        return;
    log_job(LOG_LEVEL_INFO, "job.dropped", &core->job, "shutdown: queued again");
    job_settle(core, REQUEST_EVENT_RESTART, NULL, NULL);
}

enum status
job_run_cancel(struct core *core, const char *reason, const char *actor, struct fault *f)
{
    struct queue_error error = {.code = STATUS_CANCELLED};
    const struct request_id id = core->job.record.id;
    (void)snprintf(error.text, sizeof error.text, "%s", reason[0] ? reason : "cancelled");
    worker_kill(core->worker);
    core->worker_ready = 0;
    job_settle_for(core, REQUEST_EVENT_CANCEL, NULL, &error, actor);
    struct queue_record record;
    TRY(store_read_request(core->store, &id, &record, f));
    if (record.state != REQUEST_CANCELLED)
        FAIL(f, STATUS_UNAVAILABLE, "id", "the cancellation could not be recorded; try again");
    return STATUS_OK;
}
