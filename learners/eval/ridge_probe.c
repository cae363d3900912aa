#include "learners/eval/ridge_probe.h"

#include <math.h>
#include <string.h>

#include "learners/eval/cholesky.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/representation_internal.h"
#include "learners/eval/stats.h"

/* One fit: live fit rows plus those of the class in question, whose column is the last. */
struct ridge_fit {
    const struct representation *live;
    struct representation_class fit; /* even rows of the class in question */
    uint32_t n;                      /* all fit rows */
    uint32_t columns;                /* n_classes + 1 */
    double *mean;                    /* [width] */
    double *scale;                   /* [width] 1 / standard deviation, 0 for a constant feature */
    double *own;                     /* [width] sum of the class' fit rows */
    double *weight;                  /* [width,columns] */
    double *square;                  /* [width,width] or [n,n] */
    double *rows;                    /* dual: [n,width] centred and scaled */
    double *targets;                 /* dual: [n,columns] */
    double *score;                   /* [columns] */
};

static const float *fit_row(const struct ridge_fit *f, uint32_t i)
{
    return i < f->live->n_fit ? f->live->fit[i] : f->fit.x[i - f->live->n_fit];
}

/* Mean and scale of every feature over the fit rows, in two passes. */
static void standardise(struct ridge_fit *f)
{
    const uint32_t width = f->live->width;
    memset(f->own, 0, width * sizeof *f->own);
    for (uint32_t i = 0; i < f->fit.n; i++)
        representation_add(f->own, 1.0, f->fit.x[i], width);
    for (uint32_t j = 0; j < width; j++)
        f->mean[j] = (f->live->sum[j] + f->own[j]) / f->n;
    memset(f->scale, 0, width * sizeof *f->scale);
    for (uint32_t i = 0; i < f->n; i++) {
        const float *x = fit_row(f, i);
        for (uint32_t j = 0; j < width; j++)
            f->scale[j] += ((double)x[j] - f->mean[j]) * ((double)x[j] - f->mean[j]);
    }
    for (uint32_t j = 0; j < width; j++) {
        const double variance = f->scale[j] / f->n;
        /* Rounding alone leaves about 1e-14 of the mean's square (f32 inputs are exact here). */
        const int constant = variance <= 1e-24 || variance <= 1e-13 * f->mean[j] * f->mean[j];
        f->scale[j] = constant ? 0.0 : 1.0 / sqrt(variance);
    }
}

/* tr(X'X)/d: each feature that varies contributes n. */
static double mean_diagonal(const struct ridge_fit *f)
{
    uint32_t varying = 0;
    for (uint32_t j = 0; j < f->live->width; j++)
        varying += f->scale[j] > 0.0;
    return (double)f->n * varying / f->live->width;
}

/* X'X of the centred and scaled rows from the raw sums, plus lambda on the diagonal. */
static void primal_square(struct ridge_fit *f, double lambda)
{
    const uint32_t width = f->live->width;
    memcpy(f->square, f->live->gram, (size_t)width * width * sizeof *f->square);
    representation_gram(f->square, f->fit.x, f->fit.n, width);
    for (uint32_t i = 0; i < width; i++) {
        double *row = f->square + (size_t)i * width;
        const double shift = f->n * f->mean[i];
        for (uint32_t j = i; j < width; j++)
            row[j] = (row[j] - shift * f->mean[j]) * f->scale[i] * f->scale[j];
        row[i] += lambda;
    }
}

/* X'Y: class sums, centred and scaled. */
static void primal_targets(struct ridge_fit *f)
{
    const struct representation *live = f->live;
    for (uint32_t i = 0; i < live->width; i++) {
        double *row = f->weight + (size_t)i * f->columns;
        for (uint32_t c = 0; c < live->n_classes; c++)
            row[c] = (live->class_sum[(size_t)c * live->width + i] - live->count[c] * f->mean[i]) *
                     f->scale[i];
        row[live->n_classes] = (f->own[i] - f->fit.n * f->mean[i]) * f->scale[i];
    }
}

