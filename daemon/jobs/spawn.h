/*
 * The worker process, as seen from the daemon's core thread: started by posix_spawn straight to
 * exec, given one job at a time, killed to cancel, started again when it dies.  Descriptors 0 to 3
 * are all that it inherits (3 is the control socket).  Not thread-safe: the core thread owns it.
 */
#ifndef LETHE_JOBS_SPAWN_H
#define LETHE_JOBS_SPAWN_H

#include "daemon/base/status.h"
#include "daemon/jobs/job_wire.h"

#include <stdint.h>

struct worker;

enum worker_event {
    WORKER_NOTHING,  /* nothing to read now */
    WORKER_READY,    /* started, or ready for the next job */
    WORKER_PROGRESS, /* *ret_progress is filled */
    WORKER_DONE,     /* worker_take_result has the result */
    WORKER_DIED,     /* the process ended, stalled, or spoke nonsense; it was killed and reaped */
};

/* `path` of lethe-worker; a silence of stall_ms during a job counts as death. */
enum status worker_new(const char *path,
                       uint32_t threads,
                       int64_t stall_ms,
                       struct worker **ret_worker,
                       struct fault *f) MUST_CHECK;
/* Memory that processes started from now on may take for themselves (RLIMIT_DATA); 0: no limit. */
void worker_limit_memory(struct worker *w, uint64_t bytes);
/* Kills and reaps; NULL allowed. */
void worker_free(struct worker *w);

/* Starts the process if it does not run (also the first time). */
enum status worker_start(struct worker *w, struct fault *f) MUST_CHECK;
int worker_running(const struct worker *w); /* a process exists */
int worker_busy(const struct worker *w);    /* it has a job */
int worker_pid(const struct worker *w);     /* 0 when none; for status and tests */
uint32_t worker_restarts(const struct worker *w);
/* Messages heard so far, of all its processes. */
uint64_t worker_heard(const struct worker *w);

/* File descriptor to poll for reading; -1 when none runs. Poll with at most 250 ms: stalls. */
int worker_poll_fd(const struct worker *w);

/* Hands over a job: the base weights' sealed memory file and a spec (encoded and sealed inside). */
enum status
worker_give(struct worker *w, int base_fd, const struct job_spec *spec, struct fault *f) MUST_CHECK;
/* Next event, without blocking; call until WORKER_NOTHING. */
enum worker_event worker_next(struct worker *w, struct job_progress *ret_progress);
/* After WORKER_DONE: the result, borrowed from *w until the next worker_give or worker_free. */
enum status worker_take_result(struct worker *w,
                               const struct vit_config *config,
                               struct job_result *ret_result,
                               struct fault *f) MUST_CHECK;
/* Cancels the running job by SIGKILL and reaps; the next worker_start makes a new process. */
void worker_kill(struct worker *w);

#endif
