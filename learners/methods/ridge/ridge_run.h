/*
 * Learning a task with the router: one pass of the frozen trunk over the task's images, batch by
 * batch, that leaves the owner's terms.  There is no gradient and no random draw, and nothing of
 * another task is read.
 *
 * Determined by: the set of images of each class and part, the trunk and the options.  The order of
 * the lists, the batch size, the numbering of the classes and the number of threads leave no trace:
 * the record has the same bytes.
 */
#ifndef LETHE_LEARNERS_RIDGE_RUN_H
#define LETHE_LEARNERS_RIDGE_RUN_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/methods/ridge/ridge_options.h"
#include "learners/methods/ridge/ridge_terms.h"
#include "learners/vit/vit.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RIDGE_RUN_BATCH 64 /* images a step */

/* One task.  Everything is borrowed and unchanged during the run and the life of its terms. */
struct ridge_problem {
    struct vit_config config;
    const struct vit_weights *weights; /* the trunk: the base with all erasures folded in */
    struct ridge_origin origin;
    const char *owner;         /* 1..63 bytes */
    struct image_table images; /* labels index `classes`; with hot they are not read */
    const uint8_t *hot;        /* [images.n, n_classes] 0 or 1; NULL: single-label */
    uint32_t n_classes;
    const char *const *classes; /* names, no two alike */
    const uint32_t *train;      /* [n_train] rows of images */
    const uint32_t *valid;      /* [n_valid] rows held out to choose the penalty, none in train */
    uint32_t n_train, n_valid;
};

struct ridge_run_tools {
    struct pool *pool;
    struct arena *arena;      /* ridge_run_plan bytes must be free; the terms stay in it */
    const atomic_int *cancel; /* non-zero: the next step gives CANCELLED; NULL: never */
};

struct ridge_run_progress {
    uint32_t step, steps;
    uint32_t images; /* seen so far */
    uint32_t term;   /* that the next step adds to, from 0 */
    int done;
};

struct ridge_run;

/* Arena bytes of a run and its terms; SIZE_MAX: invalid or too large. */
size_t
ridge_run_plan(const struct ridge_problem *p, const struct ridge_options *o, uint32_t threads);
/* Most bytes that the record of the run's terms can have; SIZE_MAX: invalid or too large. */
size_t ridge_run_record_bound(const struct ridge_problem *p, const struct ridge_options *o);
/*
 * Checks the task and sets the run up.  INVALID_ARGUMENT (option, name, label, list, target),
 * FAILED_PRECONDITION (a class without training images), NO_MEMORY; the arena is then as it was.
 */
enum status ridge_run_new(const struct ridge_problem *p,
                          const struct ridge_options *o,
                          const struct ridge_run_tools *tools,
                          struct ridge_run **ret_run,
                          struct fault *f) MUST_CHECK;
/* One batch of images through the trunk into its term.  CANCELLED. */
enum status ridge_run_step(struct ridge_run *run,
                           struct ridge_run_progress *ret_progress,
                           struct fault *f) MUST_CHECK;
/* After the last step: the owner's terms, in the run's arena. */
void ridge_run_terms(const struct ridge_run *run, struct ridge_terms *ret_terms);

#endif
