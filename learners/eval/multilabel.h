/*
 * Figures of multi-label answers: average precision of every class, their mean, and F1 over all
 * decisions and over classes (multilane.md, section 2; evaluation.md, section 2).
 * Everything is taken over the seen classes and over the images that show at least one of them;
 * what other columns hold is never read.  All figures lie in [0,1]; tables print them times 100.
 * Pure functions; sums in double and in fixed order.
 */
#ifndef LETHE_LEARNERS_MULTILABEL_H
#define LETHE_LEARNERS_MULTILABEL_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/eval/stats.h"

#include <stddef.h>
#include <stdint.h>

#define MULTILABEL_THRESHOLD 0.8f

struct multilabel {
    const float *scores;   /* [n,K] probabilities; may be infinite, not NaN; borrowed */
    const uint8_t *labels; /* [n,K] multi-hot, 0 or not; borrowed */
    const uint8_t *seen;   /* [K] classes that count, NULL: all; borrowed */
    const uint8_t
        *answered; /* [n,K] classes that were answered, 0 or not; NULL: by the threshold */
    uint32_t n;
    uint32_t K;
    float threshold; /* else a class is answered if its score is larger, not if it is equal */
    uint32_t draws;  /* of the bootstrap */
};

/*
 * Intervals: percentile bootstrap over images, not stratified (an image may belong to several
 * classes); fewer than STATS_MIN_BOOTSTRAP images give none.  n in each value is n_images.
 */
struct multilabel_figures {
    struct eval_value map;            /* mean of AP over seen classes with a positive */
    struct eval_value of1;            /* micro F1 over all decisions; 0 if nothing was right */
    struct eval_value cf1_mean_f1;    /* mean over seen classes of F1, 0 where undefined */
    struct eval_value cf1_literature; /* harmonic mean of CP and CR */
    double op, or_, cp, cr;           /* precision and recall, micro and class means */
    uint32_t n_images;                /* with at least one seen class */
    uint32_t n_classes;               /* seen */
    uint32_t n_positive_classes;      /* seen, with at least one positive: those in the mAP */
};

/*
 * AP = sum over distinct scores, falling, of (R_i - R_{i-1}) P_i, without interpolation; ap [K] is
 * NaN for classes that are not seen or have no positive.  ap may be NULL.  Absent values (n = 0) if
 * no image shows a seen class.  Errors: NO_MEMORY (nothing is then written).
 */
enum status multilabel_run(const struct multilabel *m,
                           struct rng *rng,
                           struct arena *scratch,
                           double *ap,
                           struct multilabel_figures *ret_figures) MUST_CHECK;
size_t multilabel_plan(uint32_t n, uint32_t K, uint32_t draws);

/* p [count] = 1 / (1 + exp(-logit)); in place is allowed. */
void multilabel_sigmoid(const float *logits, size_t count, float *p);

#endif
