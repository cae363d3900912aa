#include "learners/eval/accuracy.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/eval_report.h"

#define LN_2     0.69314718055994530942
#define LOSS_MAX 1e30

uint32_t accuracy_argmax(const float *logits, uint32_t K, const uint8_t *live)
{
    uint32_t best = K;
    for (uint32_t j = 0; j < K; j++) {
        if (live && !live[j])
            continue;
        if (best == K || logits[j] > logits[best])
            best = j;
    }
    return best;
}

uint32_t accuracy_right(const float *logits,
                        const uint32_t *labels,
                        uint32_t n,
                        uint32_t K,
                        const uint8_t *live,
                        uint8_t *right)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        right[i] = accuracy_argmax(logits + (size_t)i * K, K, live) == labels[i];
        k += right[i];
    }
    return k;
}

void accuracy_count(const uint32_t *labels,
                    const uint8_t *right,
                    const uint8_t *right_before,
                    uint32_t n,
                    struct accuracy_tally *tally)
{
    for (uint32_t i = 0; i < n; i++) {
        struct accuracy_tally *t = &tally[labels[i]];
        t->n++;
        t->right += right[i];
        if (!right_before)
            continue;
        t->right_before += right_before[i];
        t->paired.n++;
        t->paired.lost += right_before[i] && !right[i];
        t->paired.gained += !right_before[i] && right[i];
    }
}

struct accuracy_tally
accuracy_total(const struct accuracy_tally *tally, uint32_t K, const uint8_t *keep)
{
    struct accuracy_tally t = {0};
    for (uint32_t c = 0; c < K; c++) {
        if (keep && !keep[c])
            continue;
        t.n += tally[c].n;
        t.right += tally[c].right;
        t.right_before += tally[c].right_before;
        t.paired.n += tally[c].paired.n;
        t.paired.lost += tally[c].paired.lost;
        t.paired.gained += tally[c].paired.gained;
    }
    return t;
}

struct eval_value accuracy_micro(const struct accuracy_tally *t)
{
    return stats_wilson(t->right, t->n, STATS_LEVEL);
}

struct eval_value accuracy_micro_before(const struct accuracy_tally *t)
{
    return stats_wilson(t->right_before, t->paired.n, STATS_LEVEL);
}

struct eval_value accuracy_macro(const struct accuracy_tally *tally, uint32_t K, double level)
{
    double sum = 0.0, variance = 0.0;
    uint32_t classes = 0;
    for (uint32_t c = 0; c < K; c++) {
        if (tally[c].n == 0)
            continue;
        const double p = (double)tally[c].right / tally[c].n;
        sum += p;
        variance += p * (1.0 - p) / tally[c].n;
        classes++;
    }
    const struct accuracy_tally total = accuracy_total(tally, K, NULL);
    if (classes == 0)
        return eval_report_absent();
    const double mean = sum / classes;
    if (variance <= 0.0) {
        const struct eval_value pooled = stats_wilson(total.right, total.n, level);
        return (struct eval_value){.value = mean,
                                   .lo = fmax(mean - (pooled.value - pooled.lo), 0.0),
                                   .hi = fmin(mean + (pooled.hi - pooled.value), 1.0),
                                   .n = total.n};
    }
    const double half = stats_z(level) * sqrt(variance) / classes;
    return (struct eval_value){
        .value = mean, .lo = fmax(mean - half, 0.0), .hi = fmin(mean + half, 1.0), .n = total.n};
}

struct eval_value accuracy_loss_macro(const struct accuracy_tally *tally, uint32_t K, double level)
{
    double sum = 0.0, centre = 0.0, variance = 0.0;
    uint32_t classes = 0, n = 0;
    for (uint32_t c = 0; c < K; c++) {
        const struct stats_paired p = tally[c].paired;
        if (p.n == 0)
            continue;
        double class_centre, class_variance;
        stats_paired_moments(p, &class_centre, &class_variance);
        sum += ((double)p.lost - (double)p.gained) / p.n;
        centre += class_centre;
        variance += class_variance;
        classes++;
        n += p.n;
    }
    if (classes == 0)
        return eval_report_absent();
    const double half = stats_z(level) * sqrt(variance) / classes;
    return (struct eval_value){.value = sum / classes,
                               .lo = fmax(centre / classes - half, -1.0),
                               .hi = fmin(centre / classes + half, 1.0),
                               .n = n};
}

static uint32_t
count_large(const struct accuracy_tally *tally, uint32_t K, uint32_t n_min, int paired)
{
    uint32_t classes = 0;
    for (uint32_t c = 0; c < K; c++) {
        const uint32_t n = paired ? tally[c].paired.n : tally[c].n;
        classes += n > 0 && n >= n_min;
    }
    return classes;
}

