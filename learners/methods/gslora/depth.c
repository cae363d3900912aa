#include "learners/methods/gslora/depth.h"

#include "daemon/base/invariant.h"

#include <math.h>
#include <string.h>

void depth_plan(uint32_t directions, uint32_t width, uint32_t n_max, struct arena_plan *p)
{
    for (int i = 0; i < 2; i++) {
        arena_plan_add(p, (size_t)directions * width, sizeof(float));
        arena_plan_add(p, (size_t)directions * n_max, sizeof(float));
        arena_plan_add(p, n_max, sizeof(uint32_t));
    }
    for (int i = 0; i < 3; i++) {
        arena_plan_add(p, n_max, sizeof(float));
        arena_plan_add(p, n_max, sizeof(uint32_t));
    }
}

int depth_new(
    uint32_t directions, uint32_t width, uint32_t n_max, struct arena *arena, struct depth *ret_d)
{
    struct depth d = {.directions = directions, .width = width, .n_max = n_max};
    d.theta = arena_alloc(arena, (size_t)directions * width, sizeof(float));
    d.theta_t = arena_alloc(arena, (size_t)directions * width, sizeof(float));
    d.proj_f = arena_alloc(arena, (size_t)directions * n_max, sizeof(float));
    d.proj_r = arena_alloc(arena, (size_t)directions * n_max, sizeof(float));
    d.pick_f = arena_alloc(arena, n_max, sizeof(uint32_t));
    d.pick_r = arena_alloc(arena, n_max, sizeof(uint32_t));
    int ok = d.theta && d.theta_t && d.proj_f && d.proj_r && d.pick_f && d.pick_r;
    for (int i = 0; i < 3; i++) {
        d.value[i] = arena_alloc(arena, n_max, sizeof(float));
        d.order[i] = arena_alloc(arena, n_max, sizeof(uint32_t));
        ok = ok && d.value[i] && d.order[i];
    }
    *ret_d = d;
    return ok;
}

/* `take` of n rows, all in order if take == n, otherwise a random subset in drawn order. */
static void depth_pick(struct rng *r, uint32_t n, uint32_t take, uint32_t *pick)
{
    for (uint32_t i = 0; i < n; i++)
        pick[i] = i;
    if (take < n)
        rng_shuffle(r, pick, n);
}

void depth_draw(struct depth *d,
                const struct rng_root *root,
                const char *name,
                uint64_t index,
                uint32_t n_f,
                uint32_t n_r)
{
    INVARIANT(n_f <= d->n_max && n_r <= d->n_max);
    struct rng r;
    rng_init(&r, root, name, index);
    for (uint32_t k = 0; k < d->directions; k++) {
        float *row = d->theta + (size_t)k * d->width;
        double norm = 0;
        for (uint32_t c = 0; c < d->width; c++) {
            row[c] = rng_normal(&r);
            norm += (double)row[c] * (double)row[c];
        }
        const double inverse = norm > 0 ? 1.0 / sqrt(norm) : 0.0;
        for (uint32_t c = 0; c < d->width; c++) {
            row[c] = (float)((double)row[c] * inverse);
            d->theta_t[(size_t)c * d->directions + k] = row[c];
        }
    }
    d->n_picked = n_f < n_r ? n_f : n_r;
    depth_pick(&r, n_f, d->n_picked, d->pick_f);
    depth_pick(&r, n_r, d->n_picked, d->pick_r);
}

/* out [B, m] = picked rows of x times theta^T; the inner loop runs over directions. */
static void depth_project(const struct depth *d,
                          const struct depth_rows *rows,
                          const uint32_t *pick,
                          float *restrict out)
{
    const size_t m = d->directions;
    for (uint32_t i = 0; i < d->n_picked; i++) {
        const float *row = rows->x + pick[i] * rows->stride;
        float *restrict to = out + i * m;
        memset(to, 0, m * sizeof *to);
        for (uint32_t c = 0; c < d->width; c++) {
            const float *restrict theta = d->theta_t + c * m;
            const float xc = row[c];
            for (size_t k = 0; k < m; k++)
                to[k] += xc * theta[k];
        }
    }
}

