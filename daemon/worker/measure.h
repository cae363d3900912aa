/*
 * Retention evaluation of a candidate: one shared forward pass over all probe images, then
 * learners/eval.  The parent's answers come from the same pass: up to the first block that the new
 * delta changes both models are the same, so the candidate continues from the parent's prefix.
 */
#ifndef LETHE_WORKER_MEASURE_H
#define LETHE_WORKER_MEASURE_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

/*
 * Fills the report of *result (memory of the job's arena): of the candidate that job->made and the
 * parent make together, against the parent.
 */
enum status
measure_run(struct worker_job *job, struct job_result *result, struct fault *f) MUST_CHECK;

/* Arena bytes of measure_run. */
size_t measure_plan(const struct worker_job *job);

#endif