struct eval_value accuracy_worst(const struct accuracy_tally *tally,
                                 uint32_t K,
                                 uint32_t n_min,
                                 double level,
                                 uint32_t *ret_class)
{
    struct eval_value worst = eval_report_absent();
    const uint32_t classes = count_large(tally, K, n_min, 0);
    *ret_class = K;
    for (uint32_t c = 0; c < K; c++) {
        if (tally[c].n == 0 || tally[c].n < n_min)
            continue;
        const struct eval_value v =
            stats_wilson(tally[c].right, tally[c].n, 1.0 - (1.0 - level) / classes);
        if (*ret_class == K || v.value < worst.value) {
            worst.value = v.value;
            worst.n = v.n;
            *ret_class = c;
        }
        worst.lo = fmin(worst.lo, v.lo); /* fmin and fmax pass over the NaN of the start */
        worst.hi = fmin(worst.hi, v.hi);
    }
    return worst;
}

struct eval_value accuracy_loss_worst(const struct accuracy_tally *tally,
                                      uint32_t K,
                                      uint32_t n_min,
                                      double level,
                                      uint32_t *ret_class)
{
    struct eval_value worst = eval_report_absent();
    const uint32_t classes = count_large(tally, K, n_min, 1);
    *ret_class = K;
    for (uint32_t c = 0; c < K; c++) {
        if (tally[c].paired.n == 0 || tally[c].paired.n < n_min)
            continue;
        const struct eval_value v =
            stats_paired_loss(tally[c].paired, 1.0 - (1.0 - level) / classes);
        if (*ret_class == K || v.value > worst.value) {
            worst.value = v.value;
            worst.n = v.n;
            *ret_class = c;
        }
        worst.lo = fmax(worst.lo, v.lo);
        worst.hi = fmax(worst.hi, v.hi);
    }
    return worst;
}

static double harmonic(double acc, double drop)
{
    if (drop <= 0.0 || acc <= 0.0)
        return 0.0;
    return 2.0 * acc * drop / (acc + drop);
}

struct eval_value accuracy_h_mean(struct eval_value acc_retain, struct eval_value drop)
{
    if (acc_retain.n == 0 || drop.n == 0)
        return eval_report_absent();
    return (struct eval_value){.value = harmonic(acc_retain.value, drop.value),
                               .lo = harmonic(acc_retain.lo, drop.lo),
                               .hi = harmonic(acc_retain.hi, drop.hi),
                               .n = acc_retain.n + drop.n};
}

double accuracy_softmax(const float *logits, uint32_t K, const uint8_t *live, double *p)
{
    const uint32_t best = accuracy_argmax(logits, K, live);
    INVARIANT(best < K);
    const double top = (double)logits[best];
    double sum = 0.0;
    for (uint32_t j = 0; j < K; j++) {
        p[j] = live && !live[j] ? 0.0 : exp((double)logits[j] - top);
        sum += p[j];
    }
    for (uint32_t j = 0; j < K; j++)
        p[j] /= sum;
    return top + log(sum);
}

double accuracy_loss(const float *logits, uint32_t K, uint32_t label)
{
    const double top = (double)logits[accuracy_argmax(logits, K, NULL)];
    double sum = 0.0;
    for (uint32_t j = 0; j < K; j++)
        sum += exp((double)logits[j] - top);
    /* top - logit first: both may be large, log(sum) never is. */
    return fmin(top - (double)logits[label] + log(sum), LOSS_MAX);
}

struct ece_context {
    const double *confidence;
    const uint8_t *bin;
    const uint8_t *right;
};

static double ece_statistic(const void *context, const uint32_t *times, uint32_t n)
{
    const struct ece_context *c = context;
    double confidence[ACCURACY_ECE_BINS] = {0}, total = 0.0, ece = 0.0;
    uint64_t right[ACCURACY_ECE_BINS] = {0};
    for (uint32_t i = 0; i < n; i++) {
        confidence[c->bin[i]] += times[i] * c->confidence[i];
        right[c->bin[i]] += (uint64_t)times[i] * c->right[i];
        total += times[i];
    }
    for (uint32_t b = 0; b < ACCURACY_ECE_BINS; b++)
        ece += fabs((double)right[b] - confidence[b]);
    return ece / total;
}

size_t accuracy_ece_plan(uint32_t n, uint32_t K, uint32_t draws)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, K, sizeof(double));
    arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, n, sizeof(uint8_t));
    arena_plan_add(&p, 1, stats_bootstrap_plan(n, K, draws));
    return arena_plan_bytes(&p);
}