/* One pass of the bottom-up merge sort: runs of `run` from (v, o) to (tv, to). */
static void
merge_pass(const float *v, const uint32_t *o, uint32_t n, uint32_t run, float *tv, uint32_t *to)
{
    for (uint32_t start = 0; start < n; start += 2 * run) {
        const uint32_t middle = n - start > run ? start + run : n;
        const uint32_t end = n - middle > run ? middle + run : n;
        uint32_t a = start, b = middle;
        for (uint32_t i = start; i < end; i++) {
            const int left = a < middle && (b >= end || v[a] <= v[b]);
            const uint32_t from = left ? a++ : b++;
            tv[i] = v[from];
            to[i] = o[from];
        }
    }
}

void depth_sort_pairs(
    uint32_t n, float *value, uint32_t *order, float *spare_value, uint32_t *spare_order)
{
    float *v = value, *tv = spare_value;
    uint32_t *o = order, *to = spare_order;
    for (uint32_t run = 1; run < n; run *= 2) {
        merge_pass(v, o, n, run, tv, to);
        float *sv = v;
        uint32_t *so = o;
        v = tv, o = to, tv = sv, to = so;
    }
    if (v != value) {
        memcpy(value, v, n * sizeof *v);
        memcpy(order, o, n * sizeof *o);
    }
}

/* Sorts column k of proj ascending, stable: values into value[slot], rows into order[slot]. */
static void depth_sort(struct depth *d, const float *proj, uint32_t k, int slot)
{
    for (uint32_t i = 0; i < d->n_picked; i++) {
        d->value[slot][i] = proj[(size_t)i * d->directions + k];
        d->order[slot][i] = i;
    }
    depth_sort_pairs(d->n_picked, d->value[slot], d->order[slot], d->value[2], d->order[2]);
}

/* dx[pick[i]] += sum_k coefficient [i, k] theta_k */
static void
depth_gradient(const struct depth *d, const float *coefficient, size_t stride, float *dx)
{
    for (uint32_t i = 0; i < d->n_picked; i++) {
        float *restrict to = dx + d->pick_f[i] * stride;
        for (uint32_t k = 0; k < d->directions; k++) {
            const float *restrict theta = d->theta + (size_t)k * d->width;
            const float q = coefficient[(size_t)i * d->directions + k];
            for (uint32_t c = 0; c < d->width; c++)
                to[c] += q * theta[c];
        }
    }
}

double depth_loss(struct depth *d,
                  const struct depth_rows *forget,
                  const struct depth_rows *retain,
                  double scale,
                  float *dx_f)
{
    const uint32_t n = d->n_picked;
    if (n == 0)
        return 0;
    const double each = scale / ((double)n * d->directions);
    depth_project(d, forget, d->pick_f, d->proj_f);
    depth_project(d, retain, d->pick_r, d->proj_r);
    double sum = 0;
    for (uint32_t k = 0; k < d->directions; k++) {
        depth_sort(d, d->proj_f, k, 0);
        depth_sort(d, d->proj_r, k, 1);
        for (uint32_t i = 0; i < n; i++) {
            const double gap = (double)d->value[0][i] - (double)d->value[1][i];
            sum += gap * gap;
            /* column k is sorted already: its place in proj_f holds the coefficient from here on */
            d->proj_f[(size_t)d->order[0][i] * d->directions + k] = (float)(2 * each * gap);
        }
    }
    if (dx_f)
        depth_gradient(d, d->proj_f, forget->stride, dx_f);
    return each * sum;
}

double depth_variance(const struct depth *d, const struct depth_rows *retain)
{
    double total = 0;
    for (uint32_t c = 0; c < d->width; c++) {
        double sum = 0, square = 0;
        for (uint32_t i = 0; i < d->n_picked; i++)
            sum += (double)retain->x[d->pick_r[i] * retain->stride + c];
        const double mean = d->n_picked ? sum / d->n_picked : 0;
        for (uint32_t i = 0; i < d->n_picked; i++) {
            const double gap = (double)retain->x[d->pick_r[i] * retain->stride + c] - mean;
            square += gap * gap;
        }
        total += d->n_picked ? square / d->n_picked : 0;
    }
    return total / d->width;
}
