/*
 * Streams inside a job: one run of the learner "tame" changes a stream and its experts; then the
 * job's tables say which expert owns which class, and the router's terms of every expert that
 * changed are counted again from the samples that trained it.
 */
#ifndef LETHE_WORKER_STREAM_H
#define LETHE_WORKER_STREAM_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

/*
 * The task of one stream, on the trunk that the candidate will have; what is forgotten is taken out
 * on the parent's first.  Errors as the learner's; FAILED_PRECONDITION: images are missing.
 */
enum status worker_stream_run(struct worker_job *job,
                              const struct job_task *task,
                              const struct learner_trunk *trunk,
                              struct fault *f) MUST_CHECK;

/* Whether the candidate must be measured: not if all that changed is the state of a stream. */
int worker_stream_measures(const struct worker_job *job);
/* The report of a candidate that answers as its parent does: nothing was measured. */
enum status
worker_stream_report(struct worker_job *job, struct job_result *result, struct fault *f) MUST_CHECK;

#endif
