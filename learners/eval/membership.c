#include "learners/eval/membership.h"

#include <math.h>

#include "daemon/base/invariant.h"
#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"

#define TPR_01_MIN_OTHERS  1000
#define TPR_001_MIN_OTHERS 10000
#define DECILE             10

void membership_scores(const struct membership_set *s, uint32_t K, double *score)
{
    for (uint32_t i = 0; i < s->n; i++)
        score[i] = -accuracy_loss(s->logits + (size_t)i * K, K, s->labels[i]);
}

/* weight * ln(x) with 0 * ln(0) = 0, and ln bounded so that sums stay finite. */
static double weighted_log(double weight, double x)
{
    return weight > 0.0 ? weight * fmax(log(x), -1e30) : 0.0;
}

double membership_modified_entropy(const double *p, uint32_t K, uint32_t label)
{
    double sum = weighted_log(1.0 - p[label], p[label]);
    for (uint32_t j = 0; j < K; j++) {
        if (j != label)
            sum += weighted_log(p[j], 1.0 - p[j]);
    }
    return -sum;
}

/* Scores of both sets, in scratch. */
static enum status
samples_alloc(uint32_t n_a, uint32_t n_b, struct arena *scratch, double **ret_a, double **ret_b)
{
    *ret_a = arena_alloc(scratch, n_a, sizeof **ret_a);
    *ret_b = arena_alloc(scratch, n_b, sizeof **ret_b);
    return *ret_a && *ret_b ? STATUS_OK : STATUS_NO_MEMORY;
}

static struct stats_samples
samples_make(const double *a, uint32_t n_a, const double *b, uint32_t n_b)
{
    return (struct stats_samples){.a = a, .n_a = n_a, .b = b, .n_b = n_b};
}

enum status membership_loss_auc(const struct membership_set *members,
                                const struct membership_set *others,
                                uint32_t K,
                                struct arena *scratch,
                                struct eval_value *ret_auc)
{
    const struct arena_mark mark = arena_mark(scratch);
    double *a, *b;
    enum status status = samples_alloc(members->n, others->n, scratch, &a, &b);
    if (status == STATUS_OK) {
        membership_scores(members, K, a);
        membership_scores(others, K, b);
        const struct stats_samples s = samples_make(a, members->n, b, others->n);
        status = stats_auc(&s, STATS_LEVEL, scratch, ret_auc);
    }
    arena_rewind(scratch, mark);
    return status;
}

static void entropy_scores(const struct membership_set *s, uint32_t K, double *p, double *score)
{
    for (uint32_t i = 0; i < s->n; i++) {
        accuracy_softmax(s->logits + (size_t)i * K, K, NULL, p);
        score[i] = -membership_modified_entropy(p, K, s->labels[i]);
    }
}

enum status membership_entropy_auc(const struct membership_set *members,
                                   const struct membership_set *others,
                                   uint32_t K,
                                   struct arena *scratch,
                                   struct eval_value *ret_auc)
{
    const struct arena_mark mark = arena_mark(scratch);
    double *a, *b;
    enum status status = samples_alloc(members->n, others->n, scratch, &a, &b);
    double *p = arena_alloc(scratch, K, sizeof *p);
    if (!p)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        entropy_scores(members, K, p, a);
        entropy_scores(others, K, p, b);
        const struct stats_samples s = samples_make(a, members->n, b, others->n);
        status = stats_auc(&s, STATS_LEVEL, scratch, ret_auc);
    }
    arena_rewind(scratch, mark);
    return status;
}

struct eval_value membership_distance(struct eval_value auc)
{
    if (auc.n == 0)
        return auc;
    const double below = 0.5 - auc.hi, above = auc.lo - 0.5;
    return (struct eval_value){.value = fabs(auc.value - 0.5),
                               .lo = fmax(fmax(below, above), 0.0),
                               .hi = fmax(auc.hi - 0.5, 0.5 - auc.lo),
                               .n = auc.n};
}

enum status membership_rise(const struct membership_set *members,
                            const float *members_before,
                            const struct membership_set *others,
                            const float *others_before,
                            uint32_t K,
                            struct arena *scratch,
                            struct eval_value *ret_rise)
{
    const struct arena_mark mark = arena_mark(scratch);
    struct membership_set members_then = *members, others_then = *others;
    members_then.logits = members_before;
    others_then.logits = others_before;
    double *a, *b, *a_then, *b_then;
    enum status status = samples_alloc(members->n, others->n, scratch, &a, &b);
    if (status == STATUS_OK)
        status = samples_alloc(members->n, others->n, scratch, &a_then, &b_then);
    if (status == STATUS_OK) {
        membership_scores(members, K, a);
        membership_scores(others, K, b);
        membership_scores(&members_then, K, a_then);
        membership_scores(&others_then, K, b_then);
        const struct stats_samples now = samples_make(a, members->n, b, others->n);
        const struct stats_samples then = samples_make(a_then, members->n, b_then, others->n);
        status = stats_auc_rise(&then, &now, STATS_LEVEL, scratch, ret_rise);
    }
    arena_rewind(scratch, mark);
    return status;
}

