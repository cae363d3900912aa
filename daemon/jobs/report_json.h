/*
 * The retention report as the `evaluation` JSON object of the interface.  Numbers that were not
 * measured, and ends of intervals that could not be formed, are null; accuracies are in [0,1].
 *
 *   kind, outcome, seed, n_outputs, n_live, n_eval, seconds, zero_group_ratio       (seed is text)
 *   acc_forget, acc_forget_before, acc_unseen, acc_retain, acc_retain_before, acc_old_forgotten,
 *   acc_new_task, h_mean, ece, js_drift, ks, exposed_decile, pile_up, ablation     (estimates)
 *   acc_retain_raw, acc_new_task_raw, map, map_before, map_raw                     (estimates)
 *   per_class[{label, owner, status, n, acc, acc_before, ci, acc_raw, verdict}]
 *     verdict: NOT_RESOLVABLE for a live class with fewer than 30 images; else it is not there
 *
 * Every accuracy is of the decision that serves, `routed`; what ends in _raw is the same figure
 * under the decision `raw`, the largest logit of all owners.  Without lanes and experts both are
 * the base's own answer.  Where an owner gives its images several labels
 *   per_class rows of its live classes have ap, ap_before, ap_raw as well (average precision),
 *   several[{owner, n, classes, map, map_before, map_raw, ci}] has the mean of each such owner,
 *   map is the mean over all their classes, and acc_new_task of such a task is its map;
 *   n and acc of a class count its images once each: right if no class that the image does not
 *   show ranks above it.
 *
 *   worst{label, acc, loss_label, loss}, near_neighbour{loss, labels[]}
 *   mia{auc, auc_before, n_forget, n_unseen, ci, matched, entropy_auc, distance, tpr_at_fpr_01,
 *       tpr_at_fpr_001, retain{auc, auc_before, rise, ci}}
 *   streisand{mean_true_rank, mean_true_p, pile_up, unseen_auc, reference_auc, flagged}
 *   probe{ncm, ridge, reference{ncm, ridge, classes, kind, taught}, gap_ncm, gap_ridge, ncm_min,
 * ncm_max, support, draws, lambda, per_block[{name, ncm, ridge, reference_ncm, reference_ridge}]}
 *   relapse[{request, status, acc, ci, limit, ncm, ncm_then}]       status: checked,
 * not_recheckable checks[{name, value, lo, hi, n, limit, direction, rule, verdict, request}]
 * request: relapse only gate{passed, outcome, all_pass, reasons[]}       reasons: one text for each
 * requirement not met intervals{<metric>: {value, lo, hi, n}}          every metric that was
 * measured, by its name sets[{name, n, digest}]
 *   stream{expert, loss, threshold, switched, experts, switches, batches, held_batches, closed,
 *          offered, trained, reserved, tombstoned, held, quarantined,
 *          events[{batch, expert, from, loss, smoothed, threshold, switched, created, held,
 *                  quarantined}]}      of a stream request: the counts are samples of this request
 *
 * The same report gives the same text.  Any thread.
 */
#ifndef LETHE_JOBS_REPORT_JSON_H
#define LETHE_JOBS_REPORT_JSON_H

#include "daemon/base/status.h"
#include "learners/eval/eval_report.h"
#include "learners/methods/tame/tame_learner.h"

#include <stddef.h>

/* What a stream request adds to the report. */
struct report_stream {
    const struct learner_event *events; /* at least one unless the stream was opened only */
    uint32_t n_events;
    const struct tame_learner_info *after;
};

/* Compact JSON text, NUL-terminated; the caller frees it with free().  NO_MEMORY. */
enum status report_json_text(const struct eval_report *report,
                             char **ret_text,
                             size_t *ret_size,
                             struct fault *f) MUST_CHECK;
/* The same with an object "stream"; NULL: without. */
enum status report_json_with(const struct eval_report *report,
                             const struct report_stream *stream,
                             char **ret_text,
                             size_t *ret_size,
                             struct fault *f) MUST_CHECK;

#endif
