/*
 * Retention evaluation of a candidate: one shared forward pass over all probe images, then
 * learners/eval.  The parent's answers come from the same pass: up to the first block that the new
 * delta changes both models are the same, so the candidate continues from the parent's prefix.
 */
#ifndef LETHE_WORKER_MEASURE_H
#define LETHE_WORKER_MEASURE_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"
#include "learners/methods/gslora/gslora.h"

/*
 * Fills report, logits and n_logits of *result (memory of the job's arena).  `trained` is the new
 * delta with its outcome, or NULL when the version itself is measured.
 */
enum status measure_run(struct worker_job *job,
                        const struct gslora_result *trained,
                        struct job_result *result,
                        struct fault *f) MUST_CHECK;

/* Arena bytes of measure_run. */
size_t measure_plan(const struct worker_job *job);

#endif
