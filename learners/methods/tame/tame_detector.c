#include "learners/methods/tame/tame_detector.h"

#include "daemon/base/invariant.h"
#include "learners/methods/tame/tame_detector_internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ life */

void tame_detector_plan(const struct tame_options *resolved, struct arena_plan *p)
{
    arena_plan_add(p, resolved->experts_max, sizeof(struct tame_watch));
}

int tame_detector_new(const struct tame_options *resolved,
                      struct arena *arena,
                      struct tame_detector *ret_detector)
{
    INVARIANT(resolved->window >= 1 && resolved->window <= TAME_WINDOW_MAX);
    *ret_detector = (struct tame_detector){.options = *resolved, .current = TAME_NONE};
    ret_detector->experts =
        arena_alloc_zero(arena, resolved->experts_max, sizeof(struct tame_watch));
    return ret_detector->experts != NULL;
}

uint32_t tame_detector_slots(const struct tame_options *resolved)
{
    if (resolved->mode == TAME_PARITY)
        return resolved->lazy ? TAME_RING : 1;
    return resolved->patience > TAME_PROBE_BATCHES ? resolved->patience : TAME_PROBE_BATCHES;
}

uint32_t tame_detector_slot(const struct tame_detector *d)
{
    if (d->options.mode == TAME_PARITY)
        return d->options.lazy ? (uint32_t)(d->batches % TAME_RING) : 0;
    return d->n_held;
}

int tame_detector_keeps(const struct tame_detector *d, uint32_t slot)
{
    if (d->options.mode == TAME_HARDENED)
        return slot < d->n_held;
    /* the ring's next place is free: a batch that old has no weight any more */
    return d->options.lazy && slot < d->batches && slot != d->batches % TAME_RING;
}

uint32_t tame_detector_find(const struct tame_detector *d, uint32_t id)
{
    for (uint32_t e = 0; e < d->n_experts; e++)
        if (d->experts[e].id == id)
            return e;
    return TAME_NONE;
}

/* ------------------------------------------------------------------ statistics */

void tame_detector_stats(const double *q, uint32_t n, double *ret_mean, double *ret_deviation)
{
    double sum = 0.0, squares = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += q[i];
    const double mean = n ? sum / n : 0.0;
    for (uint32_t i = 0; i < n; i++)
        squares += (q[i] - mean) * (q[i] - mean);
    *ret_mean = mean;
    *ret_deviation = n ? sqrt(squares / n) : 0.0;
}

uint32_t tame_detector_guarded(uint32_t n, uint32_t g)
{
    const uint32_t least = n < 2 ? n : 2;
    return n >= g && n - g > least ? n - g : least;
}

/* tau of the window as it is; what is behind it goes to *v (NULL: nowhere). */
void tame_watch_threshold(const struct tame_options *o,
                          struct tame_watch *x,
                          struct tame_verdict *v)
{
    double mean, deviation;
    const uint32_t n = tame_detector_guarded(x->n, (uint32_t)o->guard);
    tame_detector_stats(x->q, n, &mean, &deviation);
    const double floor = (double)o->floor;
    x->tau = mean + (double)o->deviations * (deviation > floor ? deviation : floor);
    if (v) {
        v->threshold = x->tau;
        v->mean = mean;
        v->deviation = deviation;
        v->window = x->n;
    }
}

double tame_watch_average(const struct tame_options *o, int defined, double average, double loss)
{
    const double a = (double)o->ewma;
    return defined ? a * loss + (1.0 - a) * average : loss;
}

/* Drift (tame.md 3.3): the window follows a slow change without an alarm, so its mean is compared
 * with that of the first full window.  Upwards only: a falling loss is what training is for. */
static int watch_drift(const struct tame_options *o, struct tame_watch *x)
{
    double mean, deviation;
    if (x->pushed < o->window)
        return 0;
    tame_detector_stats(x->q, x->n, &mean, &deviation);
    if (!x->has_first) {
        x->has_first = 1;
        x->first_mean = mean;
        x->first_std = deviation > (double)o->floor ? deviation : (double)o->floor;
        return 0;
    }
    const int before = x->drifted;
    x->drifted = mean > x->first_mean + 3.0 * x->first_std;
    return x->drifted && !before;
}

