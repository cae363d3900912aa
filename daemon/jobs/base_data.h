/*
 * The imported data sets that belong to the base model: which one holds its training images, which
 * one judges it, which one shows classes that it never saw; the replay memory drawn from the first
 * (gslora.md, 3.1); and the fixed parts of the others that every report is measured on.
 *
 * A set fits the base if its images have the network's size and channels and it has one label an
 * image.  Its class names are the base's label names; names that are all numbers below K mean class
 * numbers.  Training set: role train, every class known.  Test set: role test, every class known,
 * the training set's name preferred.  Reference: role unseen, no class known.
 */
#ifndef LETHE_JOBS_BASE_DATA_H
#define LETHE_JOBS_BASE_DATA_H

#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/job_wire.h"
#include "storage/store/store.h"

#include <stdint.h>

/* Names of the two replay memories: a memory holds one list per class and role. */
#define BASE_MEMORY_TRAIN      "base.train"
#define BASE_MEMORY_VALIDATION "base.validation"

/* Each may be NULL: there is none. */
struct base_data {
    struct dataset *train;
    struct dataset *test;
    struct dataset *reference;
};

enum status base_data_find(struct kv_txn *txn,
                           const struct base_model *base,
                           struct base_data *ret_data,
                           struct fault *f) MUST_CHECK;
void base_data_free(struct base_data *d);
/* A training set of the base is imported. */
enum status base_data_ready(struct store *store,
                            const struct base_model *base,
                            int *ret_ready,
                            struct fault *f) MUST_CHECK;

/* Size, channels and label kind suit the network; INVALID_ARGUMENT says what does not. */
enum status
base_data_fits(const struct dataset *d, const struct base_model *base, struct fault *f) MUST_CHECK;
/* Size and channels alone; for sets of tasks, whose images may have several labels. */
enum status
base_data_shape(const struct dataset *d, const struct base_model *base, struct fault *f) MUST_CHECK;
/* map[i] of class i of the set: its class of the base, or -1.  Returns how many are known. */
uint32_t base_data_map(const struct dataset *d, const struct base_model *base, int32_t *map);
/* Class of the set that is class k of the base, or -1. */
int64_t base_data_class(const struct dataset *d, const struct base_model *base, uint32_t k);

/*
 * Draws both memories of the base if they are not there: of each class ceil(fraction n_c) training
 * and, disjoint from them, a quarter as many validation images, from stream "memory" of a root that
 * depends on the base alone; drawn once.  FAILED_PRECONDITION: no training set is imported.
 */
enum status base_data_draw_memory(struct store *store,
                                  const struct base_model *base,
                                  double fraction,
                                  int64_t now_us,
                                  struct fault *f) MUST_CHECK;

/* Rows and further labels that a set's arrays have room for; 0: for those that it has. */
struct base_sets_room {
    size_t rows, more;
};

/* The sets of one job, loaded: pixels and labels are owned. */
struct base_sets {
    struct job_set set[JOB_SETS];
    struct base_sets_room room[JOB_SETS];
    struct digest memory; /* of the training memory */
    struct digest train;  /* of the training data set */
    uint64_t
        *task_keys; /* of the first rows of TASK_TRAIN, as streams know them; 0: of no stream */
    uint32_t n_task_keys;
};

/*
 * Loads memory, test part and reference part.  Sets that do not exist are empty.  The test part and
 * the reference part hold at most per_class images of each class, always the same ones.
 */
enum status base_data_load(struct kv_txn *txn,
                           const struct base_model *base,
                           uint32_t per_class,
                           struct base_sets *ret_sets,
                           struct fault *f) MUST_CHECK;
/*
 * Adds the images of an imported set as JOB_SET_SAMPLES; map[c]: the job's class of its class c.
 * Each image has a label (admission sees to that).
 */
enum status base_data_load_samples(struct kv_txn *txn,
                                   const struct dataset *samples,
                                   const int32_t *map,
                                   struct base_sets *sets,
                                   struct fault *f) MUST_CHECK;
void base_sets_free(struct base_sets *sets);

#endif
