#include "learners/eval/evaluate_internal.h"

#include <math.h>

#include "learners/eval/membership.h"
#include "learners/eval/relapse.h"
#include "learners/eval/stats.h"

/* Both arguments of H at 97.5 % give H at 95 %. */
#define H_LEVEL 0.975

/* ------------------------------------------------------------------ accuracies */

/* Share of right answers and nothing else. */
static struct eval_value share_right(struct evaluate_work *w,
                                     const struct eval_set *s,
                                     const float *logits,
                                     const uint8_t *live)
{
    if (s->n == 0 || !logits)
        return eval_report_absent();
    const uint32_t k = accuracy_right(logits, s->labels, s->n, w->K, live, w->right);
    return stats_wilson(k, s->n, STATS_LEVEL);
}

/* Tallies both versions' answers on a set. */
static void tally_set(struct evaluate_work *w,
                      const struct eval_set *s,
                      const uint8_t *live,
                      struct accuracy_tally *tally)
{
    if (s->n == 0)
        return;
    accuracy_right(s->logits, s->labels, s->n, w->K, live, w->right);
    if (s->logits_before)
        accuracy_right(s->logits_before, s->labels, s->n, w->K, live, w->right_before);
    accuracy_count(s->labels, w->right, s->logits_before ? w->right_before : NULL, s->n, tally);
}

/* Raw answers of the classes that this set speaks for: live ones, or those that are erased. */
static void tally_raw(struct evaluate_work *w, const struct eval_set *s, int alive)
{
    const float *logits = s->logits_raw ? s->logits_raw : s->logits;
    if (s->n == 0)
        return;
    accuracy_right(logits, s->labels, s->n, w->K, alive ? w->live : NULL, w->right);
    for (uint32_t i = 0; i < s->n; i++)
        if (w->live[s->labels[i]] == alive)
            accuracy_count(&s->labels[i], &w->right[i], NULL, 1, w->raw);
}

/* The decision `raw` beside the served one, for every class. */
static void measure_raw(struct evaluate_work *w)
{
    const struct eval_inputs *in = w->in;
    tally_raw(w, &in->retain, 1);
    const struct accuracy_tally total = accuracy_total(w->raw, w->K, NULL);
    w->r->acc_retain_raw = accuracy_micro(&total);
    tally_raw(w, &in->learned, 1);
    tally_raw(w, &in->forget, 0);
    for (uint32_t q = 0; q < in->n_erasures; q++) {
        const struct eval_erasure *e = &in->erasures[q];
        const struct eval_set probe = {
            .n = e->n, .labels = e->labels, .logits = e->logits, .logits_raw = e->logits_raw};
        tally_raw(w, &probe, 0);
    }
    w->r->acc_new_task_raw =
        share_right(w, &in->learned,
                    in->learned.logits_raw ? in->learned.logits_raw : in->learned.logits, w->live);
}

static void measure_retain(struct evaluate_work *w)
{
    struct eval_report *r = w->r;
    tally_set(w, &w->in->retain, w->live, w->retain);
    const struct accuracy_tally total = accuracy_total(w->retain, w->K, NULL);
    r->acc_retain = accuracy_micro(&total);
    r->acc_retain_before = accuracy_micro_before(&total);
    r->retain_loss = stats_paired_loss(total.paired, STATS_LEVEL);
    r->acc_retain_macro = accuracy_macro(w->retain, w->K, STATS_LEVEL);
    r->retain_loss_macro = accuracy_loss_macro(w->retain, w->K, STATS_LEVEL);
    r->acc_retain_worst =
        accuracy_worst(w->retain, w->K, EVAL_MIN_CLASS_IMAGES, STATS_LEVEL, &r->worst_class);
    r->retain_loss_worst = accuracy_loss_worst(w->retain, w->K, EVAL_MIN_CLASS_IMAGES, STATS_LEVEL,
                                               &r->worst_loss_class);
    /* what was just learned has its rows too, but had no answer before that could be lost */
    struct eval_set learned = w->in->learned;
    learned.logits_before = NULL;
    tally_set(w, &learned, w->live, w->retain);
    for (uint32_t c = 0; c < w->K; c++)
        r->n_class_too_small += w->live[c] && w->retain[c].n < EVAL_MIN_CLASS_IMAGES;
    r->acc_retain_all = share_right(w, &w->in->retain, w->in->retain.logits, NULL);
    r->acc_test = share_right(w, &w->in->test, w->in->test.logits, w->live);
    r->acc_test_before = share_right(w, &w->in->test, w->in->test.logits_before, w->live);
    r->acc_new_task = share_right(w, &w->in->learned, w->in->learned.logits, w->live);
}

