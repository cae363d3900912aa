/*
 * Images of learned tasks: which rows of a task's data set train, validate and test its lane or
 * expert.  Every row is decided by its own content alone, by its key (task_keys.h), rows in
 * ascending order of keys; of five equal slices of the key space the first validates, the
 * second tests if the task has no data set of role test, the others train.  So a set without some
 * rows gives, for the rows that are left, the same choice in the same order: training without them
 * is training that never saw them.
 *
 * With several labels an image, it belongs to a set if it shows one of the classes that count there
 * and carries those only (multilane.md, section 2): where a class is forgotten, images that showed
 * nothing else are out, the others stay with their other labels.
 */
#ifndef LETHE_JOBS_TASK_DATA_H
#define LETHE_JOBS_TASK_DATA_H

#include "daemon/base/status.h"
#include "daemon/jobs/base_data.h"
#include "daemon/jobs/job_wire.h"
#include "daemon/jobs/task_keys.h"
#include "storage/store/store.h"

#include <stdint.h>

/* Keys of samples that were erased from a task, ascending. */
struct task_tombstones {
    const struct digest *keys;
    size_t n;
};

/* What a task's images are wanted for. */
enum task_use {
    TASK_TEST,    /* the test images only */
    TASK_TRAIN,   /* training and validation of the live classes as well */
    TASK_SUPPRESS /* and of the classes that are to be forgotten now */
};

/* One task's rows as a job needs them. */
struct task_rows {
    const char *dataset;    /* name of the imported data set */
    struct task_keys *keys; /* NULL: nothing is kept */
    /* Classes of the job; the data set's are found among the owner's by name, others are left out.
     * `use` says which are trained on and validated; all of them are tested. */
    const struct job_class *classes;
    uint32_t n_classes;
    uint32_t owner;
    struct task_tombstones tombstones;
    uint32_t test_per_class; /* most test images a class */
    enum task_use use;
};

/*
 * Appends the task's images to the sets TASK_TRAIN, TASK_VALIDATION and TEST; *ret_several: 1 if
 * they have several labels each.  NOT_FOUND: the data set has gone; INVALID_ARGUMENT: its images do
 * not fit the base, or its training images have several labels and its test images have not.  Where
 * only test images are wanted and the data set has gone, there are none.
 */
enum status task_data_append(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct task_rows *t,
                             struct base_sets *sets,
                             int *ret_several,
                             struct fault *f) MUST_CHECK;

/* Whether a row tests where there is no data set of role test. */
int task_data_tests(const struct digest *key);
/* Keys of all rows of a data set, in fresh memory (sysio_free), ascending. */
enum status task_data_keys(struct task_keys *keys,
                           struct kv_txn *txn,
                           const struct dataset *d,
                           struct digest **ret_keys,
                           struct fault *f) MUST_CHECK;
/* Order of keys, for qsort and bsearch. */
int task_data_compare(const void *a, const void *b);

#endif
