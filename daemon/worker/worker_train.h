/*
 * Runs learners (learners/learner.h) inside a job: the problem of an erasure or of a task from the
 * job's spec, memory for the run, steps with progress, and the components that come out of it.
 */
#ifndef LETHE_WORKER_TRAIN_H
#define LETHE_WORKER_TRAIN_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

/* The version's trunk as the learners see it: parent weights, base, names of the base's classes. */
struct learner_trunk worker_trunk(const struct worker_job *job);

/*
 * Trains the request's erasure delta on the base (JOB_FORGET); job->made[0] and job->outcome are
 * its results.  Errors as the learner's, RESOURCE_EXHAUSTED over the memory limit.
 */
enum status worker_train_erasure(struct worker_job *job, struct fault *f) MUST_CHECK;
/*
 * Whether a refit is needed: 1 if the task's component loses more than `limit` of its validation
 * accuracy on the candidate's trunk against the parent's.
 */
enum status worker_task_harmed(struct worker_job *job,
                               const struct job_task *task,
                               const struct learner_trunk *trunk,
                               double limit,
                               int *ret_harmed,
                               struct fault *f) MUST_CHECK;
/* One task: what it makes is appended to job->made. */
enum status worker_train_task(struct worker_job *job,
                              const struct job_task *task,
                              const struct learner_trunk *trunk,
                              struct fault *f) MUST_CHECK;

/*
 * Any run of a learner inside the job: its components are kept in job->made, in the place of older
 * ones of the same name, its events in job->events.  *ret_outcome has none of them.
 */
enum status worker_run_learner(struct worker_job *job,
                               const struct learner *l,
                               const struct learner_problem *p,
                               struct learner_outcome *ret_outcome,
                               struct fault *f) MUST_CHECK;
/* A component is made, or is no more (part->size 0). */
enum status worker_keep_part(struct worker_job *job,
                             const struct learner_part *part,
                             const struct learner_outcome *outcome,
                             struct fault *f) MUST_CHECK;
/* Options of the job's form as the learners take them; returns their number. */
uint32_t worker_options(const struct job_option *from, uint32_t n, struct learner_option *to);

#endif