/* The answers on D_f along the path that knows most; acc_forget's interval is widened for having
 * chosen a maximum (Bonferroni over paths). */
static const float *strongest_path(struct evaluate_work *w)
{
    const struct eval_set *s = &w->in->forget;
    const float *best = s->logits;
    uint32_t most = accuracy_right(best, s->labels, s->n, w->K, NULL, w->right);
    for (uint32_t p = 0; p < w->in->n_paths; p++) {
        const float *logits = w->in->paths[p].logits;
        const uint32_t k = accuracy_right(logits, s->labels, s->n, w->K, NULL, w->right);
        if (k > most) {
            most = k;
            best = logits;
        }
    }
    const double level = 1.0 - (1.0 - STATS_LEVEL) / w->r->n_path;
    w->r->acc_forget = stats_wilson(most, s->n, level);
    return best;
}

/* Paired loss on D_f from other answers to those of `logits`. */
static struct stats_paired
pair_forget(struct evaluate_work *w, const float *before, const float *logits)
{
    const struct eval_set *s = &w->in->forget;
    struct stats_paired p = {.n = s->n};
    accuracy_right(before, s->labels, s->n, w->K, NULL, w->right_before);
    accuracy_right(logits, s->labels, s->n, w->K, NULL, w->right);
    for (uint32_t i = 0; i < s->n; i++) {
        p.lost += w->right_before[i] && !w->right[i];
        p.gained += !w->right_before[i] && w->right[i];
    }
    return p;
}

static void measure_drop(struct evaluate_work *w, const float *logits)
{
    struct eval_report *r = w->r;
    const struct eval_set *s = &w->in->forget;
    if (w->in->forget_base)
        r->drop_base = stats_paired_loss(pair_forget(w, w->in->forget_base, logits), STATS_LEVEL);
    if (!s->logits_before)
        return;
    const struct stats_paired p = pair_forget(w, s->logits_before, logits);
    r->drop = stats_paired_loss(p, STATS_LEVEL);
    const struct accuracy_tally total = accuracy_total(w->retain, w->K, NULL);
    r->h_mean =
        accuracy_h_mean(stats_wilson(total.right, total.n, H_LEVEL), stats_paired_loss(p, H_LEVEL));
}

static void measure_forget(struct evaluate_work *w)
{
    struct eval_report *r = w->r;
    const struct eval_set *s = &w->in->forget;
    if (s->n == 0)
        return;
    const float *logits = strongest_path(w);
    struct eval_set strongest = *s;
    strongest.logits = logits;
    tally_set(w, &strongest, NULL, w->forget);
    r->acc_forget_macro = accuracy_macro(w->forget, w->K, STATS_LEVEL);
    r->acc_forget_before = share_right(w, s, s->logits_before, NULL);
    r->acc_unseen = share_right(w, &w->in->unseen, w->in->unseen.logits, NULL);
    r->ablation = share_right(w, s, w->in->forget_ablated, NULL);
    measure_drop(w, logits);
}

