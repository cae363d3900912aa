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

#endif
