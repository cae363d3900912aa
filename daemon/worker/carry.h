/*
 * Router terms whose images are not here, over a trunk that changes: they are sums of features of
 * the old trunk and cannot be counted again, so the same sums stand for the new one.  An
 * approximation, as good as the erasure left the features of everything else alone; lineage names
 * it.
 */
#ifndef LETHE_WORKER_CARRY_H
#define LETHE_WORKER_CARRY_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

/* The task's terms, as the parent has them, for `trunk`; appended to job->made. */
enum status carry_terms(struct worker_job *job,
                        const struct job_task *task,
                        const struct learner_trunk *trunk,
                        struct fault *f) MUST_CHECK;

#endif
