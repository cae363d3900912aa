/*
 * Membership tests: can the items of an erasure be told from items that were never used?  Scores
 * are high for members.  Two-sided: an AUC far below 0.5 tells as much as one far above
 * (evaluation.md, section 6; gslora.md, section 2, Streisand figures).
 * Modified entropy: Song and Mittal, USENIX Security 2021, eq. 6; probabilities from softmax over
 * all K outputs.  Scratch from an arena that is rewound.
 */
#ifndef LETHE_LEARNERS_MEMBERSHIP_H
#define LETHE_LEARNERS_MEMBERSHIP_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/eval/stats.h"

#include <stddef.h>
#include <stdint.h>

/* Answers on one set: logits [n,K], labels [n] below K. */
struct membership_set {
    const float *logits;
    const uint32_t *labels;
    uint32_t n;
};

/* score [n] = -CE = ln p_y; at least -1e30. */
void membership_scores(const struct membership_set *s, uint32_t K, double *score);
/* -(1-p_y) ln p_y - sum_{i != y} p_i ln(1-p_i); low for members.  p: K values. */
double membership_modified_entropy(const double *p, uint32_t K, uint32_t label);

/* AUC of -CE, members against others, DeLong. */
enum status membership_loss_auc(const struct membership_set *members,
                                const struct membership_set *others,
                                uint32_t K,
                                struct arena *scratch,
                                struct eval_value *ret_auc) MUST_CHECK;
/* AUC of minus the modified entropy. */
enum status membership_entropy_auc(const struct membership_set *members,
                                   const struct membership_set *others,
                                   uint32_t K,
                                   struct arena *scratch,
                                   struct eval_value *ret_auc) MUST_CHECK;
/* |AUC - 0.5| with the interval that the AUC's interval implies. */
struct eval_value membership_distance(struct eval_value auc);

/* Rise of the loss AUC from parent to candidate on the same items (paired DeLong).  The labels and
 * sizes of `before` and the candidate's sets agree; *_before are the parent's logits. */
enum status membership_rise(const struct membership_set *members,
                            const float *members_before,
                            const struct membership_set *others,
                            const float *others_before,
                            uint32_t K,
                            struct arena *scratch,
                            struct eval_value *ret_rise) MUST_CHECK;

struct membership_result {
    struct eval_value auc;
    struct eval_value entropy_auc;
    struct eval_value distance;
    struct eval_value tpr_01;  /* share of members above the 99 % quantile of others; absent unless
                                  there are at least 1000 others */
    struct eval_value tpr_001; /* 99.9 %; at least 10000 others */
    struct eval_value exposed_decile;
    struct eval_value ks;
    double ks_p;
    struct eval_value unseen_auc; /* AUC of CE: members with the larger loss, 1 - auc */
};

/*
 * Everything that compares D_f with D_u.  The exposed decile is the mean score of the ceil(n/10)
 * most member-like members minus the same of the others; bootstrap of `draws`, stratified by class
 * and set.
 */
enum status membership_run(const struct membership_set *members,
                           const struct membership_set *others,
                           uint32_t K,
                           uint32_t draws,
                           struct rng *rng,
                           struct arena *scratch,
                           struct membership_result *ret_result) MUST_CHECK;

/*
 * AUC of the score -ln max_{j in target} p_j: images of the erased classes against images of
 * classes that were never taught; neutral 0.5.  target [K]; labels are not read.
 */
enum status membership_reference_auc(const struct membership_set *members,
                                     const struct membership_set *reference,
                                     uint32_t K,
                                     const uint8_t *target,
                                     struct arena *scratch,
                                     struct eval_value *ret_auc) MUST_CHECK;

/* Scratch for any of the functions above. */
size_t membership_plan(uint32_t n_members, uint32_t n_others, uint32_t K, uint32_t draws);

#endif
