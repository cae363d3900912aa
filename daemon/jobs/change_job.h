/*
 * What a request changes besides the base's own deltas: the tasks of its job (job_wire.h).
 *
 *   learn                 one task for the new lane, one for its router terms (and the base's
 * terms, if the version has none yet) forget, lane classes  the lane is destroyed if nothing of it
 * is left, else trained again from its own seed without the data; the same for its router terms
 *   forget, base classes  lanes are refitted if the new trunk harms them; all router terms are
 *                         counted again, for they are features of the trunk
 */
#ifndef LETHE_JOBS_CHANGE_JOB_H
#define LETHE_JOBS_CHANGE_JOB_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/* Before the classes are laid out: the data set of a learn request into job->new_data. */
enum status change_job_open(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/* After the request's classes are marked: kind, tasks, dropped parts and images of the job. */
enum status change_job_plan(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/*
 * Where no data here can tell, a check cannot be required: that of a component that came as a file,
 * and that of the erased labels if their component is not there any more.  It is then reported as
 * NOT_RESOLVABLE and decides nothing.
 */
void change_job_limits(const struct job *job, struct gate_limits *limits);

/* For stream_job.c.  A further task, which has the request's id and seed; with an option more. */
struct job_task *change_job_task(struct job *job, const char *learner, uint32_t owner);
enum status change_job_option(struct job_task *t,
                              const char *name,
                              const char *value,
                              struct fault *f) MUST_CHECK;
/* Router terms of the base, if the version has none yet. */
enum status change_job_base_terms(struct job *job, struct fault *f) MUST_CHECK;
/* How many of these keys [n], ascending, are among the images of a data set; if it is there. */
enum status change_job_known(struct task_keys *cache,
                             struct kv_txn *txn,
                             const char *source,
                             const struct digest *keys,
                             size_t n,
                             size_t *ret_known,
                             struct fault *f) MUST_CHECK;

#endif
