#include "daemon/jobs/core_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/approval.h"
#include "daemon/jobs/job_run.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/recover.h"
#include "daemon/jobs/self_test.h"
#include "daemon/jobs/wire_view.h"
#include "daemon/serve/server.h"
#include "proto/seal/hash.h"

#define SWEEP_US      ((int64_t)60 * 1000000)   /* between two looks for expired uploads */
#define CHECKPOINT_US ((int64_t)3600 * 1000000) /* between two checkpoints in the journal */
#define TALLY_US      ((int64_t)1000000)
/* What a worker needs beside the memory that jobs plan: code, heap, stacks, OpenBLAS' buffers. */
#define WORKER_OVERHEAD        ((uint64_t)256 << 20)
#define WORKER_THREAD_OVERHEAD ((uint64_t)64 << 20)
#define CORE_DRAIN_POOLS       5000 /* ms that a shutdown waits for predictions */

/* ---------------------------------------------------------------- making and freeing */

static enum status new_queues(struct core *core, struct fault *f)
{
    TRY(tally_new(&core->tally, f));
    TRY(inbox_new(&core->inbox, f));
    TRY(waiters_new(&core->waiters, f));
    TRY(uploads_open_new(&core->uploads, f));
    TRY(repeats_new(&core->repeats, f));
    TRY(task_keys_new(TASK_KEYS_BYTES, &core->keys, f));
    return exports_new(&core->exports, f);
}

static void tell_stage(const struct core_start *start, const char *what)
{
    if (start->stage)
        start->stage(what, start->context);
}

/* Requests were taken with room for their end; a disk can have filled up since. */
static void warn_of_room(struct core *core)
{
    struct fault f = {0};
    uint64_t open = 0;
    enum status st = open_requests_count(core->store, &open, &f);
    if (st == STATUS_OK)
        st = store_reserve(core->store, (open + 1) * CORE_RESERVE, &f);
    if (st != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "limits", f.text, "field", f.field, NULL);
}

static enum status new_model(struct core *core, const struct core_start *start, struct fault *f)
{
    struct served *served;
    tell_stage(start, "recovering the queue");
    TRY(recover_requests(core->store, f));
    warn_of_room(core);
    tell_stage(start, "loading the base model");
    TRY(recover_base(core->store, core->config->base, &core->base, f));
    tell_stage(start, "loading the serving version");
    TRY(recover_serving(core->store, core->base, &served, f));
    const enum status st =
        served_cache_new(core->base, core->store, CORE_VERSIONS, &core->served, f);
    if (st != STATUS_OK) {
        served_release(served);
        return st;
    }
    served_cache_publish(core->served, served);
    return STATUS_OK;
}

static enum status new_threads(struct core *core, struct fault *f)
{
    const struct config *c = core->config;
    const uint32_t n = (uint32_t)c->predict_threads;
    TRY(predictor_new(core->base, n, (uint32_t)c->predict_batch_max, &core->predictor, f));
    TRY(call_pool_new(core, n, &core->predictors, f));
    /* One thread: exports belong to it without a lock. */
    return call_pool_new(core, 1, &core->readers, f);
}

static enum status new_worker(struct core *core, struct fault *f)
{
    const struct config *c = core->config;
    const uint32_t threads = (uint32_t)c->threads;
    double gflops;
    TRY(worker_new(c->worker, threads, c->worker_stall_s * 1000, &core->worker, f));
    worker_limit_memory(core->worker, (uint64_t)c->worker_memory_max + WORKER_OVERHEAD +
                                          threads * WORKER_THREAD_OVERHEAD);
    TRY(self_test_worker(core->worker, f));
    core->worker_ready = 1;
    TRY(self_test_products(&gflops, f));
    tally_gflops(core->tally, gflops);
    return STATUS_OK;
}

/* What was deleted becomes unreadable for good: shred_window_s after it was first seen. */
static void shred(struct core *core, int64_t now_us)
{
    struct fault f = {0};
    struct vault_state state;
    if (now_us < core->next_shred_look_us)
        return;
    core->next_shred_look_us = now_us + TALLY_US;
    if (store_vault_state(core->store, &state, &f) != STATUS_OK)
        return;
    if (state.dead_keys == 0 && state.shredding == 0) {
        core->next_shred_us = 0;
        return;
    }
    if (core->next_shred_us == 0)
        core->next_shred_us = now_us + core->config->shred_window_s * 1000000;
    if (now_us < core->next_shred_us)
        return;
    struct store_shredding done;
    core->next_shred_us = now_us + SWEEP_US; /* should it fail */
    if (store_shred(core->store, clock_wall_us(), &done, &f) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "shred.delayed", f.text, "field", f.field, NULL);
    else
        log_event(LOG_LEVEL_INFO, "shred.done", "keys of what was deleted are destroyed", NULL);
}

static void take_figures(struct core *core, int64_t now_us)
{
    if (now_us < core->next_tally_us)
        return;
    core->next_tally_us = now_us + TALLY_US;
    tally_store(core->tally, core->store);
    tally_worker(core->tally, worker_busy(core->worker), worker_restarts(core->worker));
}

