/*
 * Figures of a sequence of tasks: accuracy after every stage, average, last, forgetting and
 * backward transfer (multilane.md, section 2; evaluation.md, section 2).
 * a(i,j) is the share of right answers on task i's test images after stage j, all classes learned
 * by then competing; stage j is the one that learned task j.  Tasks weigh the same whatever their
 * size.  Pure functions; sums in double and in fixed order.
 */
#ifndef LETHE_LEARNERS_CONTINUAL_H
#define LETHE_LEARNERS_CONTINUAL_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/eval/stats.h"

#include <stddef.h>
#include <stdint.h>

/* Matrix a, row-major [T,T]: a[j*T + i] is a(i,j) for i <= j; cells above are never read.  NaN: the
 * task has no test images, and is left out of every mean. */

/* Mean over i <= t of a(i,t); NaN if no task has images. */
double continual_accuracy(const double *a, uint32_t T, uint32_t t);
/* Mean over t < stages of continual_accuracy(t). */
double continual_average(const double *a, uint32_t T, uint32_t stages);
/* Mean over i < t of max over i <= j < t of a(i,j) minus a(i,t): negative if later stages helped.
 * NaN at t = 0. */
double continual_forgetting(const double *a, uint32_t T, uint32_t t);
/* Mean over i < t of a(i,t) - a(i,i); NaN at t = 0. */
double continual_backward(const double *a, uint32_t T, uint32_t t);

struct continual {
    const uint8_t *right;    /* [T,n] 1: image right after the stage; read from its own task on */
    const uint32_t *task;    /* [n] < T */
    const uint32_t *stratum; /* [n] < n_strata, redrawn within; NULL: the tasks.  One task each */
    uint32_t n;
    uint32_t T;
    uint32_t n_strata;
    uint32_t draws;
};

/* Fills a [T,T], cells above the diagonal with 0 (not learned yet), and size [T]: test images of
 * each task. */
void continual_matrix(const struct continual *c, double *size, double *a);

struct continual_figures {
    struct eval_value last;       /* accuracy after the last stage */
    struct eval_value average;    /* of the accuracies after every stage */
    struct eval_value forgetting; /* after the last stage; absent if T = 1 */
    struct eval_value backward;   /* after the last stage; absent if T = 1 */
};

/*
 * The figures with percentile bootstrap intervals over images, stratified, from one set of draws;
 * accuracy [T] (NULL allowed) receives the value after each stage with its interval.
 * Absent values (n = 0) without images.  Errors: NO_MEMORY (nothing is then written).
 */
enum status continual_run(const struct continual *c,
                          struct rng *rng,
                          struct arena *scratch,
                          struct eval_value *accuracy,
                          struct continual_figures *ret_figures) MUST_CHECK;
size_t continual_plan(uint32_t n, uint32_t T, uint32_t n_strata, uint32_t draws);

#endif
