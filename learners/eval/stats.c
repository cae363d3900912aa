#include "learners/eval/stats.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/eval_report.h"

#define SQRT_2 1.41421356237309504880
#define PI     3.14159265358979323846

static struct eval_value without_interval(double value, uint32_t n)
{
    return (struct eval_value){.value = value, .lo = -HUGE_VAL, .hi = HUGE_VAL, .n = n};
}

static double clamp(double x, double lo, double hi)
{
    return fmin(fmax(x, lo), hi);
}

/* Upper tail 1 - Phi(x) without cancellation. */
static double upper_tail(double x)
{
    return 0.5 * erfc(x / SQRT_2);
}

/* x >= 0 with 1 - Phi(x) = q, q <= 1/2: Abramowitz and Stegun 26.2.23 (error 4.5e-4) as the start,
 * then Halley steps on the tail, each of which triples the number of right digits. */
static double tail_quantile(double q)
{
    const double t = sqrt(-2.0 * log(q));
    double x = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) /
                       (1.0 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
    for (int i = 0; i < 3; i++) {
        const double density = exp(-0.5 * x * x) / sqrt(2.0 * PI);
        const double newton = (upper_tail(x) - q) / density;
        x += newton / (1.0 - 0.5 * x * newton);
    }
    return x;
}

double stats_normal_quantile(double p)
{
    INVARIANT(p > 0.0 && p < 1.0);
    if (p == 0.5)
        return 0.0;
    return p < 0.5 ? -tail_quantile(p) : tail_quantile(1.0 - p);
}

double stats_z(double level)
{
    INVARIANT(level > 0.0 && level < 1.0);
    return tail_quantile(0.5 * (1.0 - level));
}

double stats_t_quantile(double p, double df)
{
    const double z = stats_normal_quantile(p);
    const double z2 = z * z;
    const double g1 = (z2 + 1.0) / 4.0;
    const double g2 = ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    const double g3 = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    const double g4 = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0;
    return z * (1.0 + (g1 + (g2 + (g3 + g4 / df) / df) / df) / df);
}

struct eval_value stats_wilson(double k, uint32_t n, double level)
{
    if (n == 0)
        return eval_report_absent();
    const double z = stats_z(level), count = n, p = k / count;
    const double spread = 1.0 + z * z / count;
    const double centre = (p + z * z / (2.0 * count)) / spread;
    const double half =
        z / spread * sqrt(fmax(p * (1.0 - p), 0.0) / count + z * z / (4.0 * count * count));
    /* At k = 0 and k = n an end equals the estimate; rounding must not push it past. */
    return (struct eval_value){
        .value = p, .lo = clamp(centre - half, 0.0, p), .hi = clamp(centre + half, p, 1.0), .n = n};
}

void stats_paired_moments(struct stats_paired p, double *ret_centre, double *ret_variance)
{
    const double b = p.lost + 0.5, c = p.gained + 0.5, n = p.n + 2.0;
    *ret_centre = (b - c) / n;
    *ret_variance = (b + c - (b - c) * (b - c) / n) / (n * n);
}

struct eval_value stats_paired_loss(struct stats_paired p, double level)
{
    if (p.n == 0)
        return eval_report_absent();
    double centre, variance;
    stats_paired_moments(p, &centre, &variance);
    const double half = stats_z(level) * sqrt(variance);
    return (struct eval_value){.value = ((double)p.lost - (double)p.gained) / p.n,
                               .lo = fmax(centre - half, -1.0),
                               .hi = fmin(centre + half, 1.0),
                               .n = p.n};
}

struct eval_value stats_difference(struct eval_value a, struct eval_value b)
{
    if (a.n == 0 || b.n == 0)
        return eval_report_absent();
    const double d = a.value - b.value;
    return (struct eval_value){.value = d,
                               .lo = d - hypot(a.value - a.lo, b.hi - b.value),
                               .hi = d + hypot(a.hi - a.value, b.value - b.lo),
                               .n = a.n + b.n};
}

static double mean_of(const double *x, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i];
    return sum / n;
}

/* With n - 1 divisor; n >= 2. */
static double variance_of(const double *x, uint32_t n)
{
    const double mean = mean_of(x, n);
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum / (n - 1.0);
}

struct eval_value stats_mean(const double *x, uint32_t n, double level)
{
    if (n == 0)
        return eval_report_absent();
    const double mean = mean_of(x, n);
    if (n < STATS_MIN_MEAN)
        return without_interval(mean, n);
    const double half =
        stats_t_quantile(0.5 * (1.0 + level), n - 1.0) * sqrt(variance_of(x, n) / n);
    return (struct eval_value){.value = mean, .lo = mean - half, .hi = mean + half, .n = n};
}