static int solve_primal(struct ridge_fit *f, double lambda)
{
    primal_square(f, lambda);
    primal_targets(f);
    if (cholesky_factor(f->square, f->live->width) != 0)
        return -1;
    cholesky_solve(f->square, f->live->width, f->weight, f->columns);
    return 0;
}

static void dual_rows(struct ridge_fit *f)
{
    const uint32_t width = f->live->width;
    memset(f->targets, 0, (size_t)f->n * f->columns * sizeof *f->targets);
    for (uint32_t i = 0; i < f->n; i++) {
        const float *x = fit_row(f, i);
        double *row = f->rows + (size_t)i * width;
        for (uint32_t j = 0; j < width; j++)
            row[j] = ((double)x[j] - f->mean[j]) * f->scale[j];
        const uint32_t c = i < f->live->n_fit ? f->live->fit_column[i] : f->live->n_classes;
        f->targets[(size_t)i * f->columns + c] = 1.0;
    }
}

/* W = X' (XX' + lambda I)^-1 Y. */
static int solve_dual(struct ridge_fit *f, double lambda)
{
    const uint32_t width = f->live->width;
    dual_rows(f);
    for (uint32_t i = 0; i < f->n; i++) {
        for (uint32_t k = i; k < f->n; k++) {
            const double *a = f->rows + (size_t)i * width, *b = f->rows + (size_t)k * width;
            double sum = 0.0;
            for (uint32_t j = 0; j < width; j++)
                sum += a[j] * b[j];
            f->square[(size_t)i * f->n + k] = sum + (i == k ? lambda : 0.0);
        }
    }
    if (cholesky_factor(f->square, f->n) != 0)
        return -1;
    cholesky_solve(f->square, f->n, f->targets, f->columns);
    memset(f->weight, 0, (size_t)width * f->columns * sizeof *f->weight);
    for (uint32_t i = 0; i < f->n; i++) {
        for (uint32_t j = 0; j < width; j++) {
            const double x = f->rows[(size_t)i * width + j];
            for (uint32_t c = 0; c < f->columns; c++)
                f->weight[(size_t)j * f->columns + c] += x * f->targets[(size_t)i * f->columns + c];
        }
    }
    return 0;
}

/* Whether x is given to the class in question, which must beat every live class. */
static int recognised(struct ridge_fit *f, const float *x)
{
    memset(f->score, 0, f->columns * sizeof *f->score);
    for (uint32_t j = 0; j < f->live->width; j++) {
        const double z = ((double)x[j] - f->mean[j]) * f->scale[j];
        const double *w = f->weight + (size_t)j * f->columns;
        for (uint32_t c = 0; c < f->columns; c++)
            f->score[c] += z * w[c];
    }
    const double own = f->score[f->columns - 1];
    for (uint32_t c = 0; c + 1 < f->columns; c++) {
        if (!(own > f->score[c]))
            return 0;
    }
    return 1;
}

static int ridge_allocate(struct ridge_fit *f,
                          const struct representation *live,
                          uint32_t n_question,
                          struct arena *scratch)
{
    const size_t width = live->width, columns = (size_t)live->n_classes + 1;
    const size_t n = (size_t)live->n_fit + (n_question + 1) / 2;
    const size_t side = live->gram ? width : n;
    memset(f, 0, sizeof *f);
    f->live = live;
    f->columns = (uint32_t)columns;
    f->fit.x = arena_alloc(scratch, n_question, sizeof *f->fit.x);
    f->mean = arena_alloc(scratch, width, sizeof *f->mean);
    f->scale = arena_alloc(scratch, width, sizeof *f->scale);
    f->own = arena_alloc(scratch, width, sizeof *f->own);
    f->weight = arena_alloc(scratch, width * columns, sizeof *f->weight);
    f->square = arena_alloc(scratch, side * side, sizeof *f->square);
    f->score = arena_alloc(scratch, columns, sizeof *f->score);
    if (!live->gram) {
        f->rows = arena_alloc(scratch, n * width, sizeof *f->rows);
        f->targets = arena_alloc(scratch, n * columns, sizeof *f->targets);
    }
    return f->fit.x && f->mean && f->scale && f->own && f->weight && f->square && f->score &&
           (live->gram || (f->rows && f->targets));
}

