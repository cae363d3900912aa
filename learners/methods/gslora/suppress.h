/*
 * GS-LoRA++ on a component (architecture.md, mode fast): a lane or an expert that learned what is
 * to be forgotten keeps its form, and the request trains a change D of its own parameters,
 * theta = theta0 + D, with the objective of a request on the base (loss.h):
 *   CE on what stays, the bounded hinge on what goes, prototype push and pull, distribution
 *   matching of erased and kept features, kept features held where they were,
 * and the group penalty alpha_g |D_g|, applied as proximal step after AdamW (gslora.md, 3.5), so
 * that whole groups of the component keep their parameters to the bit.  Features are the
 * component's own (what its head reads), prototypes and anchors those of theta0; the head does not
 * move, as in GS-LoRA.  Differences: no factors A and B, because a component's matrices are as thin
 * as a delta's rank; alpha_g is eta sqrt(n_g) for each group's own size; no group sleeps; no
 * seeking directions and no taps inside the trunk.  It suppresses: the result descends from theta0.
 *
 * Samples of classes that stay: bound of the hinge and target are the mean CE and the accuracy on
 * the validation images before the request, that is, of images which were never learned.
 *
 * Pure computation; the same bytes for any number of threads if the engine's are.
 */
#ifndef LETHE_LEARNERS_SUPPRESS_H
#define LETHE_LEARNERS_SUPPRESS_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/learner.h"
#include "learners/methods/gslora/gslora_options.h"

#include <stddef.h>
#include <stdint.h>

#define SUPPRESS_GROUPS 128 /* most of a component */

/* Parameters first .. first + n - 1; groups do not overlap, what is in none is frozen. */
struct suppress_group {
    size_t first, n;
};

/* The component. */
struct suppress_engine {
    void *context;
    uint32_t classes, width; /* of logits and features */
    float *theta;            /* [floats] read by forward and backward, written by the run */
    size_t floats;
    const struct suppress_group *groups;
    uint32_t n_groups;
    /* Overwrites logits [n, classes] and features [n, width] of the images. */
    void (*forward)(
        void *context, const uint32_t *list, uint32_t n, float *logits, float *features);
    /* The same images with the same theta: overwrites grad [floats]. */
    void (*backward)(void *context,
                     const uint32_t *list,
                     uint32_t n,
                     const float *dlogits,
                     const float *dfeatures,
                     float *grad);
};

/* Borrowed while the run lasts. */
struct suppress_problem {
    struct suppress_engine engine;
    struct gslora_options options; /* as asked; automatic values are resolved here */
    struct rng_root root;
    const int32_t *labels; /* by image, below engine.classes */
    struct learner_rows lists[LEARNER_LISTS];
    int samples; /* 1: the classes of what is forgotten stay */
};

struct suppress_run;

/*
 * The defaults of a request on a component: those of gslora_options but for eta 0.3 (gslora.md,
 * 3.5), beta 1, depth_weight 1 and 60 epochs.  On a lane of three classes over a ViT of width 8
 * (tests/property/learners/test_multilane_erase.c; 36 settings, validation images) the base's
 * weights 3 and 16 gave up 0.2 to 0.4 of the kept classes' accuracy, these nothing.
 */
void suppress_options_default(struct gslora_options *ret_o);
/* Arena bytes of suppress_new; SIZE_MAX: too large.  Of the engine only the sizes are read. */
size_t suppress_plan(const struct suppress_problem *p);
/* INVALID_ARGUMENT (an option, a label), FAILED_PRECONDITION (a list), NO_MEMORY. */
enum status suppress_new(const struct suppress_problem *p,
                         struct arena *arena,
                         struct suppress_run **ret_run,
                         struct fault *f) MUST_CHECK;
/* One optimiser step.  FAILED_PRECONDITION (lr): the numbers are no longer finite. */
enum status suppress_step(struct suppress_run *run,
                          struct learner_progress *ret_progress,
                          struct fault *f) MUST_CHECK;
/* After the last step: theta is the chosen state. */
void suppress_finish(struct suppress_run *run, struct learner_outcome *ret_outcome);

/* For tests: loss of a batch (retained images first) with theta as it is, and its gradient. */
double suppress_loss(struct suppress_run *run,
                     const uint32_t *list,
                     uint32_t n_retain,
                     uint32_t n_forget,
                     float *grad);

#endif
