#include "learners/eval/multilabel.h"

#include <math.h>
#include <string.h>

#include "learners/eval/eval_report.h"

enum { VALUE_MAP, VALUE_OF1, VALUE_CF1_MEAN_F1, VALUE_CF1_LITERATURE, N_VALUES };

/* The images and classes that count, prepared once for all draws. */
struct multilabel_view {
    const struct multilabel *m;
    uint32_t *rows; /* [n] images with a seen class */
    uint32_t n;
    uint32_t *classes; /* [n_classes] seen */
    uint32_t n_classes;
    uint32_t *order;   /* [n_classes, n] positions in rows by rising score */
    uint8_t *end;      /* [n_classes, n] 1: the last of its score, going down */
    uint8_t *positive; /* [n_classes, n] in that order */
    uint8_t *answered; /* [n_classes, n] in that order */
};

void multilabel_sigmoid(const float *logits, size_t count, float *p)
{
    for (size_t i = 0; i < count; i++)
        p[i] = (float)(1.0 / (1.0 + exp(-(double)logits[i])));
}

static int class_counts(const struct multilabel *m, uint32_t c)
{
    return !m->seen || m->seen[c];
}

static int shows_seen_class(const struct multilabel *m, uint32_t i)
{
    for (uint32_t c = 0; c < m->K; c++)
        if (class_counts(m, c) && m->labels[(size_t)i * m->K + c])
            return 1;
    return 0;
}

size_t multilabel_plan(uint32_t n, uint32_t K, uint32_t draws)
{
    struct arena_plan p = {0};
    size_t cells;
    if (!size_mul(n, K, &cells))
        return SIZE_MAX;
    arena_plan_add(&p, n, sizeof(uint32_t));
    arena_plan_add(&p, K, sizeof(uint32_t));
    arena_plan_add(&p, cells, sizeof(uint32_t));
    for (int i = 0; i < 3; i++)
        arena_plan_add(&p, cells, 1);
    arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, n, sizeof(uint32_t));
    const size_t own = arena_plan_bytes(&p);
    const size_t bootstrap = stats_bootstrap_values_plan(n, 1, draws, N_VALUES);
    const size_t strata = (size_t)n * sizeof(uint32_t) + (size_t)4 * ARENA_ALIGN;
    if (bootstrap == SIZE_MAX || own > SIZE_MAX - strata || own + strata > SIZE_MAX - bootstrap)
        return SIZE_MAX;
    return own + strata + bootstrap;
}

static uint8_t is_answered(const struct multilabel *m, uint32_t row, uint32_t class)
{
    const size_t at = (size_t)row * m->K + class;
    return m->answered ? m->answered[at] != 0 : m->scores[at] > m->threshold;
}

/* Sorts the images by one class' score. */
static void sort_class(struct multilabel_view *v, uint32_t k, double *x, uint32_t *tmp)
{
    const struct multilabel *m = v->m;
    const size_t at = (size_t)k * v->n;
    for (uint32_t i = 0; i < v->n; i++)
        x[i] = (double)m->scores[(size_t)v->rows[i] * m->K + v->classes[k]];
    stats_sort_order(x, v->n, v->order + at, tmp);
    for (uint32_t i = 0; i < v->n; i++) {
        const uint32_t row = v->order[at + i];
        v->end[at + i] = i == 0 || x[v->order[at + i - 1]] < x[row];
        v->positive[at + i] = m->labels[(size_t)v->rows[row] * m->K + v->classes[k]] != 0;
        v->answered[at + i] = is_answered(m, v->rows[row], v->classes[k]);
    }
}

static enum status
view_init(const struct multilabel *m, struct arena *scratch, struct multilabel_view *v)
{
    const size_t cells = (size_t)m->n * m->K;
    *v = (struct multilabel_view){
        .m = m,
        .rows = arena_alloc(scratch, m->n, sizeof *v->rows),
        .classes = arena_alloc(scratch, m->K, sizeof *v->classes),
        .order = arena_alloc(scratch, cells, sizeof *v->order),
        .end = arena_alloc(scratch, cells, 1),
        .positive = arena_alloc(scratch, cells, 1),
        .answered = arena_alloc(scratch, cells, 1),
    };
    double *x = arena_alloc(scratch, m->n, sizeof *x);
    uint32_t *tmp = arena_alloc(scratch, m->n, sizeof *tmp);
    if (!v->rows || !v->classes || !v->order || !v->end || !v->positive || !v->answered || !x ||
        !tmp)
        return STATUS_NO_MEMORY;
    for (uint32_t c = 0; c < m->K; c++)
        if (class_counts(m, c))
            v->classes[v->n_classes++] = c;
    for (uint32_t i = 0; i < m->n; i++)
        if (shows_seen_class(m, i))
            v->rows[v->n++] = i;
    for (uint32_t k = 0; k < v->n_classes; k++)
        sort_class(v, k, x, tmp);
    return STATUS_OK;
}

