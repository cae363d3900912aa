/*
 * Policy over the table of storage/queue/request_state.h: which event a running request gets next.
 * Pure.  Storage refuses whatever the table does not allow.
 */
#ifndef LETHE_JOBS_JOB_STATE_H
#define LETHE_JOBS_JOB_STATE_H

#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "storage/queue/queue.h"

#include <stdint.h>

/*
 * What a request may still use.  Runs that the daemon's own end cut short do not count: a request
 * must not fail because the machine was restarted.
 */
struct job_state_limits {
    uint32_t max_attempts; /* failed runs and parameter steps of one request together */
    uint32_t steps;        /* parameter steps that exist */
    uint32_t failures;     /* earlier runs of this request that came to nothing */
};

/* The worker died, stalled or answered nonsense: the same attempt again, or the end. */
enum request_event job_state_after_death(const struct queue_record *record,
                                         const struct job_state_limits *limits);
/*
 * The worker answered with an error.  What a further run cannot change (the request's fault, a
 * limit, damaged data) ends it; the rest is tried again.
 */
enum request_event job_state_after_error(const struct queue_record *record,
                                         enum status error,
                                         const struct job_state_limits *limits);
/* The gate has judged a candidate of a forget request. */
enum request_event job_state_after_gate(const struct queue_record *record,
                                        enum gate_outcome outcome,
                                        int dry_run,
                                        const struct job_state_limits *limits);

#endif
