#include "daemon/jobs/core_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/job_run.h"
#include "daemon/jobs/recover.h"
#include "daemon/jobs/wire_view.h"
#include "daemon/serve/server.h"
#include "proto/seal/hash.h"

#define SWEEP_US         ((int64_t)60 * 1000000) /* between two looks for expired uploads */
#define CORE_DRAIN_POOLS 5000                    /* ms that a shutdown waits for predictions */

/* ---------------------------------------------------------------- making and freeing */

static enum status new_queues(struct core *core, struct fault *f)
{
    TRY(inbox_new(&core->inbox, f));
    TRY(waiters_new(&core->waiters, f));
    TRY(uploads_open_new(&core->uploads, f));
    TRY(repeats_new(&core->repeats, f));
    TRY(task_keys_new(TASK_KEYS_BYTES, &core->keys, f));
    return exports_new(&core->exports, f);
}

static enum status new_model(struct core *core, struct fault *f)
{
    struct served *served;
    TRY(recover_requests(core->store, f));
    TRY(recover_base(core->store, core->config->base, &core->base, f));
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
    return worker_new(c->worker, (uint32_t)c->threads, c->worker_stall_s * 1000, &core->worker, f);
}

enum status
core_new(const struct config *config, struct store *store, struct core **ret_core, struct fault *f)
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
        st = new_model(core, f);
    if (st == STATUS_OK)
        st = new_worker(core, f);
    if (st == STATUS_OK)
        st = new_threads(core, f);
    if (st != STATUS_OK) {
        core_free(core);
        return st;
    }
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
    if (store_upload_expire(core->store, clock_wall_us(), &removed, &f) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "uploads.expire", f.text, NULL);
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
    (void)snprintf(text, size, "queued %llu, running %s%s%s",
                   (unsigned long long)counts[REQUEST_QUEUED], running,
                   core->job.has_progress ? ", phase " : "",
                   core->job.has_progress ? core->job.progress.phase : "");
}
