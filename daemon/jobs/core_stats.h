/*
 * Figures of the core: what requests, jobs, checks, the store and predictions came to since this
 * process started.  Values only: no name of a class, subject or client is in them.
 */
#ifndef LETHE_JOBS_CORE_STATS_H
#define LETHE_JOBS_CORE_STATS_H

#include "learners/eval/gate_check.h"
#include "storage/queue/request_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum core_stats_kind {
    CORE_STATS_FORGET,
    CORE_STATS_LEARN,
    CORE_STATS_STREAM,
    CORE_STATS_IMPORT,
    CORE_STATS_EVALUATE,
    CORE_STATS_KINDS
};

enum core_stats_set {
    CORE_STATS_SET_FORGET,
    CORE_STATS_SET_RETAIN,
    CORE_STATS_SET_OLD_FORGOTTEN,
    CORE_STATS_SET_NEW_TASK,
    CORE_STATS_SETS
};

#define CORE_STATS_BUCKETS 12 /* of predict seconds, the last without an upper end */

struct core_stats {
    /* By the state in which they ended; REQUEST_NONE: refused before they became one. */
    uint64_t requests[CORE_STATS_KINDS][REQUEST_STATES];
    uint64_t job_attempts;
    uint64_t gate[GATE_CHECK_COUNT][GATE_VERDICT_COUNT];

    /* Of the last report that measured them; NaN: none did. */
    double accuracy[CORE_STATS_SETS];
    double mia_auc;
    double relapse_max; /* highest accuracy on an earlier erasure */
    double step_seconds;

    /* About a second old. */
    uint64_t open[REQUEST_STATES]; /* requests in this state; final ones included */
    int64_t due_us;                /* wall time at which the first open erasure is due; 0: none */
    uint64_t serving_generation;
    uint64_t store_used, store_max; /* bytes; 0: not read yet */
    uint64_t reader_lag;

    uint64_t predict_calls;
    uint64_t predict_images;
    uint64_t predict_bucket[CORE_STATS_BUCKETS]; /* not summed up */
    double predict_seconds;                      /* of all calls, waiting included */
    uint64_t predict_scratch_bytes;              /* the most that each thread took, added */
    uint64_t predict_waiting;

    uint64_t worker_restarts;
    bool worker_busy;
    double gflops; /* of one thread, measured at the start; NaN: not yet */
    int64_t started_us;
};

/* "forget", ...; "forget", "retain", "old_forgotten", "new_task". */
const char *core_stats_kind_name(enum core_stats_kind kind);
const char *core_stats_set_name(enum core_stats_set set);
/* Upper ends in seconds, inclusive; infinity for the last. */
double core_stats_bucket(size_t i);

#endif
