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
#include "daemon/serve/call.h"
#include "learners/eval/gate_check.h"
#include "storage/store/store.h"

#include <stdint.h>

struct server;

/* What the core needs of the configuration.  Texts are borrowed for the core's life. */
struct core_options {
    const char *base_folder; /* "": the store must hold a base already */
    const char *worker_path;
    uint32_t worker_threads;
    uint64_t worker_memory_max;
    int64_t worker_stall_ms;
    uint32_t max_attempts;    /* starts of one request before it fails */
    uint32_t parameter_steps; /* further settings tried after a failed gate */
    uint32_t queue_max;       /* open requests */
    uint32_t predict_threads;
    uint32_t versions_cached; /* besides the serving one */
    double memory_fraction;   /* of each class's training images, for the replay memory */
    uint32_t eval_per_class;  /* test images of each class behind a report */
    int64_t drain_ms;         /* how long a shutdown waits for the running job */
    uint64_t export_bytes_max; /* of all exports that are kept for download */
    int64_t export_keep_ms;
    struct gate_limits gate;
};

/* lethe's defaults for everything but base_folder and worker_path. */
struct core_options core_options_default(void);

/*
 * Recovers the store (running requests go back to the queue, stale uploads expire), reads or makes
 * the base and the first version, builds the serving version.  FAILED_PRECONDITION: the folder's
 * base is not the store's, or there is none; DATA_LOSS: the serving version does not verify.
 */
enum status core_new(const struct core_options *options,
                     struct store *store,
                     struct core **ret_core,
                     struct fault *f) MUST_CHECK;
/* After core_run has returned and the server is closed.  NULL allowed. */
void core_free(struct core *core);
/* Where events and state changes are published; before core_run. */
void core_attach(struct core *core, struct server *server);

/* The core thread's loop; returns when a shutdown is complete. */
void core_run(struct core *core);
/*
 * Asks core_run to end; from any thread.  Graceful: new calls are refused, the running job may
 * finish within drain_ms.  Forced: it is dropped at once and queued again.
 */
enum core_stop_mode { CORE_STOP_GRACEFUL = 1, CORE_STOP_FORCED = 2 };
void core_stop(struct core *core, enum core_stop_mode mode);

/* For the service manager: one line about queue and running job. */
void core_describe(struct core *core, char *text, size_t size);

#endif
