/*
 * Samples that the base was made to forget: single images of classes that stay alive.  They are in
 * no set that later jobs train on, validate or measure with, which their tombstones see to
 * (version_data.h, task VERSION_ERASED_BASE; keys as in task_keys.h, with the base's own labels).
 */
#ifndef LETHE_JOBS_BASE_ERASED_H
#define LETHE_JOBS_BASE_ERASED_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/* The base's images among the samples of the job become tombstones. */
enum status base_erased_add(struct kv_txn *txn,
                            const struct base_model *base,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/* Takes all that were erased, now or before, out of the base's images of the job. */
enum status base_erased_leave_out(struct kv_txn *txn,
                                  const struct base_model *base,
                                  struct job *job,
                                  struct fault *f) MUST_CHECK;

#endif