/* Bins (0, 1/15], (1/15, 2/15], ...: the top probability is never 0. */
static uint8_t ece_bin(double confidence)
{
    const double b = ceil(confidence * ACCURACY_ECE_BINS) - 1.0;
    return (uint8_t)fmin(fmax(b, 0.0), ACCURACY_ECE_BINS - 1.0);
}

enum status accuracy_ece(const struct accuracy_calibration *c,
                         struct rng *rng,
                         struct arena *scratch,
                         struct eval_value *ret_ece)
{
    const struct arena_mark mark = arena_mark(scratch);
    double *p = arena_alloc(scratch, c->K, sizeof *p);
    double *confidence = arena_alloc(scratch, c->n, sizeof *confidence);
    uint8_t *bin = arena_alloc(scratch, c->n, sizeof *bin);
    enum status status = p && confidence && bin ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < c->n; i++) {
            const float *row = c->logits + (size_t)i * c->K;
            accuracy_softmax(row, c->K, c->live, p);
            confidence[i] = p[accuracy_argmax(row, c->K, c->live)];
            bin[i] = ece_bin(confidence[i]);
        }
        const struct ece_context context = {confidence, bin, c->right};
        const struct stats_bootstrap b = {.stratum = c->labels,
                                          .n = c->n,
                                          .n_strata = c->K,
                                          .draws = c->draws,
                                          .level = STATS_LEVEL};
        status = stats_bootstrap_run(&b, ece_statistic, &context, rng, scratch, ret_ece);
    }
    arena_rewind(scratch, mark);
    return status;
}

/* p ln(p/m), 0 where p is 0. */
static double kl_term(double p, double m)
{
    return p > 0.0 ? p * log(p / m) : 0.0;
}

double accuracy_js(const double *p, const double *q, uint32_t K)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < K; j++) {
        const double m = 0.5 * (p[j] + q[j]);
        sum += 0.5 * (kl_term(p[j], m) + kl_term(q[j], m));
    }
    return fmin(fmax(sum, 0.0), LN_2);
}

size_t accuracy_drift_plan(uint32_t n, uint32_t K)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, K, sizeof(double));
    arena_plan_add(&p, K, sizeof(double));
    arena_plan_add(&p, K, sizeof(uint8_t));
    return arena_plan_bytes(&p);
}

/* One row's divergence; ln 2 if the candidate has none of the parent's outputs. */
static double
drift_row(const float *before, const float *after, uint32_t K, uint8_t *has, double *p, double *q)
{
    int common = 0;
    for (uint32_t j = 0; j < K; j++) {
        has[j] = before[j] > -INFINITY;
        common |= has[j] && after[j] > -INFINITY;
    }
    if (!common)
        return LN_2;
    accuracy_softmax(before, K, has, p);
    accuracy_softmax(after, K, has, q);
    return accuracy_js(p, q, K);
}

/* Mean of values in [lo, hi]; an interval, where there is one, is cut to that range. */
static struct eval_value bounded_mean(const double *x, uint32_t n, double lo, double hi)
{
    struct eval_value v = stats_mean(x, n, STATS_LEVEL);
    v.lo = v.lo > -HUGE_VAL ? fmax(v.lo, lo) : v.lo;
    v.hi = v.hi < HUGE_VAL ? fmin(v.hi, hi) : v.hi;
    return v;
}

/* 95th percentile with the order statistics at n q -+ z sqrt(n q (1-q)). */
static struct eval_value percentile_95(const double *sorted, uint32_t n)
{
    const double q = 0.95, reach = stats_z(STATS_LEVEL) * sqrt(q * (1.0 - q) / n);
    struct eval_value v = {
        .value = stats_quantile(sorted, n, q), .lo = -HUGE_VAL, .hi = HUGE_VAL, .n = n};
    if (n >= STATS_MIN_MEAN) {
        v.lo = stats_quantile(sorted, n, fmax(q - reach, 0.0));
        v.hi = q + reach < 1.0 ? stats_quantile(sorted, n, q + reach) : LN_2;
    }
    return v;
}

