/*
 * Turn-taking: which request runs, what the worker says about it, and how it ends.  One job at a
 * time, in the order of acceptance.  Core thread only.
 */
#ifndef LETHE_JOBS_JOB_RUN_H
#define LETHE_JOBS_JOB_RUN_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "daemon/serve/call.h"

#include <stdint.h>

/* Starts the oldest queued request if nothing runs; gives a started one to a worker that is ready.
 */
void job_run_turn(struct core *core, int64_t now_us);
/* Takes everything that the worker has said. */
void job_run_listen(struct core *core);
/* Ends the running job now; its request goes back to the queue. */
void job_run_drop(struct core *core);
/* Cancels the running request (the worker is killed).  The caller has checked that it runs. */
enum status job_run_cancel(struct core *core,
                           const char *reason,
                           const char *actor,
                           struct fault *f) MUST_CHECK;
/* The running request is this one. */
int job_run_is(const struct core *core, const struct request_id *id);

#endif
