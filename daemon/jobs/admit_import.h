/*
 * Admission of a component that came as a file (imported.h), against the version that serves,
 * before the request is recorded and again when its turn has come.
 *
 * | what                                       | code                | field       |
 * | ------------------------------------------ | ------------------- | ----------- |
 * | a task or stream of that name was learned  | ALREADY_EXISTS      | name        |
 * | an expert: no stream of that name          | NOT_FOUND           | name        |
 * | an expert: that stream is closed           | FAILED_PRECONDITION | name        |
 * | an expert: the stream has other settings   | FAILED_PRECONDITION | options     |
 * | an expert: the stream has all it may have  | RESOURCE_EXHAUSTED  | experts_max |
 * | a label that the model has already         | ALREADY_EXISTS      | labels      |
 * | a label that was forgotten                 | FAILED_PRECONDITION | labels      |
 * | no training and test data of the base      | FAILED_PRECONDITION | data        |
 */
#ifndef LETHE_JOBS_ADMIT_IMPORT_H
#define LETHE_JOBS_ADMIT_IMPORT_H

#include "daemon/base/status.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/imported.h"

/* Where an expert finds its place: the name "STREAM.K" that it would get.  The errors above. */
enum status admit_import_place(struct kv_txn *txn,
                               const struct imported *x,
                               const struct version *serving,
                               char ret_expert[JOB_NAME_SIZE],
                               struct fault *f) MUST_CHECK;
/* ret_plan may be NULL. */
enum status admit_import(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct imported *x,
                         const struct version *serving,
                         struct admit_plan *ret_plan,
                         struct fault *f) MUST_CHECK;

#endif
