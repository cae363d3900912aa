/*
 * Answers and what follows from them: arg-max, accuracies with intervals, losses against the
 * parent's stored answers, H-Mean, calibration, drift of the answers, pile-up and ranks of the true
 * class (evaluation.md, sections 2 and 6; gslora.md, section 2).
 * Logits are f32 [n,K], row-major, borrowed.  -INFINITY marks an output that does not exist.
 * Pure functions; sums in double and in fixed order.
 */
#ifndef LETHE_LEARNERS_ACCURACY_H
#define LETHE_LEARNERS_ACCURACY_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/eval/stats.h"

#include <stddef.h>
#include <stdint.h>

#define ACCURACY_ECE_BINS   15
#define ACCURACY_PILE_SHARE 0.05 /* of the hinge bound */

/* Index of the largest of K logits, the lowest on a tie; with `live` [K] only where live[j] != 0.
 * K if no output is admitted. */
uint32_t accuracy_argmax(const float *logits, uint32_t K, const uint8_t *live);
/* right[i] = 1 if the arg-max of row i is labels[i].  Returns their number. */
uint32_t accuracy_right(const float *logits,
                        const uint32_t *labels,
                        uint32_t n,
                        uint32_t K,
                        const uint8_t *live,
                        uint8_t *right);

/* Answers of one class. */
struct accuracy_tally {
    uint32_t n;
    uint32_t right;
    uint32_t right_before; /* only if the parent's answers were given */
    struct stats_paired paired;
};

/* Adds n answers to tally [K].  right_before may be NULL: paired then stays empty. */
void accuracy_count(const uint32_t *labels,
                    const uint8_t *right,
                    const uint8_t *right_before,
                    uint32_t n,
                    struct accuracy_tally *tally);
/* Sum over the classes with keep[c] != 0 (NULL: all). */
struct accuracy_tally
accuracy_total(const struct accuracy_tally *tally, uint32_t K, const uint8_t *keep);

struct eval_value accuracy_micro(const struct accuracy_tally *t);
struct eval_value accuracy_micro_before(const struct accuracy_tally *t);
/*
 * Mean over classes with images, normal interval: variance sum_c p_c(1-p_c)/n_c / C^2.  A class at
 * p = 0 or 1 has variance 0 in that formula; where every class has, the interval is the pooled
 * Wilson interval, moved to the estimate.
 */
struct eval_value accuracy_macro(const struct accuracy_tally *tally, uint32_t K, double level);
/* Mean over classes of the paired loss; the classes' Agresti-Min moments are added up. */
struct eval_value accuracy_loss_macro(const struct accuracy_tally *tally, uint32_t K, double level);
/*
 * Lowest class accuracy and largest class loss among classes with at least `n_min` images.  Each
 * class' interval is taken at level 1 - (1 - level)/C (Bonferroni, because an extreme of C values
 * is chosen); the interval of the extreme is [min lo, min hi] ([max lo, max hi]), which covers it
 * whenever all C intervals cover.  *ret_class = the class at the estimate (lowest index on a tie),
 * K if there is none.
 */
struct eval_value accuracy_worst(const struct accuracy_tally *tally,
                                 uint32_t K,
                                 uint32_t n_min,
                                 double level,
                                 uint32_t *ret_class);
struct eval_value accuracy_loss_worst(const struct accuracy_tally *tally,
                                      uint32_t K,
                                      uint32_t n_min,
                                      double level,
                                      uint32_t *ret_class);

/*
 * 2 Acc_r Drop / (Acc_r + Drop), 0 if Drop <= 0 or the sum is 0.  The arguments' intervals must be
 * at level 0.975 each: H grows in both, so the ends of both give the ends of H at 0.95.
 */
struct eval_value accuracy_h_mean(struct eval_value acc_retain, struct eval_value drop);

/* p [K] = softmax of the logits (over live[] only, others 0); returns ln of the sum of exponents
 * (the log partition, so that CE = result - logit). */
double accuracy_softmax(const float *logits, uint32_t K, const uint8_t *live, double *p);
/* -ln p_y of one row, at most 1e30. */
double accuracy_loss(const float *logits, uint32_t K, uint32_t label);

/*
 * Expected calibration error over 15 equal-width bins of the top probability among live labels,
 * bootstrap stratified by class.  right [n] as from accuracy_right with the same live[].
 */
struct accuracy_calibration {
    const float *logits;
    const uint32_t *labels;
    const uint8_t *right;
    uint32_t n;
    uint32_t K;
    const uint8_t *live;
    uint32_t draws;
};
enum status accuracy_ece(const struct accuracy_calibration *c,
                         struct rng *rng,
                         struct arena *scratch,
                         struct eval_value *ret_ece) MUST_CHECK;
size_t accuracy_ece_plan(uint32_t n, uint32_t K, uint32_t draws);

/* JS(p,q) = KL(p,m)/2 + KL(q,m)/2, m = (p+q)/2, natural logarithm: in [0, ln 2]. */
double accuracy_js(const double *p, const double *q, uint32_t K);

struct accuracy_drift {
    struct eval_value mean; /* t interval, within [0, ln 2] */
    struct eval_value p95;  /* order-statistic interval (binomial, normal form) */
    struct eval_value max;
};
/* JS drift between parent and candidate, over the outputs that the parent has (its logit finite):
 * an output that was added since is no drift of the old ones. */
enum status accuracy_drift_run(const float *logits_before,
                               const float *logits,
                               uint32_t n,
                               uint32_t K,
                               struct arena *scratch,
                               struct accuracy_drift *ret_drift) MUST_CHECK;
size_t accuracy_drift_plan(uint32_t n, uint32_t K);

/*
 * The live classes whose prototypes lie nearest (cosine) to a prototype of a class with
 * target[c] != 0; ties to the lower index.  near [n_near] receives class indices, K where there are
 * fewer.  known may be NULL (all).  Prototypes [K,C].
 */
struct accuracy_prototypes {
    const float *prototypes;
    const uint8_t *known;
    uint32_t K;
    uint32_t C;
};
void accuracy_neighbours(const struct accuracy_prototypes *p,
                         const uint8_t *live,
                         const uint8_t *target,
                         uint32_t *near,
                         uint32_t n_near);

/* 1 + number of outputs with a larger logit + half the number of others with an equal one. */
double accuracy_rank(const float *logits, uint32_t K, uint32_t label);

/* How the true class fares on D_f: pile-up at the hinge, mean probability, mean rank. */
struct accuracy_true_class {
    struct eval_value pile_up; /* absent if bound <= 0 */
    struct eval_value mean_p;
    struct eval_value mean_rank;
};
enum status accuracy_true_class_run(const float *logits,
                                    const uint32_t *labels,
                                    uint32_t n,
                                    uint32_t K,
                                    double bound,
                                    struct arena *scratch,
                                    struct accuracy_true_class *ret_result) MUST_CHECK;
size_t accuracy_true_class_plan(uint32_t n);

#endif