/* Fits and counts the recognised rows of the test half.  *ret_lambda is 0 if no feature varies:
 * nothing can then be told apart, and nothing is recognised. */
static enum status ridge_class(struct ridge_fit *f,
                               const struct representation_class *rows,
                               uint32_t *ret_hits,
                               double *ret_lambda)
{
    f->fit.n = 0;
    for (uint32_t i = 0; i < rows->n; i += 2)
        f->fit.x[f->fit.n++] = rows->x[i];
    f->n = f->live->n_fit + f->fit.n;
    standardise(f);
    *ret_hits = 0;
    *ret_lambda = RIDGE_PROBE_LAMBDA * mean_diagonal(f);
    if (*ret_lambda <= 0.0)
        return STATUS_OK;
    if ((f->live->gram ? solve_primal(f, *ret_lambda) : solve_dual(f, *ret_lambda)) != 0)
        return STATUS_INTERNAL;
    for (uint32_t i = 1; i < rows->n; i += 2)
        *ret_hits += (uint32_t)recognised(f, rows->x[i]);
    return STATUS_OK;
}

static enum status ridge_classes(struct ridge_fit *f,
                                 const struct representation_rows *question,
                                 const struct representation_options *options,
                                 struct representation_class *rows,
                                 struct ridge_probe *r)
{
    uint32_t hits = 0, tests = 0;
    for (uint32_t c = 0; c < question->n_labels; c++) {
        representation_class_rows(question, c, f->live->width, options, rows);
        if (rows->n == 0)
            continue;
        uint32_t class_hits;
        double lambda;
        TRY(ridge_class(f, rows, &class_hits, &lambda));
        if (r->n_classes++ == 0)
            r->lambda = lambda;
        hits += class_hits;
        tests += rows->n / 2;
    }
    r->accuracy = stats_wilson(hits, tests, STATS_LEVEL);
    return STATUS_OK;
}

enum status ridge_probe_run(const struct representation *live,
                            const struct representation_rows *question,
                            const struct representation_options *options,
                            struct arena *scratch,
                            struct ridge_probe *ret_ridge)
{
    struct ridge_probe r = {eval_report_absent(), (double)NAN, 0};
    const struct arena_mark mark = arena_mark(scratch);
    struct representation_class rows = {arena_alloc(scratch, question->n, sizeof *rows.x), 0};
    struct ridge_fit f;
    enum status status = STATUS_NO_MEMORY;
    if (rows.x && ridge_allocate(&f, live, question->n, scratch))
        status = ridge_classes(&f, question, options, &rows, &r);
    arena_rewind(scratch, mark);
    if (status == STATUS_OK)
        *ret_ridge = r;
    return status;
}

size_t ridge_probe_plan(uint32_t n_live, uint32_t n_labels, uint32_t n_question, uint32_t width)
{
    struct arena_plan p = {0};
    const size_t classes = n_labels < n_live ? n_labels : n_live;
    const size_t columns = classes + 1, n = ((size_t)n_live + n_question) / 2 + classes + 1;
    const int dual_possible = n_live / 2 < width;
    const size_t side = dual_possible && n > width ? n : width;
    arena_plan_add(&p, n_question, sizeof(float *));
    arena_plan_add(&p, n_question, sizeof(float *));
    for (int i = 0; i < 3; i++)
        arena_plan_add(&p, width, sizeof(double));
    arena_plan_add(&p, columns, width * sizeof(double));
    arena_plan_add(&p, side, side * sizeof(double));
    arena_plan_add(&p, columns, sizeof(double));
    if (dual_possible) {
        arena_plan_add(&p, n, width * sizeof(double));
        arena_plan_add(&p, n, columns * sizeof(double));
    }
    return arena_plan_bytes(&p);
}
