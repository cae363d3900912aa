/*
 * The daemon's state and its core thread.  The serve thread decodes calls and hands them to the
 * handlers of handlers.h; predictions go to the predict pool, slow readings (fsck, exports, blobs)
 * to the reader pool, everything else into the core thread's inbox.  The core thread alone writes
 * to the store, moves requests and talks to the worker process.
 *
 * Start order: core_new (recovery, base model, serving version), server, core_attach, core_run.
 */
#ifndef LETHE_JOBS_CORE_H
#define LETHE_JOBS_CORE_H

#include "daemon/base/status.h"
#include "daemon/config/config.h"
#include "daemon/jobs/core_stats.h"
#include "daemon/serve/call.h"
#include "storage/store/store.h"

#include <stddef.h>

#define LETHE_VERSION "0.1.0"

struct server;

/* Told when a part of core_new begins that may take a while; `what` is fixed text for people. */
typedef void core_stage(const char *what, void *context);
struct core_start {
    core_stage *stage; /* NULL: nobody listens */
    void *context;
};

/*
 * Recovers the store (running requests go back to the queue, stale uploads expire), reads or makes
 * the base and the first version, builds the serving version, tries matrix products and
 * the worker process.  FAILED_PRECONDITION: the folder's base is not the store's, or there is none;
 * DATA_LOSS: the serving version does not verify; UNAVAILABLE: the worker does not start.
 * config and store are borrowed.
 */
enum status core_new(const struct config *config,
                     struct store *store,
                     const struct core_start *start,
                     struct core **ret_core,
                     struct fault *f) MUST_CHECK;
/* After core_run has returned and the server is closed.  NULL allowed. */
void core_free(struct core *core);
/* Where events and state changes are published; before core_run. */
void core_attach(struct core *core, struct server *server);

/* Called after every turn of the loop, on the core thread, several times a second. */
typedef void core_pulse(struct core *core, void *context);
void core_set_pulse(struct core *core, core_pulse *pulse, void *context);

/* The core thread's loop; returns when a shutdown is complete. */
void core_run(struct core *core);
/*
 * Asks core_run to end; from any thread.  Graceful: new calls are refused, the running job may
 * finish within drain_s.  Forced: it is dropped at once and queued again.
 */
enum core_stop_mode { CORE_STOP_GRACEFUL = 1, CORE_STOP_FORCED = 2 };
void core_stop(struct core *core, enum core_stop_mode mode);

/* Any thread; figures of the store and the queue are about a second old. */
void core_stats(const struct core *core, struct core_stats *ret_stats);

/* For the watchdog: whether the parts that work for the core move on.  Core thread. */
struct core_motion {
    bool predict_busy;
    uint64_t predict_done; /* rises with every call and every batch of images */
    bool worker_busy;
    uint64_t worker_heard; /* rises with every message of the worker */
};
void core_motion(struct core *core, struct core_motion *ret_motion);

/* For the service manager: one line about queue and running job.  Core thread. */
void core_describe(struct core *core, char *text, size_t size);

#endif
