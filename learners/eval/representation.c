#include "learners/eval/representation_internal.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/stats.h"

/* Rows that are added to the Gram matrix together, to walk over it less often. */
#define GRAM_ROWS 4

static double dot(const float *a, const double *b, uint32_t width)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < width; j++)
        sum += (double)a[j] * b[j];
    return sum;
}

static double dot_self(const double *a, uint32_t width)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < width; j++)
        sum += a[j] * a[j];
    return sum;
}

/* 1 / |x|, or 0 for the zero vector, which then stays where it is. */
static double inverse_length(const float *x, uint32_t width)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < width; j++)
        sum += (double)x[j] * (double)x[j];
    return sum > 0.0 ? 1.0 / sqrt(sum) : 0.0;
}

void representation_add(double *y, double a, const float *x, uint32_t width)
{
    for (uint32_t j = 0; j < width; j++)
        y[j] += a * (double)x[j];
}

static void gram_add_block(double *gram, const float *const rows[GRAM_ROWS], uint32_t width)
{
    const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    for (uint32_t i = 0; i < width; i++) {
        double *g = gram + (size_t)i * width;
        const double a = (double)r0[i], b = (double)r1[i], c = (double)r2[i], d = (double)r3[i];
        for (uint32_t j = i; j < width; j++)
            g[j] += a * (double)r0[j] + b * (double)r1[j] + c * (double)r2[j] + d * (double)r3[j];
    }
}

void representation_gram(double *gram, const float *const *rows, uint32_t n, uint32_t width)
{
    uint32_t i = 0;
    for (; i + GRAM_ROWS <= n; i += GRAM_ROWS)
        gram_add_block(gram, rows + i, width);
    for (; i < n; i++) {
        for (uint32_t j = 0; j < width; j++)
            representation_add(gram + (size_t)j * width + j, (double)rows[i][j], rows[i] + j,
                               width - j);
    }
}

size_t representation_prepare_plan(uint32_t n, uint32_t n_labels, uint32_t width)
{
    struct arena_plan p = {0};
    const size_t classes = n_labels < n ? n_labels : n;
    size_t cells = 0, square = 0;
    if (!size_mul(classes, width, &cells) || !size_mul(width, width, &square))
        return SIZE_MAX;
    arena_plan_add(&p, 1, sizeof(struct representation));
    arena_plan_add(&p, n_labels, sizeof(uint32_t));
    arena_plan_add(&p, cells, sizeof(double));
    arena_plan_add(&p, cells, sizeof(double));
    arena_plan_add(&p, classes, sizeof(double));
    arena_plan_add(&p, classes, sizeof(uint32_t));
    arena_plan_add(&p, classes, sizeof(uint32_t));
    arena_plan_add(&p, width, sizeof(double));
    arena_plan_add(&p, square, sizeof(double));
    arena_plan_add(&p, n, sizeof(float *));
    arena_plan_add(&p, n, sizeof(uint32_t));
    return arena_plan_bytes(&p);
}

/* Maps labels that occur to columns 0, 1, ... in ascending order; returns their number. */
static uint32_t map_columns(const struct representation_rows *rows, uint32_t *column)
{
    memset(column, 0, rows->n_labels * sizeof *column);
    for (uint32_t i = 0; i < rows->n; i++) {
        INVARIANT(rows->labels[i] < rows->n_labels);
        column[rows->labels[i]] = 1;
    }
    uint32_t classes = 0;
    for (uint32_t c = 0; c < rows->n_labels; c++)
        column[c] = column[c] ? classes++ : UINT32_MAX;
    return classes;
}

/* Prototypes over all rows; the even rows of each class become fit rows.  `seen` [n_classes]. */
static void
collect_rows(struct representation *r, const struct representation_rows *rows, uint32_t *seen)
{
    const uint32_t width = r->width;
    for (uint32_t i = 0; i < rows->n; i++) {
        const float *x = rows->x + (size_t)i * width;
        const uint32_t c = r->column[rows->labels[i]];
        representation_add(r->prototype + (size_t)c * width, inverse_length(x, width), x, width);
        if (seen[c]++ % 2 != 0)
            continue;
        representation_add(r->class_sum + (size_t)c * width, 1.0, x, width);
        representation_add(r->sum, 1.0, x, width);
        r->count[c]++;
        r->fit[r->n_fit] = x;
        r->fit_column[r->n_fit++] = c;
    }
    for (uint32_t c = 0; c < r->n_classes; c++) {
        double *prototype = r->prototype + (size_t)c * width;
        for (uint32_t j = 0; j < width; j++)
            prototype[j] /= seen[c];
        r->norm2[c] = dot_self(prototype, width);
    }
}

