/*
 * The job of an import: nothing is trained.  The file's records join the parent's components, are
 * measured and judged like any other candidate, and named in the manifest with the digest of the
 * file they came in.  The base's router terms are made first if the version has none.  An expert
 * joins the stream that the request names, as its learner's action "import" does it; nothing is
 * trained then either.
 *
 * The file's own training data are not here, so what is measured are test images of another data
 * set with the component's labels, if there is one (task_test.h); without any, its classes are not
 * resolvable in the report and the check of the new task decides nothing (change_job_limits).
 */
#ifndef LETHE_JOBS_IMPORT_JOB_H
#define LETHE_JOBS_IMPORT_JOB_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

#define JOB_TEXT_KIND_IMPORT "import"

int import_job_is(const struct job *job);
/* Before the classes are laid out: reads and checks the file again; job->imported. */
enum status import_job_open(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/* Classes that it brings; 0 for any other job. */
uint32_t import_job_classes(const struct job *job);
/* Owner, parts and images; *ret_router: the base's router terms are to be made as well. */
enum status import_job_plan(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            int *ret_router,
                            struct fault *f) MUST_CHECK;
/* Frees job->imported; NULL allowed. */
void import_job_free(struct imported *x);

#endif
