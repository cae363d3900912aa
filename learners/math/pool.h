/*
 * Thread pool for data-parallel loops over fixed-size shards.  Work item i runs exactly once, on
 * any thread; results must depend on i alone, so that 1 and 2 threads give the same bytes.  The
 * calling thread takes part.  Each thread uses one BLAS thread.  The struct lives in caller memory.
 */
#ifndef LETHE_LEARNERS_POOL_H
#define LETHE_LEARNERS_POOL_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define POOL_MAX_THREADS 64

struct pool;

/* Work item i on thread `thread` (0 .. n_threads-1, for per-thread scratch only). */
typedef void pool_task(void *context, uint32_t i, uint32_t thread);

size_t pool_plan(uint32_t n_threads);
/* Starts n_threads - 1 threads (1 <= n_threads <= POOL_MAX_THREADS) in `memory` (pool_plan bytes).
 */
enum status pool_init(void *memory, uint32_t n_threads, struct pool **ret_pool) MUST_CHECK;
/* Joins the threads; NULL is allowed. */
void pool_fini(struct pool *p);
uint32_t pool_threads(const struct pool *p);
/*
 * `pulse` (NULL: none) is called on the calling thread after every pool_run: a sign of progress for
 * whoever watches long computations.  It must not call the pool.
 */
typedef void pool_pulse(void *context);
void pool_watch(struct pool *p, pool_pulse *pulse, void *context);
/* Runs items 0 .. n-1 and returns when all are done. */
void pool_run(struct pool *p, pool_task *task, void *context, uint32_t n);

#endif