static int allocate(struct representation *r, uint32_t n, struct arena *arena)
{
    const size_t cells = (size_t)r->n_classes * r->width;
    r->prototype = arena_alloc_zero(arena, cells, sizeof *r->prototype);
    r->class_sum = arena_alloc_zero(arena, cells, sizeof *r->class_sum);
    r->norm2 = arena_alloc_zero(arena, r->n_classes, sizeof *r->norm2);
    r->count = arena_alloc_zero(arena, r->n_classes, sizeof *r->count);
    r->sum = arena_alloc_zero(arena, r->width, sizeof *r->sum);
    r->fit = arena_alloc(arena, n, sizeof *r->fit);
    r->fit_column = arena_alloc(arena, n, sizeof *r->fit_column);
    return r->prototype && r->class_sum && r->norm2 && r->count && r->sum && r->fit &&
           r->fit_column;
}

enum status representation_prepare(const struct representation_rows *live,
                                   uint32_t width,
                                   struct arena *arena,
                                   struct representation **ret_live)
{
    INVARIANT(live->n > 0 && width > 0);
    struct representation *r = arena_alloc_zero(arena, 1, sizeof *r);
    uint32_t *column = arena_alloc(arena, live->n_labels, sizeof *column);
    if (!r || !column)
        return STATUS_NO_MEMORY;
    r->width = width;
    r->n_classes = map_columns(live, column);
    r->column = column;
    uint32_t *seen = arena_alloc_zero(arena, r->n_classes, sizeof *seen);
    if (!seen || !allocate(r, live->n, arena))
        return STATUS_NO_MEMORY;
    collect_rows(r, live, seen);
    if (r->n_fit >= width) {
        r->gram = arena_alloc_zero(arena, (size_t)width * width, sizeof *r->gram);
        if (!r->gram)
            return STATUS_NO_MEMORY;
        representation_gram(r->gram, r->fit, r->n_fit, width);
    }
    *ret_live = r;
    return STATUS_OK;
}

static uint32_t count_label(const struct representation_rows *rows, uint32_t label)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows->n; i++)
        n += rows->labels[i] == label;
    return n;
}

static uint32_t smallest(const struct representation_rows *rows, uint32_t support, uint32_t best)
{
    for (uint32_t c = 0; c < rows->n_labels; c++) {
        const uint32_t n = count_label(rows, c);
        if (n >= 2 * support && (best == 0 || n < best))
            best = n;
    }
    return best;
}

uint32_t representation_common(const struct representation_rows *a,
                               const struct representation_rows *b,
                               uint32_t support)
{
    const uint32_t best = smallest(a, support, 0);
    return b ? smallest(b, support, best) : best;
}

void representation_class_rows(const struct representation_rows *rows,
                               uint32_t label,
                               uint32_t width,
                               const struct representation_options *options,
                               struct representation_class *c)
{
    c->n = 0;
    for (uint32_t i = 0; i < rows->n && (options->n_use == 0 || c->n < options->n_use); i++) {
        if (rows->labels[i] == label)
            c->x[c->n++] = rows->x + (size_t)i * width;
    }
    if (c->n < options->n_use || c->n < 2 * options->support)
        c->n = 0;
}

struct ncm_scratch {
    struct representation_class rows;
    double *scale;     /* [n] 1 / length */
    double *best_live; /* [n] largest 2 q'm - |m|^2 over live means: the nearest live mean */
    uint32_t *order;   /* [n] */
    double *mean;      /* [width] of the support */
    double *hits;      /* [draws] summed accuracy of the classes */
};

static void score_live(const struct representation *live, struct ncm_scratch *s)
{
    for (uint32_t i = 0; i < s->rows.n; i++) {
        const float *q = s->rows.x[i];
        s->scale[i] = inverse_length(q, live->width);
        double best = -HUGE_VAL;
        for (uint32_t c = 0; c < live->n_classes; c++) {
            const double *m = live->prototype + (size_t)c * live->width;
            best = fmax(best, 2.0 * s->scale[i] * dot(q, m, live->width) - live->norm2[c]);
        }
        s->best_live[i] = best;
    }
}