/* One pass of a bottom-up merge sort: runs of `width` become runs of 2 * width. */
static void
merge_pass(const double *x, uint32_t n, uint64_t width, const uint32_t *from, uint32_t *to)
{
    for (uint64_t start = 0; start < n; start += 2 * width) {
        const uint64_t middle = start + width < n ? start + width : n;
        const uint64_t end = start + 2 * width < n ? start + 2 * width : n;
        uint64_t left = start, right = middle;
        for (uint64_t at = start; at < end; at++) {
            const int take_left =
                left < middle && (right >= end || !(x[from[right]] < x[from[left]]));
            to[at] = from[take_left ? left++ : right++];
        }
    }
}

void stats_sort_order(const double *x, uint32_t n, uint32_t *order, uint32_t *tmp)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    uint32_t *from = order, *to = tmp;
    for (uint64_t width = 1; width < n; width *= 2) {
        merge_pass(x, n, width, from, to);
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order && n > 0)
        memcpy(order, from, n * sizeof *order);
}

void stats_sort(double *x, uint32_t n, double *tmp)
{
    double *from = x, *to = tmp;
    for (uint64_t width = 1; width < n; width *= 2) {
        for (uint64_t start = 0; start < n; start += 2 * width) {
            const uint64_t middle = start + width < n ? start + width : n;
            const uint64_t end = start + 2 * width < n ? start + 2 * width : n;
            uint64_t left = start, right = middle;
            for (uint64_t at = start; at < end; at++) {
                const int take_left =
                    left < middle && (right >= end || !(from[right] < from[left]));
                to[at] = from[take_left ? left++ : right++];
            }
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != x && n > 0)
        memcpy(x, from, n * sizeof *x);
}

double stats_quantile(const double *sorted, uint32_t n, double q)
{
    INVARIANT(n > 0 && q >= 0.0 && q <= 1.0);
    const double at = q * (n - 1.0);
    const uint32_t below = (uint32_t)floor(at);
    if (below + 1 >= n)
        return sorted[n - 1];
    const double part = at - below;
    /* Equal neighbours need no arithmetic; infinite ones would not survive it. */
    if (part == 0.0 || sorted[below] == sorted[below + 1])
        return sorted[below];
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

/* Mid-ranks (1-based) of x into rank [n]: tied values share the mean of their places. */
static void mid_ranks(const double *x, uint32_t n, uint32_t *order, uint32_t *tmp, double *rank)
{
    stats_sort_order(x, n, order, tmp);
    for (uint32_t i = 0; i < n;) {
        uint32_t end = i + 1;
        while (end < n && x[order[end]] == x[order[i]])
            end++;
        for (uint32_t j = i; j < end; j++)
            rank[order[j]] = 0.5 * ((double)i + 1.0 + (double)end);
        i = end;
    }
}

/* DeLong's structural components: v [n_a], w [n_b], their common mean is the AUC. */
struct components {
    double *v;
    double *w;
};

static enum status auc_components(const struct stats_samples *s,
                                  struct arena *scratch,
                                  struct components *ret_components)
{
    const uint32_t n = s->n_a + s->n_b;
    double *v = arena_alloc(scratch, s->n_a, sizeof *v);
    double *w = arena_alloc(scratch, s->n_b, sizeof *w);
    const struct arena_mark mark = arena_mark(scratch);
    double *all = arena_alloc(scratch, n, sizeof *all);
    double *rank = arena_alloc(scratch, n, sizeof *rank);
    double *own = arena_alloc(scratch, n, sizeof *own);
    uint32_t *order = arena_alloc(scratch, n, sizeof *order);
    uint32_t *tmp = arena_alloc(scratch, n, sizeof *tmp);
    if (!v || !w || !all || !rank || !own || !order || !tmp)
        return STATUS_NO_MEMORY;
    memcpy(all, s->a, s->n_a * sizeof *all);
    memcpy(all + s->n_a, s->b, s->n_b * sizeof *all);
    mid_ranks(all, n, order, tmp, rank);
    mid_ranks(s->a, s->n_a, order, tmp, own);
    for (uint32_t i = 0; i < s->n_a; i++)
        v[i] = (rank[i] - own[i]) / s->n_b;
    mid_ranks(s->b, s->n_b, order, tmp, own);
    for (uint32_t j = 0; j < s->n_b; j++)
        w[j] = 1.0 - (rank[s->n_a + j] - own[j]) / s->n_a;
    arena_rewind(scratch, mark);
    *ret_components = (struct components){.v = v, .w = w};
    return STATUS_OK;
}

size_t stats_auc_plan(uint32_t n_a, uint32_t n_b)
{
    struct arena_plan p = {0};
    const size_t n = (size_t)n_a + n_b;
    /* Two sets of components for the paired form, and the ranking's scratch. */
    for (int i = 0; i < 2; i++) {
        arena_plan_add(&p, n_a, sizeof(double));
        arena_plan_add(&p, n_b, sizeof(double));
    }
    for (int i = 0; i < 3; i++)
        arena_plan_add(&p, n, sizeof(double));
    arena_plan_add(&p, n, sizeof(uint32_t));
    arena_plan_add(&p, n, sizeof(uint32_t));
    return arena_plan_bytes(&p);
}

/* Half-width for a variance of 0: what n_min equal outcomes still allow. */
static double conservative_half(const struct stats_samples *s, double level)
{
    const double n_min = s->n_a < s->n_b ? s->n_a : s->n_b;
    return 1.0 - pow(0.5 * (1.0 - level), 1.0 / n_min);
}

static double components_variance(const struct components *c, const struct stats_samples *s)
{
    return variance_of(c->v, s->n_a) / s->n_a + variance_of(c->w, s->n_b) / s->n_b;
}

static struct eval_value
auc_interval(const struct components *c, const struct stats_samples *s, double level)
{
    struct eval_value r = {
        .value = mean_of(c->v, s->n_a), .lo = 0.0, .hi = 1.0, .n = s->n_a + s->n_b};
    const int one_sided = r.value <= 0.0 || r.value >= 1.0;
    if ((s->n_a < 2 || s->n_b < 2) && !one_sided)
        return r;
    const double variance = one_sided ? 0.0 : components_variance(c, s);
    const double half =
        variance > 0.0 ? stats_z(level) * sqrt(variance) : conservative_half(s, level);
    r.lo = fmax(r.value - half, 0.0);
    r.hi = fmin(r.value + half, 1.0);
    return r;
}

enum status stats_auc(const struct stats_samples *s,
                      double level,
                      struct arena *scratch,
                      struct eval_value *ret_auc)
{
    if (s->n_a == 0 || s->n_b == 0) {
        *ret_auc = eval_report_absent();
        return STATUS_OK;
    }
    const struct arena_mark mark = arena_mark(scratch);
    struct components c;
    const enum status status = auc_components(s, scratch, &c);
    if (status == STATUS_OK)
        *ret_auc = auc_interval(&c, s, level);
    arena_rewind(scratch, mark);
    return status;
}

/* after - before, in place in `after`; the mean of the result is the rise. */
static void components_subtract(struct components *after,
                                const struct components *before,
                                uint32_t n_a,
                                uint32_t n_b)
{
    for (uint32_t i = 0; i < n_a; i++)
        after->v[i] -= before->v[i];
    for (uint32_t j = 0; j < n_b; j++)
        after->w[j] -= before->w[j];
}

static struct eval_value rise_interval(const struct components *difference,
                                       int saturated,
                                       const struct stats_samples *s,
                                       double level)
{
    struct eval_value r = {
        .value = mean_of(difference->v, s->n_a), .lo = -1.0, .hi = 1.0, .n = s->n_a + s->n_b};
    if (s->n_a < 2 || s->n_b < 2)
        return r;
    const double variance = components_variance(difference, s);
    double half = stats_z(level) * sqrt(variance);
    if (saturated && variance <= 0.0)
        half = conservative_half(s, level);
    r.lo = fmax(r.value - half, -1.0);
    r.hi = fmin(r.value + half, 1.0);
    return r;
}

static int saturated(double auc)
{
    return auc <= 0.0 || auc >= 1.0;
}

enum status stats_auc_rise(const struct stats_samples *before,
                           const struct stats_samples *after,
                           double level,
                           struct arena *scratch,
                           struct eval_value *ret_rise)
{
    INVARIANT(before->n_a == after->n_a && before->n_b == after->n_b);
    if (after->n_a == 0 || after->n_b == 0) {
        *ret_rise = eval_report_absent();
        return STATUS_OK;
    }
    const struct arena_mark mark = arena_mark(scratch);
    struct components b, a;
    enum status status = auc_components(before, scratch, &b);
    if (status == STATUS_OK)
        status = auc_components(after, scratch, &a);
    if (status == STATUS_OK) {
        const int pinned =
            saturated(mean_of(b.v, after->n_a)) && saturated(mean_of(a.v, after->n_a));
        components_subtract(&a, &b, after->n_a, after->n_b);
        *ret_rise = rise_interval(&a, pinned, after, level);
    }
    arena_rewind(scratch, mark);
    return status;
}

/* P(K > x) of Kolmogorov's distribution, 2 sum (-1)^(k-1) exp(-2 k^2 x^2); 1 where it does not
 * converge quickly, because x is small there and the p-value is 1 to six digits. */
static double kolmogorov_tail(double x)
{
    if (x < 0.3)
        return 1.0;
    double sum = 0.0, sign = 1.0;
    for (int k = 1; k <= 20; k++, sign = -sign)
        sum += sign * exp(-2.0 * k * k * x * x);
    return clamp(2.0 * sum, 0.0, 1.0);
}

static double sorted_distance(const double *a, uint32_t n_a, const double *b, uint32_t n_b)
{
    double distance = 0.0;
    uint32_t i = 0, j = 0;
    while (i < n_a && j < n_b) {
        const double x = fmin(a[i], b[j]);
        while (i < n_a && a[i] == x)
            i++;
        while (j < n_b && b[j] == x)
            j++;
        distance = fmax(distance, fabs((double)i / n_a - (double)j / n_b));
    }
    return distance;
}

/* A sorted copy in scratch, or NULL. */
static double *sorted_copy(const double *x, uint32_t n, struct arena *scratch)
{
    double *copy = arena_alloc(scratch, n, sizeof *copy);
    double *tmp = arena_alloc(scratch, n, sizeof *tmp);
    if (!copy || !tmp)
        return NULL;
    memcpy(copy, x, n * sizeof *copy);
    stats_sort(copy, n, tmp);
    return copy;
}

enum status stats_ks(const struct stats_samples *s,
                     double level,
                     struct arena *scratch,
                     struct eval_value *ret_distance,
                     double *ret_p)
{
    *ret_distance = eval_report_absent();
    *ret_p = (double)NAN;
    if (s->n_a == 0 || s->n_b == 0)
        return STATUS_OK;
    const struct arena_mark mark = arena_mark(scratch);
    const double *a = sorted_copy(s->a, s->n_a, scratch);
    const double *b = sorted_copy(s->b, s->n_b, scratch);
    if (a && b) {
        const double d = sorted_distance(a, s->n_a, b, s->n_b);
        const double bands = log(4.0 / (1.0 - level)) / 2.0;
        const double eps = sqrt(bands / s->n_a) + sqrt(bands / s->n_b);
        const double n_effective = (double)s->n_a * s->n_b / ((double)s->n_a + s->n_b);
        *ret_distance = (struct eval_value){
            .value = d, .lo = fmax(d - eps, 0.0), .hi = fmin(d + eps, 1.0), .n = s->n_a + s->n_b};
        *ret_p = kolmogorov_tail(sqrt(n_effective) * d);
    }
    arena_rewind(scratch, mark);
    return a && b ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Items sorted by stratum: items[start[s] .. start[s+1]-1] are those of stratum s. */
struct strata {
    uint32_t *items;
    uint32_t *start;
};

/* Scratch of one bootstrap. */
struct bootstrap_room {
    uint32_t *times; /* [n] */
    double *one;     /* [n_values] of one draw */
    double *draws;   /* [n_values, draws] */
    double *tmp;     /* [draws] */
};

static void strata_fill(const struct stats_bootstrap *b, struct strata *s)
{
    memset(s->start, 0, ((size_t)b->n_strata + 2) * sizeof *s->start);
    for (uint32_t i = 0; i < b->n; i++) {
        INVARIANT(b->stratum[i] < b->n_strata);
        s->start[b->stratum[i] + 2]++;
    }
    for (uint32_t c = 2; c < b->n_strata + 2; c++)
        s->start[c] += s->start[c - 1];
    /* start[c + 1] now counts up from stratum c's begin to its end. */
    for (uint32_t i = 0; i < b->n; i++)
        s->items[s->start[b->stratum[i] + 1]++] = i;
}

static void draw_times(const struct strata *s, uint32_t n_strata, struct rng *rng, uint32_t *times)
{
    for (uint32_t c = 0; c < n_strata; c++) {
        const uint32_t begin = s->start[c], size = s->start[c + 1] - begin;
        for (uint32_t i = 0; i < size; i++)
            times[s->items[begin + (uint32_t)rng_below(rng, size)]]++;
    }
}

size_t stats_bootstrap_plan(uint32_t n, uint32_t n_strata, uint32_t draws)
{
    return stats_bootstrap_values_plan(n, n_strata, draws, 1);
}

size_t stats_bootstrap_values_plan(uint32_t n, uint32_t n_strata, uint32_t draws, uint32_t n_values)
{
    struct arena_plan p = {0};
    size_t values;
    if (!size_mul(n_values, draws, &values))
        return SIZE_MAX;
    arena_plan_add(&p, n, sizeof(uint32_t));
    arena_plan_add(&p, (size_t)n_strata + 2, sizeof(uint32_t));
    arena_plan_add(&p, n, sizeof(uint32_t));
    arena_plan_add(&p, n_values, sizeof(double));
    arena_plan_add(&p, values, sizeof(double));
    arena_plan_add(&p, draws, sizeof(double));
    return arena_plan_bytes(&p);
}

/* Fills draws [n_values, b->draws] and takes the interval ends from them. */
static void bootstrap_draw(const struct stats_bootstrap *b,
                           const struct stats_vector *v,
                           const struct strata *s,
                           struct rng *rng,
                           const struct bootstrap_room *room,
                           struct eval_value *values)
{
    for (uint32_t d = 0; d < b->draws; d++) {
        memset(room->times, 0, b->n * sizeof *room->times);
        draw_times(s, b->n_strata, rng, room->times);
        v->statistics(v->context, room->times, b->n, room->one);
        for (uint32_t k = 0; k < v->n_values; k++)
            room->draws[(size_t)k * b->draws + d] = room->one[k];
    }
    for (uint32_t k = 0; k < v->n_values; k++) {
        double *draws = room->draws + (size_t)k * b->draws;
        stats_sort(draws, b->draws, room->tmp);
        values[k].lo = stats_quantile(draws, b->draws, 0.5 * (1.0 - b->level));
        values[k].hi = stats_quantile(draws, b->draws, 0.5 * (1.0 + b->level));
    }
}

enum status stats_bootstrap_values(const struct stats_bootstrap *b,
                                   const struct stats_vector *v,
                                   struct rng *rng,
                                   struct arena *scratch,
                                   struct eval_value *ret_values)
{
    for (uint32_t k = 0; k < v->n_values; k++)
        ret_values[k] = eval_report_absent();
    if (b->n == 0)
        return STATUS_OK;
    INVARIANT(b->draws > 0 && v->n_values > 0);
    const struct arena_mark mark = arena_mark(scratch);
    struct strata s = {
        .items = arena_alloc(scratch, b->n, sizeof *s.items),
        .start = arena_alloc(scratch, (size_t)b->n_strata + 2, sizeof *s.start),
    };
    const struct bootstrap_room room = {
        .times = arena_alloc(scratch, b->n, sizeof *room.times),
        .one = arena_alloc(scratch, v->n_values, sizeof *room.one),
        .draws = arena_alloc(scratch, (size_t)v->n_values * b->draws, sizeof *room.draws),
        .tmp = arena_alloc(scratch, b->draws, sizeof *room.tmp),
    };
    if (!s.items || !s.start || !room.times || !room.one || !room.draws || !room.tmp) {
        arena_rewind(scratch, mark);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < b->n; i++)
        room.times[i] = 1;
    v->statistics(v->context, room.times, b->n, room.one);
    for (uint32_t k = 0; k < v->n_values; k++)
        ret_values[k] = without_interval(room.one[k], b->n);
    if (b->n >= STATS_MIN_BOOTSTRAP) {
        strata_fill(b, &s);
        bootstrap_draw(b, v, &s, rng, &room, ret_values);
    }
    arena_rewind(scratch, mark);
    return STATUS_OK;
}

/* One statistic as a vector of one. */
struct single {
    stats_statistic *statistic;
    const void *context;
};

static void single_value(const void *context, const uint32_t *times, uint32_t n, double *values)
{
    const struct single *s = context;
    values[0] = s->statistic(s->context, times, n);
}

enum status stats_bootstrap_run(const struct stats_bootstrap *b,
                                stats_statistic *statistic,
                                const void *context,
                                struct rng *rng,
                                struct arena *scratch,
                                struct eval_value *ret_value)
{
    const struct single s = {statistic, context};
    const struct stats_vector v = {single_value, &s, 1};
    return stats_bootstrap_values(b, &v, rng, scratch, ret_value);
}
