#include "bench/multilane/score_figures.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "learners/eval/continual.h"
#include "learners/eval/multilabel.h"

#define PERCENT    100.0
#define THRESHOLDS 19

float score_of_probability(enum score_link link, double p)
{
    switch (link) {
    case SCORE_LOGIT:
        return (float)log(p / (1.0 - p));
    case SCORE_LOG:
        return (float)log(p);
    case SCORE_PLAIN:
        break;
    }
    return (float)p;
}

static uint32_t classes_of(const struct score_view *v)
{
    return protocol_first(v->protocol, v->protocol->n_tasks);
}

/* ------------------------------------------------------------------ one label */

static uint32_t best_of(const float *scores, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t c = 1; c < n; c++)
        best = scores[c] > scores[best] ? c : best;
    return best;
}

static void session_single(const struct score_view *v, double *a, double *ret_all)
{
    const uint32_t classes = classes_of(v), seen = protocol_first(v->protocol, v->tasks);
    uint32_t n[PROTOCOL_TASKS] = {0}, right[PROTOCOL_TASKS] = {0}, with = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        const uint8_t *hot = v->hot + (size_t)i * classes;
        const uint32_t best = best_of(v->scores + (size_t)i * classes, seen);
        for (uint32_t c = 0; c < seen; c++)
            if (hot[c]) {
                n[protocol_task_of(v->protocol, c)]++;
                right[protocol_task_of(v->protocol, c)] += c == best;
            }
    }
    double sum = 0.0;
    for (uint32_t t = 0; t < v->tasks; t++) {
        a[t] = n[t] ? PERCENT * right[t] / n[t] : (double)NAN;
        sum += n[t] ? a[t] : 0.0;
        with += n[t] > 0;
    }
    *ret_all = with ? sum / with : (double)NAN;
}

/* ------------------------------------------------------------------ several labels */

/* Runs the figures over the seen classes; ap [classes] may be NULL. */
static enum status run_multilabel(const struct score_view *v,
                                  float threshold,
                                  double *ap,
                                  struct multilabel_figures *ret_figures,
                                  struct fault *f)
{
    uint8_t seen[PROTOCOL_CLASSES] = {0};
    struct rng rng;
    struct arena arena;
    const uint32_t classes = classes_of(v);
    memset(seen, 1, protocol_first(v->protocol, v->tasks));
    rng_init(&rng, &(struct rng_root){.seed = 1}, "protocol/bootstrap", 0);
    const struct multilabel m = {.scores = v->scores,
                                 .labels = v->hot,
                                 .seen = seen,
                                 .n = v->n,
                                 .K = classes,
                                 .threshold = threshold,
                                 .draws = 1}; /* the spread over seeds is reported, not this one */
    const size_t bytes = multilabel_plan(v->n, classes, 1);
    void *memory = sysio_alloc(bytes, 1);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "figures", "no memory for %u images", v->n);
    arena_init(&arena, memory, bytes);
    const enum status st = multilabel_run(&m, &rng, &arena, ap, ret_figures);
    sysio_free(memory);
    if (st != STATUS_OK)
        FAIL(f, st, "figures", "no memory for %u images", v->n);
    return STATUS_OK;
}

static enum status
session_several(const struct score_view *v, double *a, double *ret_all, struct fault *f)
{
    double ap[PROTOCOL_CLASSES];
    struct multilabel_figures figures;
    TRY(run_multilabel(v, score_of_probability(v->link, 0.5), ap, &figures, f));
    for (uint32_t t = 0; t < v->tasks; t++) {
        double sum = 0.0;
        uint32_t n = 0;
        for (uint32_t c = protocol_first(v->protocol, t); c < protocol_first(v->protocol, t + 1);
             c++)
            if (!isnan(ap[c])) {
                sum += ap[c];
                n++;
            }
        a[t] = n ? PERCENT * sum / n : (double)NAN;
    }
    *ret_all = PERCENT * figures.map.value;
    return STATUS_OK;
}

enum status score_session(const struct score_view *v, double *a, double *ret_all, struct fault *f)
{
    INVARIANT(v->tasks >= 1 && v->tasks <= v->protocol->n_tasks);
    if (v->protocol->several)
        return session_several(v, a, ret_all, f);
    session_single(v, a, ret_all);
    return STATUS_OK;
}

enum status
score_f1(const struct score_view *v, double threshold, struct score_f1 *ret_f1, struct fault *f)
{
    INVARIANT(v->protocol->several);
    struct multilabel_figures x;
    TRY(run_multilabel(v, score_of_probability(v->link, threshold), NULL, &x, f));
    *ret_f1 = (struct score_f1){PERCENT * x.of1.value, PERCENT * x.cf1_mean_f1.value,
                                PERCENT * x.cf1_literature.value};
    return STATUS_OK;
}

enum status score_threshold(const struct score_view *v, double *ret_threshold, struct fault *f)
{
    double best = -1.0;
    for (uint32_t i = 1; i <= THRESHOLDS; i++) {
        const double t = (double)i / (THRESHOLDS + 1);
        struct score_f1 x;
        TRY(score_f1(v, t, &x, f));
        if (x.of1 > best) {
            best = x.of1;
            *ret_threshold = t;
        }
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ summaries */

struct score_summary score_summarise(const double *a, const double *sessions, uint32_t T)
{
    double sum = 0.0;
    for (uint32_t t = 0; t < T; t++)
        sum += sessions[t];
    return (struct score_summary){.last = sessions[T - 1],
                                  .average = sum / T,
                                  .forgetting = continual_forgetting(a, T, T - 1)};
}

struct score_spread score_spread_of(const double *values, uint32_t n)
{
    double sum = 0.0, squares = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += values[i];
    const double mean = n ? sum / n : (double)NAN;
    for (uint32_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return (struct score_spread){mean, n > 1 ? sqrt(squares / (n - 1)) : 0.0, n};
}