/* (1-|acc_forget-1/C|)(1-|change on D_r|)(1-|change on D_t|): a summary of ours, never gated. */
static void measure_tow(struct evaluate_work *w)
{
    struct eval_report *r = w->r;
    if (!r->acc_forget.n || !r->acc_retain_before.n || !r->acc_test_before.n)
        return;
    r->tow_target.value = (1.0 - fabs(r->acc_forget.value - 1.0 / r->n_live)) *
                          (1.0 - fabs(r->acc_retain_before.value - r->acc_retain.value)) *
                          (1.0 - fabs(r->acc_test_before.value - r->acc_test.value));
    r->tow_target.lo = -HUGE_VAL; /* no interval is defined for it */
    r->tow_target.hi = HUGE_VAL;
    r->tow_target.n = r->acc_forget.n + r->acc_retain.n + r->acc_test.n;
}

static void measure_neighbours(struct evaluate_work *w)
{
    const struct eval_inputs *in = w->in;
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++)
        w->r->neighbour[i] = w->K;
    if (!in->prototypes || in->forget.n == 0)
        return;
    const struct accuracy_prototypes p = {in->prototypes, in->prototype_known, w->K, in->width};
    accuracy_neighbours(&p, w->live, w->target, w->r->neighbour, EVAL_NEIGHBOURS);
    struct stats_paired sum = {0};
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++) {
        if (w->r->neighbour[i] == w->K)
            continue;
        const struct stats_paired c = w->retain[w->r->neighbour[i]].paired;
        sum.n += c.n;
        sum.lost += c.lost;
        sum.gained += c.gained;
    }
    w->r->near_neighbour = stats_paired_loss(sum, STATS_LEVEL);
}

static enum status measure_ece(struct evaluate_work *w)
{
    const struct eval_set *s = &w->in->retain;
    struct accuracy_calibration c = {.logits = s->logits,
                                     .labels = s->labels,
                                     .right = w->right,
                                     .n = s->n,
                                     .K = w->K,
                                     .live = w->live,
                                     .draws = w->draws};
    if (s->n == 0)
        return STATUS_OK;
    struct rng rng;
    accuracy_right(s->logits, s->labels, s->n, w->K, w->live, w->right);
    rng_init(&rng, &w->in->root, "eval_bootstrap", 0);
    TRY(accuracy_ece(&c, &rng, w->scratch, &w->r->ece));
    if (!s->logits_before)
        return STATUS_OK;
    c.logits = s->logits_before;
    accuracy_right(s->logits_before, s->labels, s->n, w->K, w->live, w->right);
    rng_init(&rng, &w->in->root, "eval_bootstrap", 1);
    return accuracy_ece(&c, &rng, w->scratch, &w->r->ece_before);
}

static enum status measure_drift(struct evaluate_work *w)
{
    const struct eval_set *s = &w->in->retain;
    if (!s->logits_before)
        return STATUS_OK;
    struct accuracy_drift drift;
    TRY(accuracy_drift_run(s->logits_before, s->logits, s->n, w->K, w->scratch, &drift));
    w->r->js_drift = drift.mean;
    w->r->js_drift_p95 = drift.p95;
    w->r->js_drift_max = drift.max;
    return STATUS_OK;
}

static void measure_relapse(struct evaluate_work *w)
{
    for (uint32_t q = 0; q < w->in->n_erasures; q++)
        relapse_judge(&w->in->erasures[q], w->K, w->right, w->right_before, w->erasure,
                      &w->r->relapse[q]);
    const struct accuracy_tally total = accuracy_total(w->erasure, w->K, NULL);
    w->r->acc_old_forgotten = accuracy_micro(&total);
}

/* ------------------------------------------------------------------ membership */

static struct membership_set as_members(const struct eval_set *s, const float *logits)
{
    return (struct membership_set){logits, s->labels, logits ? s->n : 0};
}