/* One draw: accuracy of the class on the images outside its support. */
static double ncm_draw(uint32_t width,
                       const struct representation_options *o,
                       struct rng *rng,
                       struct ncm_scratch *s)
{
    const uint32_t n = s->rows.n, k = o->support;
    for (uint32_t i = 0; i < n; i++)
        s->order[i] = i;
    rng_shuffle(rng, s->order, n);
    memset(s->mean, 0, width * sizeof *s->mean);
    for (uint32_t i = 0; i < k; i++)
        representation_add(s->mean, s->scale[s->order[i]] / k, s->rows.x[s->order[i]], width);
    const double norm2 = dot_self(s->mean, width);
    uint32_t hits = 0;
    for (uint32_t i = k; i < n; i++) {
        const uint32_t q = s->order[i];
        const double own = 2.0 * s->scale[q] * dot(s->rows.x[q], s->mean, width) - norm2;
        hits += own > s->best_live[q];
    }
    return (double)hits / (n - k);
}

static int ncm_allocate(
    struct ncm_scratch *s, uint32_t n, uint32_t width, uint32_t draws, struct arena *scratch)
{
    s->rows.x = arena_alloc(scratch, n, sizeof *s->rows.x);
    s->scale = arena_alloc(scratch, n, sizeof *s->scale);
    s->best_live = arena_alloc(scratch, n, sizeof *s->best_live);
    s->order = arena_alloc(scratch, n, sizeof *s->order);
    s->mean = arena_alloc(scratch, width, sizeof *s->mean);
    s->hits = arena_alloc_zero(scratch, draws, sizeof *s->hits);
    return s->rows.x && s->scale && s->best_live && s->order && s->mean && s->hits;
}

static void ncm_summarise(const struct ncm_scratch *s,
                          uint32_t draws,
                          uint32_t queries,
                          struct representation_ncm *r)
{
    if (r->n_classes == 0)
        return;
    double sum = 0.0;
    for (uint32_t d = 0; d < draws; d++) {
        const double accuracy = s->hits[d] / r->n_classes;
        sum += accuracy;
        r->min = fmin(r->min, accuracy); /* passes over the NaN of the start */
        r->max = fmax(r->max, accuracy);
    }
    r->accuracy = stats_wilson(sum / draws * queries, queries, STATS_LEVEL);
}

enum status representation_ncm_run(const struct representation *live,
                                   const struct representation_rows *question,
                                   const struct representation_options *options,
                                   struct arena *scratch,
                                   struct representation_ncm *ret_ncm)
{
    INVARIANT(options->support > 0 && options->draws > 0);
    struct representation_ncm r = {eval_report_absent(), (double)NAN, (double)NAN, 0};
    const struct arena_mark mark = arena_mark(scratch);
    struct ncm_scratch s;
    if (!ncm_allocate(&s, question->n, live->width, options->draws, scratch)) {
        arena_rewind(scratch, mark);
        return STATUS_NO_MEMORY;
    }
    uint32_t queries = 0;
    for (uint32_t c = 0; c < question->n_labels; c++) {
        representation_class_rows(question, c, live->width, options, &s.rows);
        if (s.rows.n == 0)
            continue;
        score_live(live, &s);
        struct rng rng;
        rng_init(&rng, &options->root, "eval_support", options->stream_base + c);
        for (uint32_t d = 0; d < options->draws; d++)
            s.hits[d] += ncm_draw(live->width, options, &rng, &s);
        queries += s.rows.n - options->support;
        r.n_classes++;
    }
    ncm_summarise(&s, options->draws, queries, &r);
    arena_rewind(scratch, mark);
    *ret_ncm = r;
    return STATUS_OK;
}

size_t representation_ncm_plan(uint32_t n_question, uint32_t width, uint32_t draws)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, n_question, sizeof(float *));
    arena_plan_add(&p, n_question, sizeof(double));
    arena_plan_add(&p, n_question, sizeof(double));
    arena_plan_add(&p, n_question, sizeof(uint32_t));
    arena_plan_add(&p, width, sizeof(double));
    arena_plan_add(&p, draws, sizeof(double));
    return arena_plan_bytes(&p);
}
