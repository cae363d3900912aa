/*
 * Test images for an owner whose own data are not here, because it came as a file: those of an
 * imported data set of role test all of whose classes are among the owner's, labelled as the
 * owner's (job_owner.several), and of which no other owner makes use.  The first by name; data that
 * trained something are never taken.
 */
#ifndef LETHE_JOBS_TASK_TEST_H
#define LETHE_JOBS_TASK_TEST_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/* Name of the data set; "": there is none. */
enum status task_test_find(struct kv_txn *txn,
                           const struct base_model *base,
                           const struct job *job,
                           uint32_t owner,
                           char name[DATASET_NAME_SIZE],
                           struct fault *f) MUST_CHECK;

#endif
