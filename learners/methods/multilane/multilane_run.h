/*
 * Training of one lane (MULTI-LANE, De Min et al. 2024, arXiv 2405.15633): Adam on selectors,
 * prompts and head rows over frozen features; one optimiser step a call.  Pure computation on the
 * caller's memory; the same bytes for any number of threads and any budget of the feature cache.
 * Nothing of another lane is read, except the parent's parameters where the options say so.
 */
#ifndef LETHE_LEARNERS_MULTILANE_RUN_H
#define LETHE_LEARNERS_MULTILANE_RUN_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/methods/multilane/feature_cache.h"
#include "learners/methods/multilane/lane.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

/*
 * One task.  Everything is borrowed and unchanged during the run, and the list of classes beyond
 * it.  origin.seed and origin.id key all random streams; nothing else of a request does.
 */
struct multilane_problem {
    struct vit_config config;
    const struct vit_weights *weights;
    struct lane_origin origin; /* parent and parent_id are those of `parent` */
    const char *name;
    struct image_table images; /* labels index `classes`; not read with `hot` */
    const uint8_t *hot;   /* [images.n, n_classes], 1: has the class; NULL: one label an image */
    const uint64_t *keys; /* [images.n] of the samples; NULL: none */
    const uint32_t *train, *valid; /* disjoint; images without a class of the lane do not belong */
    uint32_t n_train, n_valid;     /* n_valid 0: nothing is validated, the last epoch is taken */
    uint32_t n_classes;
    const char *const *classes; /* names, no two alike */
    const struct lane *parent;  /* init previous or anchor; else NULL */
};

/* Where the validation stands. One label: accuracy in [0,1]; several: share of right answers. */
struct multilane_figures {
    uint32_t epoch; /* from 1; 0: none yet */
    double accuracy;
    double loss;
};

/* After a step. */
struct multilane_progress {
    uint32_t epoch, epochs; /* epochs begun */
    uint32_t step, steps;   /* of the whole run */
    float lr;
    double loss;   /* of the step's batch */
    int validated; /* *last was measured at this step */
    struct multilane_figures last, best;
    int done;
};

struct multilane_run;

/* Arena bytes of a run; SIZE_MAX if sizes or options are invalid. */
size_t multilane_run_plan(const struct multilane_problem *p,
                          const struct lane_options *o,
                          uint32_t threads);

/* The same without a look at the problem's lists, labels and parent. */
size_t multilane_run_size(const struct multilane_problem *p,
                          const struct lane_options *o,
                          uint32_t threads);

/*
 * Checks and sets up.  INVALID_ARGUMENT (option, name, list, label), FAILED_PRECONDITION (no
 * images, a parent missing or of other sizes), NO_MEMORY; then the arena is as before.
 */
enum status multilane_run_new(const struct multilane_problem *p,
                              const struct lane_options *o,
                              struct pool *pool,
                              struct arena *arena,
                              struct multilane_run **ret_run,
                              struct fault *f) MUST_CHECK;

/*
 * One optimiser step, and the validation that is due after it.  FAILED_PRECONDITION: the numbers
 * are no longer finite (the learning rate is too large).  Must not be called when done.
 */
enum status multilane_run_step(struct multilane_run *run,
                               struct multilane_progress *ret_progress,
                               struct fault *f) MUST_CHECK;

/* The lane after the last step; borrows from the arena and from the problem. */
void multilane_run_result(struct multilane_run *run, struct lane *ret_lane);
struct feature_cache_counts multilane_run_features(const struct multilane_run *run);

#endif
