#include "learners/methods/gslora/depth_seek.h"

#include "learners/eval/cholesky.h"
#include "learners/methods/gslora/depth.h"

#include <math.h>
#include <string.h>

#define SEEK_RATE  0.3 /* of the running moments: slower ones lag behind means that move */
#define SEEK_RIDGE 1.0 /* of the mean variance, on the diagonal: less chases noise of 32 rows */

void depth_seek_plan(uint32_t width, uint32_t classes, uint32_t n_max, struct arena_plan *p)
{
    arena_plan_add(p, classes, 1);
    arena_plan_add(p, width, sizeof(double));
    arena_plan_add(p, (size_t)classes * width, sizeof(double));
    arena_plan_add(p, (size_t)width * width, sizeof(double));
    arena_plan_add(p, (size_t)width * width, sizeof(double));
    arena_plan_add(p, width, sizeof(double));
    for (int i = 0; i < 3; i++) {
        arena_plan_add(p, n_max, sizeof(float));
        arena_plan_add(p, n_max, sizeof(uint32_t));
    }
    arena_plan_add(p, n_max, sizeof(uint32_t));
}

int depth_seek_new(
    uint32_t width, uint32_t classes, uint32_t n_max, struct arena *arena, struct depth_seek *ret_s)
{
    struct depth_seek s = {.width = width, .classes = classes, .n_max = n_max};
    s.known = arena_alloc_zero(arena, classes, 1);
    s.mean_r = arena_alloc_zero(arena, width, sizeof(double));
    s.mean = arena_alloc_zero(arena, (size_t)classes * width, sizeof(double));
    s.square = arena_alloc_zero(arena, (size_t)width * width, sizeof(double));
    s.factor = arena_alloc(arena, (size_t)width * width, sizeof(double));
    s.theta = arena_alloc(arena, width, sizeof(double));
    int ok = s.known && s.mean_r && s.mean && s.square && s.factor && s.theta;
    for (int i = 0; i < 3; i++) {
        s.value[i] = arena_alloc(arena, n_max, sizeof(float));
        s.order[i] = arena_alloc(arena, n_max, sizeof(uint32_t));
        ok = ok && s.value[i] && s.order[i];
    }
    s.rows = arena_alloc(arena, n_max, sizeof(uint32_t));
    *ret_s = s;
    return ok && s.rows;
}

/* ------------------------------------------------------------------ moments */

/* mean += rate (mean of the listed rows - mean). */
static void seek_mean(const struct depth_seek *s,
                      const float *x,
                      const uint32_t *rows,
                      uint32_t n,
                      double rate,
                      double *mean)
{
    for (uint32_t c = 0; c < s->width; c++) {
        double sum = 0;
        for (uint32_t i = 0; i < n; i++)
            sum += (double)x[(size_t)(rows ? rows[i] : i) * s->width + c];
        mean[c] += rate * (sum / n - mean[c]);
    }
}

/* Upper triangle: S += rate (mean of (x - mu)(x - mu)^T - S). */
static void seek_square(struct depth_seek *s, const float *x, uint32_t n, double rate)
{
    const size_t width = s->width;
    double *centred = s->theta;
    for (size_t i = 0; i < width * width; i++)
        s->square[i] *= 1 - rate;
    for (uint32_t r = 0; r < n; r++) {
        for (size_t c = 0; c < width; c++)
            centred[c] = (double)x[r * width + c] - s->mean_r[c];
        for (size_t c = 0; c < width; c++) {
            const double share = rate / n * centred[c];
            double *row = s->square + c * width;
            for (size_t k = c; k < width; k++)
                row[k] += share * centred[k];
        }
    }
}

static uint32_t seek_rows(const struct depth_seek_batch *b, uint32_t class, uint32_t *rows)
{
    uint32_t n = 0;
    for (uint32_t i = b->n_r; i < b->n_r + b->n_f; i++)
        if (b->labels[i] == class)
            rows[n++] = i;
    return n;
}