enum status core_new(const struct config *config,
                     struct store *store,
                     const struct core_start *start,
                     struct core **ret_core,
                     struct fault *f)
{
    struct core *core = sysio_alloc(1, sizeof *core);
    if (!core)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the daemon's state");
    core->magic = CORE_MAGIC;
    core->config = config;
    core->store = store;
    core->started_us = clock_wall_us();
    atomic_init(&core->stop, 0);
    enum status st = new_queues(core, f);
    if (st == STATUS_OK)
        st = new_model(core, start, f);
    tell_stage(start, "self-tests");
    if (st == STATUS_OK)
        st = new_worker(core, f);
    if (st == STATUS_OK)
        st = new_threads(core, f);
    if (st != STATUS_OK) {
        core_free(core);
        return st;
    }
    take_figures(core, clock_mono_us());
    *ret_core = core;
    return STATUS_OK;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    INVARIANT(core->magic == CORE_MAGIC);
    call_pool_free(core->predictors);
    call_pool_free(core->readers);
    predictor_free(core->predictor);
    worker_free(core->worker);
    job_clear(&core->job);
    waiters_free(core->waiters);
    inbox_free(core->inbox);
    uploads_open_free(core->uploads);
    repeats_free(core->repeats);
    task_keys_free(core->keys);
    exports_free(core->exports);
    tally_free(core->tally);
    served_cache_free(core->served);
    base_model_free(core->base);
    core->magic = 0;
    sysio_free(core);
}

void core_attach(struct core *core, struct server *server)
{
    core->server = server;
}

void core_set_pulse(struct core *core, core_pulse *pulse, void *context)
{
    core->pulse = pulse;
    core->pulse_context = context;
}

/* ---------------------------------------------------------------- calls and announcements */

struct job_context core_job_context(const struct core *core)
{
    return (struct job_context){.config = core->config,
                                .store = core->store,
                                .base = core->base,
                                .keys = core->keys,
                                .threads = (uint32_t)core->config->threads};
}

void core_post(struct core *core, call_handler *run, struct call *call)
{
    const enum status st = inbox_post(core->inbox, (struct inbox_item){run, call});
    if (st != STATUS_OK)
        call_fail_retry(call, st, NULL, 1);
}

void core_answer(struct call *call,
                 enum status st,
                 const struct wire_reply *reply,
                 const struct fault *f)
{
    if (st == STATUS_OK)
        call_finish(call, reply, NULL);
    else
        call_fail(call, st, f);
}

/* Of the same client: what another one sends under the id is something else. */
static struct digest payload_of(const struct call *call, const uint8_t *bytes, size_t size)
{
    const char *principal = call_principal(call);
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, principal, strlen(principal) + 1);
    seal_hash_update(&h, bytes, size);
    return seal_hash_final(&h);
}

enum status core_once(struct core *core, struct call *call, struct fault *f)
{
    const struct wire_envelope *m = call_message(call);
    const uint8_t *bytes;
    size_t size;
    struct queue_record record;
    const enum status st = store_read_request(core->store, &m->request_id, &record, f);
    if (st == STATUS_OK)
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id", "this request id belongs to a %s request",
             record.kind);
    if (st != STATUS_NOT_FOUND)
        return st;
    TRY(wire_payload_encode(m, call_arena(call), &bytes, &size, f));
    const struct digest payload = payload_of(call, bytes, size);
    return repeats_check(core->repeats, &m->request_id, &payload, f);
}

void core_announce(struct core *core, const struct queue_record *record)
{
    tally_move(core->tally, record->kind, record->state);
    if (core->server) {
        const struct wire_event event = {.request_id = record->id,
                                         .state = request_state_name(record->state),
                                         .at = clock_wall_us(),
                                         .version = record->version_after};
        server_publish(core->server, &event);
    }
    if (request_state_is_final(record->state))
        waiters_wake(core->waiters, core, &record->id);
}

void core_announce_progress(struct core *core)
{
    if (!core->server || core->job.kind == JOB_KIND_NONE)
        return;
    const struct queue_record *record = &core->job.record;
    const struct wire_progress progress =
        wire_view_progress(&core->job.progress, record->attempts + record->step);
    const struct wire_event event = {.request_id = record->id,
                                     .state = request_state_name(record->state),
                                     .progress = &progress,
                                     .at = clock_wall_us()};
    server_publish(core->server, &event);
}

