/*
 * Images of streams: which rows of the data sets that were pushed train a stream's experts, in the
 * order in which they lie there, and which test them.  A row is known by its content, the key of
 * task_keys.h; if the data set has no set of role test beside it,
 * the second of five equal slices of the key space is held out from training and tests.  The
 * learner sees 64 bits of the keyed hash of that key, under the stream's name and seed: it decides
 * about reserves and buffers, and names samples in ledgers.
 */
#ifndef LETHE_JOBS_STREAM_DATA_H
#define LETHE_JOBS_STREAM_DATA_H

#include "daemon/base/status.h"
#include "daemon/jobs/base_data.h"
#include "daemon/jobs/job_wire.h"
#include "daemon/jobs/task_data.h"
#include "storage/store/store.h"

#include <stdint.h>

/* One stream's rows as a job needs them. */
struct stream_rows {
    const char *stream;
    uint64_t seed;          /* of the stream */
    struct task_keys *keys; /* NULL: nothing is kept */
    /* The data sets' classes are found among the stream's own by name, others are left out. */
    const struct job_class *classes;
    uint32_t n_classes;
    const struct job_owner *owners;
    struct task_tombstones tombstones;
    uint32_t test_per_class; /* most test images a class ... */
    uint32_t *tested;        /* [n_classes] ... and how many there are already */
};

enum stream_use {
    STREAM_TEST,  /* test images only; if the data set has gone there are none */
    STREAM_TRAIN, /* also, to be found by their keys, images of live classes that are not erased */
    STREAM_PUSH   /* also images that are erased: the learner drops and counts them */
};

/*
 * Appends the rows of one data set to TASK_TRAIN, with their keys, and to TEST; *ret_first and
 * *ret_n (NULL: not wanted) are the rows added to TASK_TRAIN.  NOT_FOUND: the data set has gone;
 * INVALID_ARGUMENT: its images do not fit the base.
 */
enum status stream_data_append(struct kv_txn *txn,
                               const struct base_model *base,
                               const char *dataset,
                               enum stream_use use,
                               const struct stream_rows *rows,
                               struct base_sets *sets,
                               uint32_t *ret_first,
                               uint32_t *ret_n,
                               struct fault *f) MUST_CHECK;

/* The learner's key of a sample whose content has this key. */
uint64_t stream_data_key(const char *stream, uint64_t seed, const struct digest *content);

#endif
