/*
 * What the files of daemon/jobs share: the core's state.  Fields below "core thread" belong to that
 * thread alone; the others are set before threads start, or are objects with locks of their own.
 */
#ifndef LETHE_JOBS_CORE_INTERNAL_H
#define LETHE_JOBS_CORE_INTERNAL_H

#include "daemon/config/config.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/call_pool.h"
#include "daemon/jobs/core.h"
#include "daemon/jobs/exports.h"
#include "daemon/jobs/forget_job.h"
#include "daemon/jobs/inbox.h"
#include "daemon/jobs/predict.h"
#include "daemon/jobs/repeats.h"
#include "daemon/jobs/served.h"
#include "daemon/jobs/spawn.h"
#include "daemon/jobs/tally.h"
#include "daemon/jobs/uploads_open.h"
#include "daemon/jobs/waiters.h"
#include "storage/audit/audit_log.h"
#include "storage/store/store.h"

#include <stdatomic.h>
#include <stdint.h>

#define CORE_MAGIC    0x45524f43u
#define CORE_TICK_MS  200 /* longest sleep of the loop: worker stalls, deadlines, shutdown */
#define CORE_VERSIONS 4   /* versions kept ready besides the serving one */
#define CORE_RESERVE  ((uint64_t)4 << 20) /* disk and map for one request's closing records */

struct core {
    uint32_t magic;
    const struct config *config;
    struct store *store;
    struct base_model *base;
    struct served_cache *served;
    struct server *server; /* NULL: nobody listens (tests) */
    core_pulse *pulse;     /* NULL: none */
    void *pulse_context;
    struct inbox *inbox;
    struct call_pool *predictors;
    struct call_pool *readers;
    struct predictor *predictor;
    struct exports *exports;
    struct tally *tally;
    int64_t started_us;
    atomic_int stop; /* enum core_stop_mode; 0: run */

    /* core thread */
    struct worker *worker; /* NULL: cannot be started (tests without a worker) */
    struct waiters *waiters;
    struct uploads_open *uploads;
    struct repeats *repeats;
    struct task_keys *keys;
    struct job job;            /* the running job; job.kind 0: none */
    struct request_id failing; /* request whose runs failed last, and how often */
    uint32_t failures;
    int64_t drain_until_us;     /* 0: not draining */
    int64_t next_sweep_us;      /* uploads and exports that expired */
    int64_t next_checkpoint_us; /* in the journal */
    int64_t next_shred_look_us;
    int64_t next_shred_us;   /* keys of what was deleted are destroyed; 0: nothing was seen yet */
    int64_t next_tally_us;   /* figures of the store */
    int worker_ready;        /* it waits for a job */
    int64_t worker_retry_us; /* not before: the worker could not be started */
    int64_t recover_at_us;   /* the store could not record an end: recover then; 0: no trouble */
};

/* What building and admitting a job needs. */
struct job_context core_job_context(const struct core *core);

/* Puts a call into the core thread's inbox; fails it if there is no room. */
void core_post(struct core *core, call_handler *run, struct call *call);

/* Tells everybody that a request has moved: event, waiting calls.  After the commit. */
void core_announce(struct core *core, const struct queue_record *record);
/* Event with the running job's progress. */
void core_announce_progress(struct core *core);

/* Finishes a call with its reply, or with the error that making the reply gave. */
void core_answer(struct call *call,
                 enum status st,
                 const struct wire_reply *reply,
                 const struct fault *f);

/*
 * For calls that change something without becoming a stored request: refuses a request id that was
 * used for something else (ALREADY_EXISTS).  Core thread.
 */
enum status core_once(struct core *core, struct call *call, struct fault *f) MUST_CHECK;

/* Applies a change and announces its last move; the ordinary way to move a request. */
enum status core_commit(struct core *core,
                        struct store_change *change,
                        struct store_result *ret_result,
                        struct fault *f) MUST_CHECK;

#endif