/* Items in descending order of score within each set; members are 0 .. n_members-1. */
struct decile_context {
    const double *score;   /* [n_members + n_others] */
    const uint32_t *order; /* ascending positions: members first, then n_members + others */
    uint32_t n_members;
};

/* Mean of the highest tenth of a resampled set; `order` ascending. */
static double
top_decile(const double *score, const uint32_t *order, uint32_t n, const uint32_t *times)
{
    const uint32_t want = (n + DECILE - 1) / DECILE;
    uint32_t have = 0;
    double sum = 0.0;
    for (uint32_t i = n; i > 0 && have < want; i--) {
        const uint32_t item = order[i - 1];
        const uint32_t take = times[item] < want - have ? times[item] : want - have;
        sum += take * score[item];
        have += take;
    }
    return sum / want;
}

static double decile_statistic(const void *context, const uint32_t *times, uint32_t n)
{
    const struct decile_context *c = context;
    const uint32_t m = c->n_members;
    return top_decile(c->score, c->order, m, times) -
           top_decile(c->score + m, c->order + m, n - m, times + m);
}

static enum status decile_run(const struct membership_set *members,
                              const struct membership_set *others,
                              const struct stats_samples *s,
                              uint32_t K,
                              uint32_t draws,
                              struct rng *rng,
                              struct arena *scratch,
                              struct eval_value *ret_value)
{
    const uint32_t n = s->n_a + s->n_b;
    double *score = arena_alloc(scratch, n, sizeof *score);
    uint32_t *order = arena_alloc(scratch, n, sizeof *order);
    uint32_t *tmp = arena_alloc(scratch, n, sizeof *tmp);
    uint32_t *stratum = arena_alloc(scratch, n, sizeof *stratum);
    if (!score || !order || !tmp || !stratum)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        const int member = i < s->n_a;
        score[i] = member ? s->a[i] : s->b[i - s->n_a];
        stratum[i] = member ? members->labels[i] : K + others->labels[i - s->n_a];
    }
    stats_sort_order(score, s->n_a, order, tmp);
    stats_sort_order(score + s->n_a, s->n_b, order + s->n_a, tmp);
    const struct decile_context context = {score, order, s->n_a};
    const struct stats_bootstrap b = {
        .stratum = stratum, .n = n, .n_strata = 2 * K, .draws = draws, .level = STATS_LEVEL};
    return stats_bootstrap_run(&b, decile_statistic, &context, rng, scratch, ret_value);
}

static enum status tpr_at(const struct stats_samples *s,
                          double fpr,
                          uint32_t n_min,
                          struct arena *scratch,
                          struct eval_value *ret_tpr)
{
    *ret_tpr = eval_report_absent();
    if (s->n_b < n_min)
        return STATUS_OK;
    const struct arena_mark mark = arena_mark(scratch);
    double *sorted = arena_alloc(scratch, s->n_b, sizeof *sorted);
    double *tmp = arena_alloc(scratch, s->n_b, sizeof *tmp);
    if (sorted && tmp) {
        for (uint32_t j = 0; j < s->n_b; j++)
            sorted[j] = s->b[j];
        stats_sort(sorted, s->n_b, tmp);
        const double threshold = stats_quantile(sorted, s->n_b, 1.0 - fpr);
        uint32_t above = 0;
        for (uint32_t i = 0; i < s->n_a; i++)
            above += s->a[i] > threshold;
        *ret_tpr = stats_wilson(above, s->n_a, STATS_LEVEL);
    }
    arena_rewind(scratch, mark);
    return sorted && tmp ? STATUS_OK : STATUS_NO_MEMORY;
}

static struct eval_value one_minus(struct eval_value v)
{
    return (struct eval_value){
        .value = 1.0 - v.value, .lo = 1.0 - v.hi, .hi = 1.0 - v.lo, .n = v.n};
}