int tame_watch_push(const struct tame_options *o, struct tame_watch *x, double loss)
{
    if (x->n == o->window) {
        memmove(x->q, x->q + 1, (x->n - 1) * sizeof x->q[0]);
        x->n--;
    }
    x->q[x->n++] = loss;
    x->pushed++;
    return watch_drift(o, x);
}

void tame_watch_seed(const struct tame_options *o, struct tame_watch *x, uint32_t classes)
{
    x->n = 1;
    x->q[0] = log(classes > 2 ? (double)classes : 2.0);
    x->pushed = 0;
    x->has_sact = x->has_sall = 0;
    x->sact = x->sall = 0.0;
    x->has_first = x->drifted = 0;
    x->first_mean = x->first_std = 0.0;
    tame_watch_threshold(o, x, NULL);
}

/* ------------------------------------------------------------------ experts come and go */

enum status tame_detector_make(struct tame_detector *d,
                               const struct tame_ops *ops,
                               uint32_t slot,
                               uint32_t n,
                               uint32_t *ret_e,
                               struct fault *f)
{
    uint32_t classes;
    const uint32_t e = d->n_experts;
    if (e == d->options.experts_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts_max",
             "the stream has its %u experts and the data fit none of them", e);
    if (d->next_id == TAME_NONE)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts", "no expert number is left");
    TRY(ops->create(ops->context, e, d->next_id, slot, n, &classes, f));
    struct tame_watch *x = &d->experts[e];
    *x = (struct tame_watch){.id = d->next_id};
    tame_watch_seed(&d->options, x, classes);
    d->next_id++;
    d->n_experts++;
    d->created++;
    *ret_e = e;
    return STATUS_OK;
}

void tame_detector_remove(struct tame_detector *d, uint32_t e)
{
    INVARIANT(e < d->n_experts);
    memmove(d->experts + e, d->experts + e + 1, (d->n_experts - e - 1) * sizeof *d->experts);
    d->n_experts--;
    if (d->current == e)
        d->current = TAME_NONE;
    else if (d->current != TAME_NONE && d->current > e)
        d->current--;
}

uint32_t tame_detector_add(struct tame_detector *d, const struct tame_watch *w)
{
    INVARIANT(d->n_experts < d->options.experts_max && w->id < d->next_id &&
              tame_detector_find(d, w->id) == TAME_NONE);
    uint32_t e = d->n_experts;
    while (e > 0 && d->experts[e - 1].id > w->id)
        e--;
    memmove(d->experts + e + 1, d->experts + e, (d->n_experts - e) * sizeof *d->experts);
    d->experts[e] = *w;
    d->n_experts++;
    if (d->current != TAME_NONE && d->current >= e)
        d->current++;
    return e;
}

void tame_detector_rebaseline(
    struct tame_detector *d, uint32_t e, const double *losses, uint32_t n, uint32_t classes)
{
    struct tame_watch *x = &d->experts[e];
    tame_watch_seed(&d->options, x, classes);
    const uint32_t most = n < d->options.window ? n : d->options.window;
    if (most == 0)
        return;
    memcpy(x->q, losses, most * sizeof *losses);
    x->n = most;
    tame_watch_threshold(&d->options, x, NULL);
}

void tame_detector_drop_held(struct tame_detector *d)
{
    d->n_held = 0;
    if (d->current == TAME_NONE)
        return;
    d->experts[d->current].has_sact = 0;
    d->experts[d->current].sact = 0.0;
}

enum status tame_detector_observe(struct tame_detector *d,
                                  const struct tame_ops *ops,
                                  struct tame_verdict *ret_verdict,
                                  struct fault *f)
{
    struct tame_verdict v = {.average = (double)NAN};
    v.old_id = d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id;
    if (d->options.mode == TAME_PARITY)
        TRY(tame_parity_observe(d, ops, &v, f));
    else
        TRY(tame_hardened_observe(d, ops, &v, f));
    d->batches++;
    v.id = d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id;
    v.held = d->n_held;
    *ret_verdict = v;
    return STATUS_OK;
}
