/*
 * Reference classes are those that nobody ever taught this installation: what an erased class may
 * still be recognised by is compared with them (evaluation.md, 7).  A data set imported as unseen
 * says so of its classes when it comes; a task may teach them later.
 */
#ifndef LETHE_JOBS_REFERENCE_CHECK_H
#define LETHE_JOBS_REFERENCE_CHECK_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/*
 * Takes the classes out of JOB_SET_REFERENCE of which a lane or expert of the job, or the task that
 * it learns, has been shown an image of the reference data set, or answers the name; the others
 * are numbered anew.  Fills job->spec.reference_taught.  After the owners are known.
 */
enum status reference_check(struct kv_txn *txn,
                            const struct base_model *base,
                            struct job *job,
                            struct fault *f) MUST_CHECK;

#endif
