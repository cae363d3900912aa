/*
 * A few threads that answer calls which only read: predictions, and the slow readers (exports,
 * fsck).  Calls wait in a bounded ring; each thread runs one at a time and tells the task its
 * number, so that a task can own scratch memory per thread.
 */
#ifndef LETHE_JOBS_CALL_POOL_H
#define LETHE_JOBS_CALL_POOL_H

#include "daemon/base/status.h"
#include "daemon/serve/call.h"

#include <stdint.h>

#define CALL_POOL_MAX_THREADS 64

struct call_pool;

/* Must finish the call.  waited_us: how long it was in the ring; thread: 0 .. n_threads - 1. */
typedef void
call_pool_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread);

enum status call_pool_new(struct core *core,
                          uint32_t n_threads,
                          struct call_pool **ret_pool,
                          struct fault *f) MUST_CHECK;
/* Fails waiting calls with UNAVAILABLE, joins the threads.  NULL allowed. */
void call_pool_free(struct call_pool *p);
/* Waits until every call that was posted is finished, at most timeout_ms; any thread but its own.
 */
void call_pool_drain(struct call_pool *p, int64_t timeout_ms);
/* Calls that wait or run, and calls done so far.  Any thread. */
void call_pool_load(struct call_pool *p, uint64_t *ret_open, uint64_t *ret_done);
/* Takes over the call; fails it with RESOURCE_EXHAUSTED when the ring is full. */
void call_pool_post(struct call_pool *p, call_pool_task *task, struct call *call);

#endif