enum status core_commit(struct core *core,
                        struct store_change *change,
                        struct store_result *ret_result,
                        struct fault *f)
{
    change->now_us = clock_wall_us();
    TRY(store_commit(core->store, change, ret_result, f));
    if (change->n_moves > 0 && !ret_result->known)
        core_announce(core, &ret_result->moved);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the loop */

static void take_calls(struct core *core)
{
    struct inbox_item item;
    while (inbox_take(core->inbox, &item)) {
        if (call_expired(item.call, clock_mono_us()))
            call_fail(item.call, STATUS_DEADLINE_EXCEEDED, NULL);
        else
            item.run(core, item.call);
    }
}

static void sleep_until_something(struct core *core)
{
    struct pollfd fds[2] = {{.fd = inbox_fd(core->inbox), .events = POLLIN}, {.fd = -1}};
    if (core->worker)
        fds[1] = (struct pollfd){.fd = worker_poll_fd(core->worker), .events = POLLIN};
    if (poll(fds, 2, CORE_TICK_MS) < 0 && errno != EINTR)
        log_event(LOG_LEVEL_ERROR, "core.poll", strerror(errno), NULL);
}

static void sweep(struct core *core, int64_t now_us)
{
    if (now_us < core->next_sweep_us)
        return;
    struct fault f = {0};
    size_t removed;
    core->next_sweep_us = now_us + SWEEP_US;
    uploads_open_expire(core->uploads, clock_wall_us());
    approval_expire(core, clock_wall_us());
    if (store_upload_expire(core->store, clock_wall_us(), &removed, &f) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "uploads.expire", f.text, NULL);
}

/*
 * The head of the log, to a place that whoever changes the store does not write to: a journal that
 * is kept elsewhere shows that a log was put back.
 */
static void tell_checkpoint(struct core *core, int64_t now_us)
{
    struct fault f = {0};
    struct kv_txn *txn;
    struct audit_head head;
    if (now_us < core->next_checkpoint_us)
        return;
    core->next_checkpoint_us = now_us + CHECKPOINT_US;
    enum status st = store_read_begin(core->store, &txn, &f);
    if (st == STATUS_OK) {
        st = audit_head_get(txn, &head, &f);
        store_read_end(txn);
    }
    if (st != STATUS_OK || head.checkpoint_size >= sizeof head.checkpoint) {
        log_event(LOG_LEVEL_WARNING, "log.checkpoint", f.text, NULL);
        return;
    }
    head.checkpoint[head.checkpoint_size] = '\0';
    log_event(LOG_LEVEL_INFO, "log.checkpoint", "the log as it is signed now", "note",
              head.checkpoint, NULL);
}

/* True when the loop may end. */
static int drained(struct core *core, int64_t now_us)
{
    const int stop = atomic_load(&core->stop);
    if (stop == 0)
        return 0;
    if (core->drain_until_us == 0) {
        log_event(LOG_LEVEL_INFO, "draining", "shutting down: no new calls", NULL);
        if (core->server)
            server_set_phase(core->server, PHASE_DRAINING);
        core->drain_until_us = now_us + core->config->drain_s * 1000000;
        waiters_flush(core->waiters, core);
    }
    return stop == CORE_STOP_FORCED || core->job.kind == JOB_KIND_NONE ||
           now_us >= core->drain_until_us;
}

static void turn(struct core *core, int64_t now_us)
{
    take_calls(core);
    job_run_listen(core);
    job_run_turn(core, now_us);
    waiters_expire(core->waiters, core, now_us);
    sweep(core, now_us);
    shred(core, now_us);
    tell_checkpoint(core, now_us);
    take_figures(core, now_us);
    if (core->pulse)
        core->pulse(core, core->pulse_context);
}

void core_run(struct core *core)
{
    INVARIANT(core->magic == CORE_MAGIC);
    while (!drained(core, clock_mono_us())) {
        sleep_until_something(core);
        turn(core, clock_mono_us());
    }
    job_run_drop(core);
    inbox_close(core->inbox);
    take_calls(core);
    waiters_flush(core->waiters, core);
    if (atomic_load(&core->stop) == CORE_STOP_FORCED)
        return;
    call_pool_drain(core->predictors, CORE_DRAIN_POOLS);
    call_pool_drain(core->readers, CORE_DRAIN_POOLS);
}

void core_stop(struct core *core, enum core_stop_mode mode)
{
    atomic_store(&core->stop, mode);
    inbox_wake(core->inbox);
}

void core_describe(struct core *core, char *text, size_t size)
{
    uint64_t counts[REQUEST_STATES] = {0};
    char running[REQUEST_ID_TEXT_SIZE] = "none";
    if (store_read_counts(core->store, counts, NULL) != STATUS_OK)
        counts[REQUEST_QUEUED] = 0;
    if (core->job.kind != JOB_KIND_NONE)
        request_id_format(&core->job.record.id, running);
    char step[64] = "";
    const struct job_progress *p = &core->job.progress;
    if (core->job.has_progress)
        (void)snprintf(step, sizeof step, ", %.15s step %u of %u", p->phase, p->step, p->steps);
    (void)snprintf(text, size, "queued %llu, running %s%s",
                   (unsigned long long)counts[REQUEST_QUEUED], running, step);
}

void core_stats(const struct core *core, struct core_stats *ret_stats)
{
    uint64_t done;
    tally_get(core->tally, ret_stats);
    predictor_stats(core->predictor, ret_stats);
    call_pool_load(core->predictors, &ret_stats->predict_waiting, &done);
}

void core_motion(struct core *core, struct core_motion *ret_motion)
{
    uint64_t open, done;
    call_pool_load(core->predictors, &open, &done);
    *ret_motion = (struct core_motion){.predict_busy = open > 0,
                                       .predict_done = done + predictor_batches(core->predictor),
                                       .worker_busy = worker_busy(core->worker),
                                       .worker_heard = worker_heard(core->worker)};
}