/* Counts of one class under the multiplicities of a draw. */
struct class_counts {
    double positives;
    double answers;
    double right;
    double ap; /* NaN without a positive */
};

static struct class_counts
count_class(const struct multilabel_view *v, uint32_t k, const uint32_t *times)
{
    const size_t at = (size_t)k * v->n;
    struct class_counts c = {0};
    double seen = 0.0, hits = 0.0, hits_before = 0.0, area = 0.0;
    for (uint32_t i = v->n; i-- > 0;) {
        const uint32_t t = times[v->order[at + i]];
        seen += t;
        hits += v->positive[at + i] ? t : 0;
        c.answers += v->answered[at + i] ? t : 0;
        c.right += v->answered[at + i] && v->positive[at + i] ? t : 0;
        if (v->end[at + i] && hits > hits_before) {
            area += (hits - hits_before) * (hits / seen);
            hits_before = hits;
        }
    }
    c.positives = hits;
    c.ap = hits > 0.0 ? area / hits : (double)NAN;
    return c;
}

static double ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : 0.0;
}

static double harmonic(double a, double b)
{
    return ratio(2.0 * a * b, a + b);
}

/* Sums over the seen classes; the figures follow from them. */
struct sums {
    double positives, answers, right; /* micro */
    double precision, recall, f1, ap; /* of the classes */
    uint32_t with_positive;
};

static struct sums add_up(const struct multilabel_view *v, const uint32_t *times, double *ap)
{
    struct sums s = {0};
    for (uint32_t k = 0; k < v->n_classes; k++) {
        const struct class_counts c = count_class(v, k, times);
        const double p = ratio(c.right, c.answers), r = ratio(c.right, c.positives);
        s.positives += c.positives;
        s.answers += c.answers;
        s.right += c.right;
        s.precision += p;
        s.recall += r;
        s.f1 += harmonic(p, r);
        if (ap)
            ap[v->classes[k]] = c.ap;
        if (c.positives > 0.0) {
            s.ap += c.ap;
            s.with_positive++;
        }
    }
    return s;
}

static void figures(const void *context, const uint32_t *times, uint32_t n, double *values)
{
    (void)n;
    const struct multilabel_view *v = context;
    const struct sums s = add_up(v, times, NULL);
    const double K = v->n_classes;
    values[VALUE_MAP] = ratio(s.ap, s.with_positive);
    values[VALUE_OF1] = harmonic(ratio(s.right, s.answers), ratio(s.right, s.positives));
    values[VALUE_CF1_MEAN_F1] = ratio(s.f1, K);
    values[VALUE_CF1_LITERATURE] = harmonic(ratio(s.precision, K), ratio(s.recall, K));
}

/* Values of the sample itself; `ones` [n] is then 1 everywhere. */
static void fill_plain(const struct multilabel_view *v,
                       uint32_t *ones,
                       double *ap,
                       struct multilabel_figures *f)
{
    for (uint32_t i = 0; i < v->n; i++)
        ones[i] = 1;
    for (uint32_t c = 0; ap && c < v->m->K; c++)
        ap[c] = (double)NAN;
    const struct sums s = add_up(v, ones, ap);
    const double K = v->n_classes;
    f->op = ratio(s.right, s.answers);
    f->or_ = ratio(s.right, s.positives);
    f->cp = ratio(s.precision, K);
    f->cr = ratio(s.recall, K);
    f->n_images = v->n;
    f->n_classes = v->n_classes;
    f->n_positive_classes = s.with_positive;
}

static enum status run_view(const struct multilabel_view *v,
                            struct rng *rng,
                            struct arena *scratch,
                            double *ap,
                            struct multilabel_figures *ret_figures)
{
    struct eval_value values[N_VALUES];
    uint32_t *stratum = arena_alloc_zero(scratch, v->n, sizeof *stratum);
    if (!stratum)
        return STATUS_NO_MEMORY;
    const struct stats_bootstrap b = {
        .stratum = stratum, .n = v->n, .n_strata = 1, .draws = v->m->draws, .level = STATS_LEVEL};
    const struct stats_vector vector = {figures, v, N_VALUES};
    TRY(stats_bootstrap_values(&b, &vector, rng, scratch, values));
    struct multilabel_figures f = {.map = values[VALUE_MAP],
                                   .of1 = values[VALUE_OF1],
                                   .cf1_mean_f1 = values[VALUE_CF1_MEAN_F1],
                                   .cf1_literature = values[VALUE_CF1_LITERATURE]};
    fill_plain(v, stratum, ap, &f);
    *ret_figures = f;
    return STATUS_OK;
}

enum status multilabel_run(const struct multilabel *m,
                           struct rng *rng,
                           struct arena *scratch,
                           double *ap,
                           struct multilabel_figures *ret_figures)
{
    struct multilabel_view v;
    const struct arena_mark mark = arena_mark(scratch);
    enum status st = view_init(m, scratch, &v);
    if (st == STATUS_OK)
        st = run_view(&v, rng, scratch, ap, ret_figures);
    arena_rewind(scratch, mark);
    return st;
}
