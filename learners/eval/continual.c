#include "learners/eval/continual.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/eval_report.h"

/* Figures of one draw: forgetting, backward, average, then the accuracy after every stage. */
enum { VALUE_FORGETTING, VALUE_BACKWARD, VALUE_AVERAGE, VALUE_ACCURACY };

/* A mean that passes over what is not there. */
struct mean {
    double sum;
    uint32_t n;
};

static void mean_add(struct mean *m, double x)
{
    if (isnan(x))
        return;
    m->sum += x;
    m->n++;
}

static double mean_value(const struct mean *m)
{
    return m->n ? m->sum / m->n : (double)NAN;
}

double continual_accuracy(const double *a, uint32_t T, uint32_t t)
{
    INVARIANT(t < T);
    struct mean m = {0};
    for (uint32_t i = 0; i <= t; i++)
        mean_add(&m, a[(size_t)t * T + i]);
    return mean_value(&m);
}

double continual_average(const double *a, uint32_t T, uint32_t stages)
{
    INVARIANT(stages <= T);
    struct mean m = {0};
    for (uint32_t t = 0; t < stages; t++)
        mean_add(&m, continual_accuracy(a, T, t));
    return mean_value(&m);
}

double continual_forgetting(const double *a, uint32_t T, uint32_t t)
{
    INVARIANT(t < T);
    struct mean m = {0};
    for (uint32_t i = 0; i < t; i++) {
        double best = a[(size_t)i * T + i];
        for (uint32_t j = i + 1; j < t; j++)
            best = fmax(best, a[(size_t)j * T + i]);
        mean_add(&m, best - a[(size_t)t * T + i]);
    }
    return mean_value(&m);
}

double continual_backward(const double *a, uint32_t T, uint32_t t)
{
    INVARIANT(t < T);
    struct mean m = {0};
    for (uint32_t i = 0; i < t; i++)
        mean_add(&m, a[(size_t)t * T + i] - a[(size_t)i * T + i]);
    return mean_value(&m);
}

/* Counts under multiplicities (NULL: once each) into a; size [T] receives the images of a task. */
static void fill_matrix(const struct continual *c, const uint32_t *times, double *size, double *a)
{
    const uint32_t T = c->T;
    memset(a, 0, (size_t)T * T * sizeof *a);
    memset(size, 0, T * sizeof *size);
    for (uint32_t i = 0; i < c->n; i++)
        size[c->task[i]] += times ? times[i] : 1;
    for (uint32_t j = 0; j < T; j++) {
        const uint8_t *right = c->right + (size_t)j * c->n;
        double *row = a + (size_t)j * T;
        for (uint32_t i = 0; i < c->n; i++)
            if (c->task[i] <= j && right[i])
                row[c->task[i]] += times ? times[i] : 1;
        for (uint32_t i = 0; i <= j; i++)
            row[i] = size[i] > 0.0 ? row[i] / size[i] : (double)NAN;
    }
}

void continual_matrix(const struct continual *c, double *size, double *a)
{
    fill_matrix(c, NULL, size, a);
}

struct continual_view {
    const struct continual *c;
    double *a;    /* [T,T] */
    double *size; /* [T] */
};

static double defined(double x)
{
    return isnan(x) ? 0.0 : x;
}

static void figures(const void *context, const uint32_t *times, uint32_t n, double *values)
{
    (void)n;
    const struct continual_view *v = context;
    const uint32_t T = v->c->T;
    fill_matrix(v->c, times, v->size, v->a);
    values[VALUE_FORGETTING] = defined(continual_forgetting(v->a, T, T - 1));
    values[VALUE_BACKWARD] = defined(continual_backward(v->a, T, T - 1));
    values[VALUE_AVERAGE] = defined(continual_average(v->a, T, T));
    for (uint32_t t = 0; t < T; t++)
        values[VALUE_ACCURACY + t] = defined(continual_accuracy(v->a, T, t));
}

size_t continual_plan(uint32_t n, uint32_t T, uint32_t n_strata, uint32_t draws)
{
    struct arena_plan p = {0};
    size_t cells;
    if (!size_mul(T, T, &cells) || T > UINT32_MAX - VALUE_ACCURACY)
        return SIZE_MAX;
    arena_plan_add(&p, cells, sizeof(double));
    arena_plan_add(&p, T, sizeof(double));
    arena_plan_add(&p, (size_t)T + VALUE_ACCURACY, sizeof(struct eval_value));
    const size_t own = arena_plan_bytes(&p);
    const size_t bootstrap =
        stats_bootstrap_values_plan(n, n_strata > T ? n_strata : T, draws, VALUE_ACCURACY + T);
    return own == SIZE_MAX || bootstrap > SIZE_MAX - own ? SIZE_MAX : own + bootstrap;
}

static enum status run_view(const struct continual_view *v,
                            struct rng *rng,
                            struct arena *scratch,
                            struct eval_value *values)
{
    const struct continual *c = v->c;
    const struct stats_bootstrap b = {.stratum = c->stratum ? c->stratum : c->task,
                                      .n = c->n,
                                      .n_strata = c->stratum ? c->n_strata : c->T,
                                      .draws = c->draws,
                                      .level = STATS_LEVEL};
    const struct stats_vector vector = {figures, v, VALUE_ACCURACY + c->T};
    return stats_bootstrap_values(&b, &vector, rng, scratch, values);
}

/* A figure that the sample does not define is absent, whatever the draws gave. */
static struct eval_value present(struct eval_value value, double plain)
{
    return isnan(plain) ? eval_report_absent() : value;
}

static void fill_result(const struct continual_view *v,
                        const struct eval_value *values,
                        struct eval_value *accuracy,
                        struct continual_figures *f)
{
    const uint32_t T = v->c->T;
    fill_matrix(v->c, NULL, v->size, v->a);
    f->forgetting = present(values[VALUE_FORGETTING], continual_forgetting(v->a, T, T - 1));
    f->backward = present(values[VALUE_BACKWARD], continual_backward(v->a, T, T - 1));
    f->average = values[VALUE_AVERAGE];
    f->last = values[VALUE_ACCURACY + T - 1];
    for (uint32_t t = 0; accuracy && t < T; t++)
        accuracy[t] = present(values[VALUE_ACCURACY + t], continual_accuracy(v->a, T, t));
}

enum status continual_run(const struct continual *c,
                          struct rng *rng,
                          struct arena *scratch,
                          struct eval_value *accuracy,
                          struct continual_figures *ret_figures)
{
    INVARIANT(c->T > 0);
    const struct arena_mark mark = arena_mark(scratch);
    const struct continual_view v = {
        .c = c,
        .a = arena_alloc(scratch, (size_t)c->T * c->T, sizeof *v.a),
        .size = arena_alloc(scratch, c->T, sizeof *v.size),
    };
    struct eval_value *values = arena_alloc(scratch, (size_t)c->T + VALUE_ACCURACY, sizeof *values);
    enum status st = v.a && v.size && values ? STATUS_OK : STATUS_NO_MEMORY;
    if (st == STATUS_OK)
        st = run_view(&v, rng, scratch, values);
    if (st == STATUS_OK)
        fill_result(&v, values, accuracy, ret_figures);
    arena_rewind(scratch, mark);
    return st;
}
