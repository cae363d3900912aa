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
#include "daemon/serve/call.h"
#include "storage/store/store.h"

#include <stddef.h>

struct server;

/*
 * Recovers the store (running requests go back to the queue, stale uploads expire), reads or makes
 * the base and the first version, builds the serving version.  FAILED_PRECONDITION: the folder's
 * base is not the store's, or there is none; DATA_LOSS: the serving version does not verify.
 * config and store are borrowed.
 */
enum status core_new(const struct config *config,
                     struct store *store,
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

/* For the service manager: one line about queue and running job.  Core thread. */
void core_describe(struct core *core, char *text, size_t size);

#endif