static void seek_observe(struct depth_seek *s, const struct depth_seek_batch *b)
{
    const double rate = s->steps == 0 ? 1 : SEEK_RATE;
    seek_mean(s, b->x, NULL, b->n_r, rate, s->mean_r);
    seek_square(s, b->x, b->n_r, rate);
    for (uint32_t k = 0; k < s->classes; k++) {
        const uint32_t n = seek_rows(b, k, s->rows);
        if (n > 0)
            seek_mean(s, b->x, s->rows, n, s->known[k] ? SEEK_RATE : 1,
                      s->mean + (size_t)k * s->width);
        s->known[k] |= n > 0;
    }
    s->steps++;
}

/* ------------------------------------------------------------------ directions */

/* Factors S + ridge I; false if the features do not vary. */
static int seek_factor(struct depth_seek *s)
{
    const size_t width = s->width;
    double trace = 0;
    for (size_t c = 0; c < width; c++)
        trace += s->square[c * width + c];
    if (!(trace > 0))
        return 0;
    memcpy(s->factor, s->square, width * width * sizeof *s->factor);
    for (size_t c = 0; c < width; c++)
        s->factor[c * width + c] += SEEK_RIDGE * trace / (double)width;
    return cholesky_factor(s->factor, width) == 0;
}

static int seek_direction(struct depth_seek *s, uint32_t class)
{
    const double *mean = s->mean + (size_t) class * s->width;
    double norm = 0;
    for (uint32_t c = 0; c < s->width; c++)
        s->theta[c] = mean[c] - s->mean_r[c];
    cholesky_solve(s->factor, s->width, s->theta, 1);
    for (uint32_t c = 0; c < s->width; c++)
        norm += s->theta[c] * s->theta[c];
    for (uint32_t c = 0; c < s->width && norm > 0; c++)
        s->theta[c] /= sqrt(norm);
    return norm > 0;
}

/* ------------------------------------------------------------------ matching */

/* Projections of rows (NULL: 0..n-1) on theta, sorted: values and places in the list. */
static void
seek_project(struct depth_seek *s, const float *x, const uint32_t *rows, uint32_t n, int slot)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *row = x + (size_t)(rows ? rows[i] : i) * s->width;
        double sum = 0;
        for (uint32_t c = 0; c < s->width; c++)
            sum += (double)row[c] * s->theta[c];
        s->value[slot][i] = (float)sum;
        s->order[slot][i] = i;
    }
    depth_sort_pairs(n, s->value[slot], s->order[slot], s->value[2], s->order[2]);
}

static double seek_class(
    struct depth_seek *s, const struct depth_seek_batch *b, uint32_t n, double each, float *dx)
{
    double sum = 0;
    seek_project(s, b->x, s->rows, n, 0);
    seek_project(s, b->x, NULL, b->n_r, 1);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t q = (uint32_t)(((uint64_t)2 * i + 1) * b->n_r / (2 * (uint64_t)n));
        const double gap = (double)s->value[0][i] - (double)s->value[1][q];
        sum += gap * gap;
        float *to = dx ? dx + (size_t)s->rows[s->order[0][i]] * s->width : NULL;
        for (uint32_t c = 0; to && c < s->width; c++)
            to[c] += (float)(2 * each * gap * s->theta[c]);
    }
    return each * sum;
}

double
depth_seek_loss(struct depth_seek *s, const struct depth_seek_batch *b, double scale, float *dx)
{
    double sum = 0;
    if (b->n_r == 0 || b->n_f == 0)
        return 0;
    if (dx)
        seek_observe(s, b);
    if (s->steps == 0 || !seek_factor(s))
        return 0;
    for (uint32_t k = 0; k < s->classes; k++) {
        const uint32_t n = seek_rows(b, k, s->rows);
        if (n > 0 && s->known[k] && seek_direction(s, k))
            sum += seek_class(s, b, n, scale / b->n_f, dx);
    }
    return sum;
}
