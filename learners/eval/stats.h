/*
 * Statistics of the retention evaluation: intervals for shares, paired differences, means, areas
 * under the curve, and the stratified percentile bootstrap (evaluation.md, section 3).
 * Pure functions; sums in double and in fixed order; scratch from an arena that is rewound.
 * An interval that cannot be formed is [-INFINITY, +INFINITY]: a check on it is NOT_RESOLVABLE.
 */
#ifndef LETHE_LEARNERS_STATS_H
#define LETHE_LEARNERS_STATS_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"

#include <stddef.h>
#include <stdint.h>

#define STATS_LEVEL         0.95
#define STATS_MIN_MEAN      30 /* fewer values: no t interval */
#define STATS_MIN_BOOTSTRAP 20 /* fewer items: no bootstrap interval */

/* x with Phi(x) = p, 0 < p < 1; within 1e-14 relative of the true value for 1e-300 < p < 1 - 1e-15.
 */
double stats_normal_quantile(double p);
/* Two-sided critical value: stats_z(0.95) = 1.959964. */
double stats_z(double level);
/* Student's t quantile by the Cornish-Fisher expansion in 1/df (Abramowitz and Stegun 26.7.5);
 * absolute error below 2e-6 for df >= 29 and 0.005 <= p <= 0.995. */
double stats_t_quantile(double p, double df);

/* k successes of n (k may be fractional: a mean of shares), Wilson's interval; n = 0: absent. */
struct eval_value stats_wilson(double k, uint32_t n, double level);

/* Answers of two models on the same images. */
struct stats_paired {
    uint32_t n;
    uint32_t lost;   /* right before, wrong after */
    uint32_t gained; /* wrong before, right after */
};

/* (lost - gained) / n with Agresti and Min's interval (2005); n = 0: absent. */
struct eval_value stats_paired_loss(struct stats_paired p, double level);
/* Centre and variance of that interval's normal form, to be added up over classes. */
void stats_paired_moments(struct stats_paired p, double *ret_centre, double *ret_variance);

/* Difference a - b of independent values from their intervals (Newcombe 1998, method 10): the
 * distances to the interval ends are combined in quadrature.  Absent if either is absent. */
struct eval_value stats_difference(struct eval_value a, struct eval_value b);

/* Mean with t interval; fewer than STATS_MIN_MEAN values give no interval; n = 0: absent. */
struct eval_value stats_mean(const double *x, uint32_t n, double level);

/* order[0..n-1] = positions of x in ascending order, stable.  tmp [n]. */
void stats_sort_order(const double *x, uint32_t n, uint32_t *order, uint32_t *tmp);
/* Ascending, in place.  tmp [n]. */
void stats_sort(double *x, uint32_t n, double *tmp);
/* Linear interpolation between order statistics of sorted x, 0 <= q <= 1, n > 0. */
double stats_quantile(const double *sorted, uint32_t n, double q);

/* Two samples of scores; a is the one expected to score higher (members). */
struct stats_samples {
    const double *a;
    uint32_t n_a;
    const double *b;
    uint32_t n_b;
};

/*
 * AUC = P(a > b) + P(a = b)/2 with DeLong's interval (DeLong, DeLong and Clarke-Pearson 1988) from
 * mid-ranks in O(n log n).  Where the variance is 0 (AUC 0 or 1, all scores tied) the half-width is
 * 1 - (alpha/2)^(1/min(n_a, n_b)); with one item on a side there is no variance: [0, 1].
 * Absent if a side is empty.  value.n = n_a + n_b.  Scores may be infinite, not NaN.
 */
enum status stats_auc(const struct stats_samples *s,
                      double level,
                      struct arena *scratch,
                      struct eval_value *ret_auc) MUST_CHECK;
/* AUC of `after` minus AUC of `before` on the same items (paired DeLong). */
enum status stats_auc_rise(const struct stats_samples *before,
                           const struct stats_samples *after,
                           double level,
                           struct arena *scratch,
                           struct eval_value *ret_rise) MUST_CHECK;
size_t stats_auc_plan(uint32_t n_a, uint32_t n_b);

/*
 * Kolmogorov-Smirnov distance with D +- (eps_a + eps_b), eps = sqrt(ln(4/alpha) / (2n)) (two
 * Dvoretzky-Kiefer-Wolfowitz bands at alpha/2 each), and the asymptotic p-value.
 */
enum status stats_ks(const struct stats_samples *s,
                     double level,
                     struct arena *scratch,
                     struct eval_value *ret_distance,
                     double *ret_p) MUST_CHECK;

/* A statistic of a weighted sample: times[i] is how often item i was drawn. */
typedef double stats_statistic(const void *context, const uint32_t *times, uint32_t n);

struct stats_bootstrap {
    const uint32_t *stratum; /* [n]; items are redrawn within their stratum */
    uint32_t n;
    uint32_t n_strata; /* stratum < n_strata */
    uint32_t draws;
    double level;
};

/* Percentile interval over `draws` stratified draws; the estimate is the statistic of the sample
 * itself.  Fewer than STATS_MIN_BOOTSTRAP items: no interval.  n = 0: absent. */
enum status stats_bootstrap_run(const struct stats_bootstrap *b,
                                stats_statistic *statistic,
                                const void *context,
                                struct rng *rng,
                                struct arena *scratch,
                                struct eval_value *ret_value) MUST_CHECK;
size_t stats_bootstrap_plan(uint32_t n, uint32_t n_strata, uint32_t draws);

/* Several statistics of the same draws, for figures that share their counting: values [n_values].
 * A statistic that a draw does not define must still be a number. */
typedef void
stats_statistics(const void *context, const uint32_t *times, uint32_t n, double *values);
struct stats_vector {
    stats_statistics *statistics;
    const void *context;
    uint32_t n_values;
};
/* ret_values [n_values], each as stats_bootstrap_run would give it with the same rng. */
enum status stats_bootstrap_values(const struct stats_bootstrap *b,
                                   const struct stats_vector *v,
                                   struct rng *rng,
                                   struct arena *scratch,
                                   struct eval_value *ret_values) MUST_CHECK;
size_t
stats_bootstrap_values_plan(uint32_t n, uint32_t n_strata, uint32_t draws, uint32_t n_values);

#endif