enum status accuracy_drift_run(const float *logits_before,
                               const float *logits,
                               uint32_t n,
                               uint32_t K,
                               struct arena *scratch,
                               struct accuracy_drift *ret_drift)
{
    const struct eval_value absent = eval_report_absent();
    *ret_drift = (struct accuracy_drift){absent, absent, absent};
    if (n == 0)
        return STATUS_OK;
    const struct arena_mark mark = arena_mark(scratch);
    double *js = arena_alloc(scratch, n, sizeof *js);
    double *tmp = arena_alloc(scratch, n, sizeof *tmp);
    double *p = arena_alloc(scratch, K, sizeof *p);
    double *q = arena_alloc(scratch, K, sizeof *q);
    uint8_t *has = arena_alloc(scratch, K, sizeof *has);
    if (!js || !tmp || !p || !q || !has) {
        arena_rewind(scratch, mark);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < n; i++) {
        const size_t at = (size_t)i * K;
        js[i] = drift_row(logits_before + at, logits + at, K, has, p, q);
    }
    ret_drift->mean = bounded_mean(js, n, 0.0, LN_2);
    stats_sort(js, n, tmp);
    ret_drift->p95 = percentile_95(js, n);
    /* A maximum bounds the population's from below only. */
    ret_drift->max = (struct eval_value){.value = js[n - 1], .lo = js[n - 1], .hi = LN_2, .n = n};
    arena_rewind(scratch, mark);
    return STATUS_OK;
}

static double cosine(const float *a, const float *b, uint32_t C)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (uint32_t j = 0; j < C; j++) {
        ab += (double)a[j] * (double)b[j];
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
    }
    return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : -1.0;
}

static int has_prototype(const struct accuracy_prototypes *p, uint32_t c)
{
    return !p->known || p->known[c];
}

/* Largest cosine of class c with a target class; -2 if none is known. */
static double nearness(const struct accuracy_prototypes *p, uint32_t c, const uint8_t *target)
{
    double best = -2.0;
    for (uint32_t t = 0; t < p->K; t++) {
        if (target[t] && has_prototype(p, t))
            best = fmax(best, cosine(p->prototypes + (size_t)c * p->C,
                                     p->prototypes + (size_t)t * p->C, p->C));
    }
    return best;
}

void accuracy_neighbours(const struct accuracy_prototypes *p,
                         const uint8_t *live,
                         const uint8_t *target,
                         uint32_t *near,
                         uint32_t n_near)
{
    INVARIANT(n_near <= EVAL_NEIGHBOURS);
    double value[EVAL_NEIGHBOURS];
    uint32_t found = 0;
    for (uint32_t c = 0; c < p->K; c++) {
        if (!live[c] || !has_prototype(p, c))
            continue;
        const double v = nearness(p, c, target);
        if (v < -1.5)
            break; /* no target has a prototype */
        uint32_t at = found;
        while (at > 0 && value[at - 1] < v)
            at--;
        if (at >= n_near)
            continue;
        found = found < n_near ? found + 1 : n_near;
        for (uint32_t j = found - 1; j > at; j--) {
            value[j] = value[j - 1];
            near[j] = near[j - 1];
        }
        value[at] = v;
        near[at] = c;
    }
    for (uint32_t j = found; j < n_near; j++)
        near[j] = p->K;
}

double accuracy_rank(const float *logits, uint32_t K, uint32_t label)
{
    double rank = 1.0;
    for (uint32_t j = 0; j < K; j++) {
        if (logits[j] > logits[label])
            rank += 1.0;
        else if (j != label && logits[j] == logits[label])
            rank += 0.5;
    }
    return rank;
}

size_t accuracy_true_class_plan(uint32_t n)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, n, sizeof(double));
    return arena_plan_bytes(&p);
}

enum status accuracy_true_class_run(const float *logits,
                                    const uint32_t *labels,
                                    uint32_t n,
                                    uint32_t K,
                                    double bound,
                                    struct arena *scratch,
                                    struct accuracy_true_class *ret_result)
{
    const struct arena_mark mark = arena_mark(scratch);
    double *p = arena_alloc(scratch, n, sizeof *p);
    double *rank = arena_alloc(scratch, n, sizeof *rank);
    if (!p || !rank) {
        arena_rewind(scratch, mark);
        return STATUS_NO_MEMORY;
    }
    uint32_t piled = 0;
    for (uint32_t i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * K;
        const double loss = accuracy_loss(row, K, labels[i]);
        p[i] = exp(-loss);
        rank[i] = accuracy_rank(row, K, labels[i]);
        piled += fabs(loss - bound) <= ACCURACY_PILE_SHARE * bound;
    }
    ret_result->pile_up = stats_wilson(piled, bound > 0.0 ? n : 0, STATS_LEVEL);
    ret_result->mean_p = bounded_mean(p, n, 0.0, 1.0);
    ret_result->mean_rank = bounded_mean(rank, n, 1.0, K);
    arena_rewind(scratch, mark);
    return STATUS_OK;
}