static enum status measure_erased_members(struct evaluate_work *w)
{
    struct eval_report *r = w->r;
    const struct eval_set *f = &w->in->forget, *u = &w->in->unseen;
    const struct membership_set members = as_members(f, f->logits);
    const struct membership_set others = as_members(u, u->logits);
    struct membership_result m;
    struct rng rng;
    rng_init(&rng, &w->in->root, "eval_bootstrap", 2);
    TRY(membership_run(&members, &others, w->K, w->draws, &rng, w->scratch, &m));
    r->mia_auc = m.auc;
    r->mia_entropy_auc = m.entropy_auc;
    r->mia_distance = m.distance;
    r->tpr_at_fpr_01 = m.tpr_01;
    r->tpr_at_fpr_001 = m.tpr_001;
    r->exposed_decile = m.exposed_decile;
    r->ks = m.ks;
    r->ks_p = m.ks_p;
    r->streisand_unseen_auc = m.unseen_auc;
    const struct membership_set members_then = as_members(f, f->logits_before);
    const struct membership_set others_then = as_members(u, u->logits_before);
    return membership_loss_auc(&members_then, &others_then, w->K, w->scratch, &r->mia_auc_before);
}

static enum status measure_streisand(struct evaluate_work *w)
{
    const struct eval_set *s = &w->in->forget;
    if (s->n == 0)
        return STATUS_OK;
    struct accuracy_true_class t;
    TRY(accuracy_true_class_run(s->logits, s->labels, s->n, w->K, w->in->hinge_bound, w->scratch,
                                &t));
    w->r->pile_up = t.pile_up;
    w->r->mean_true_p = t.mean_p;
    w->r->mean_true_rank = t.mean_rank;
    const struct membership_set members = as_members(s, s->logits);
    const struct membership_set reference = as_members(&w->in->reference, w->in->reference.logits);
    return membership_reference_auc(&members, &reference, w->K, w->target, w->scratch,
                                    &w->r->streisand_reference_auc);
}

/* Unlearning can expose the people who stay: trained items of live classes against unused ones. */
static enum status measure_retained_members(struct evaluate_work *w)
{
    const struct eval_inputs *in = w->in;
    struct eval_report *r = w->r;
    const struct eval_set *a = in->members.n ? &in->members : &in->retain;
    const struct eval_set *b = in->test.n ? &in->test : &in->retain;
    if (a == b || a->n == 0 || b->n == 0)
        return STATUS_OK;
    const struct membership_set members = as_members(a, a->logits);
    const struct membership_set others = as_members(b, b->logits);
    TRY(membership_loss_auc(&members, &others, w->K, w->scratch, &r->mia_retain_auc));
    if (!a->logits_before || !b->logits_before)
        return STATUS_OK;
    const struct membership_set members_then = as_members(a, a->logits_before);
    const struct membership_set others_then = as_members(b, b->logits_before);
    TRY(membership_loss_auc(&members_then, &others_then, w->K, w->scratch,
                            &r->mia_retain_auc_before));
    return membership_rise(&members, a->logits_before, &others, b->logits_before, w->K, w->scratch,
                           &r->mia_retain_rise);
}

/* ------------------------------------------------------------------ all of it */

enum status evaluate_answers(struct evaluate_work *w)
{
    measure_retain(w);
    measure_raw(w);
    measure_forget(w);
    measure_tow(w);
    measure_neighbours(w);
    measure_relapse(w);
    TRY(measure_drift(w));
    TRY(measure_ece(w));
    TRY(measure_erased_members(w));
    TRY(measure_streisand(w));
    return measure_retained_members(w);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t evaluate_answers_plan(const struct eval_inputs *in)
{
    const uint32_t K = in->n_outputs;
    const uint32_t draws = in->bootstrap_draws ? in->bootstrap_draws : EVALUATE_DRAWS;
    const uint32_t members = in->members.n ? in->members.n : in->retain.n;
    const uint32_t others = in->test.n ? in->test.n : in->retain.n;
    size_t most = accuracy_ece_plan(in->retain.n, K, draws);
    most = larger(most, accuracy_drift_plan(in->retain.n, K));
    most = larger(most, accuracy_true_class_plan(in->forget.n));
    most = larger(most, membership_plan(in->forget.n, in->unseen.n, K, draws));
    most = larger(most, membership_plan(in->forget.n, in->reference.n, K, draws));
    return larger(most, membership_plan(members, others, K, draws));
}