static struct membership_result empty_result(void)
{
    const struct eval_value none = eval_report_absent();
    return (struct membership_result){.auc = none,
                                      .entropy_auc = none,
                                      .distance = none,
                                      .tpr_01 = none,
                                      .tpr_001 = none,
                                      .exposed_decile = none,
                                      .ks = none,
                                      .ks_p = (double)NAN,
                                      .unseen_auc = none};
}

static enum status run_scored(const struct membership_set *members,
                              const struct membership_set *others,
                              uint32_t K,
                              uint32_t draws,
                              struct rng *rng,
                              struct arena *scratch,
                              struct membership_result *r)
{
    double *a, *b;
    TRY(samples_alloc(members->n, others->n, scratch, &a, &b));
    membership_scores(members, K, a);
    membership_scores(others, K, b);
    const struct stats_samples s = samples_make(a, members->n, b, others->n);
    TRY(stats_auc(&s, STATS_LEVEL, scratch, &r->auc));
    r->distance = membership_distance(r->auc);
    r->unseen_auc = one_minus(r->auc);
    TRY(membership_entropy_auc(members, others, K, scratch, &r->entropy_auc));
    TRY(stats_ks(&s, STATS_LEVEL, scratch, &r->ks, &r->ks_p));
    TRY(tpr_at(&s, 0.01, TPR_01_MIN_OTHERS, scratch, &r->tpr_01));
    TRY(tpr_at(&s, 0.001, TPR_001_MIN_OTHERS, scratch, &r->tpr_001));
    return decile_run(members, others, &s, K, draws, rng, scratch, &r->exposed_decile);
}

enum status membership_run(const struct membership_set *members,
                           const struct membership_set *others,
                           uint32_t K,
                           uint32_t draws,
                           struct rng *rng,
                           struct arena *scratch,
                           struct membership_result *ret_result)
{
    INVARIANT(K <= UINT32_MAX / 2);
    struct membership_result r = empty_result();
    if (members->n == 0 || others->n == 0) {
        *ret_result = r;
        return STATUS_OK;
    }
    const struct arena_mark mark = arena_mark(scratch);
    const enum status status = run_scored(members, others, K, draws, rng, scratch, &r);
    arena_rewind(scratch, mark);
    if (status == STATUS_OK)
        *ret_result = r;
    return status;
}

/* -ln of the likeliest target output's probability. */
static double target_loss(const float *logits, uint32_t K, const uint8_t *target)
{
    const uint32_t best = accuracy_argmax(logits, K, target);
    return accuracy_loss(logits, K, best);
}

enum status membership_reference_auc(const struct membership_set *members,
                                     const struct membership_set *reference,
                                     uint32_t K,
                                     const uint8_t *target,
                                     struct arena *scratch,
                                     struct eval_value *ret_auc)
{
    *ret_auc = eval_report_absent();
    if (members->n == 0 || reference->n == 0)
        return STATUS_OK;
    const struct arena_mark mark = arena_mark(scratch);
    double *a, *b;
    enum status status = samples_alloc(members->n, reference->n, scratch, &a, &b);
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < members->n; i++)
            a[i] = target_loss(members->logits + (size_t)i * K, K, target);
        for (uint32_t i = 0; i < reference->n; i++)
            b[i] = target_loss(reference->logits + (size_t)i * K, K, target);
        const struct stats_samples s = samples_make(a, members->n, b, reference->n);
        status = stats_auc(&s, STATS_LEVEL, scratch, ret_auc);
    }
    arena_rewind(scratch, mark);
    return status;
}

size_t membership_plan(uint32_t n_members, uint32_t n_others, uint32_t K, uint32_t draws)
{
    struct arena_plan p = {0};
    const size_t n = (size_t)n_members + n_others;
    const size_t auc = stats_auc_plan(n_members, n_others);
    const size_t bootstrap = stats_bootstrap_plan((uint32_t)n, 2 * K, draws);
    for (int i = 0; i < 4; i++) { /* scores of both versions, or of both kinds */
        arena_plan_add(&p, n_members, sizeof(double));
        arena_plan_add(&p, n_others, sizeof(double));
    }
    arena_plan_add(&p, K, sizeof(double));
    arena_plan_add(&p, n, sizeof(double));
    for (int i = 0; i < 3; i++)
        arena_plan_add(&p, n, sizeof(uint32_t));
    for (int i = 0; i < 2; i++) { /* sorted copies of KS and of the quantiles */
        arena_plan_add(&p, n_members, sizeof(double));
        arena_plan_add(&p, n_others, sizeof(double));
    }
    arena_plan_add(&p, 1, auc > bootstrap ? auc : bootstrap);
    return arena_plan_bytes(&p);
}
