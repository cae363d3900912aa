/*
 * What one person contributed: the rows of imported data sets that carry a subject
 * (proto/seal/subject.h) and that something of a version was made from.  Looked through are the
 * base's training set, the training sets of all lanes and all that was pushed to streams; a row
 * counts if it has a class that is alive and was not erased by an earlier request.
 *
 * Erasing them is erasing samples, for every owner at once: lanes are trained again without them,
 * the base forgets them with its samples setting, and their keys become tombstones.
 */
#ifndef LETHE_JOBS_SUBJECTS_H
#define LETHE_JOBS_SUBJECTS_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/* How many samples there are. */
struct subjects_count {
    uint32_t base;   /* of the base */
    uint32_t others; /* of lanes */
    uint32_t erased; /* that earlier requests have erased */
};

/* What requests name a subject by: the keyed hash of its id as text, in the arena. */
enum status subjects_name(struct store *store,
                          const char *id,
                          struct arena *arena,
                          const char **ret_text,
                          struct fault *f) MUST_CHECK;

/* `text` as subjects_name gives it; INVALID_ARGUMENT, field "subject", if it is not. */
enum status subjects_find(struct kv_txn *txn,
                          const struct base_model *base,
                          const struct version *v,
                          const char *text,
                          struct subjects_count *ret_count,
                          struct fault *f) MUST_CHECK;
/*
 * All of them into the job's set of samples and into its tombstones; the job's classes are those of
 * its parent, and its sets hold no samples yet.
 */
enum status subjects_load(struct kv_txn *txn,
                          const struct base_model *base,
                          const char *text,
                          struct job *job,
                          struct fault *f) MUST_CHECK;

#endif
