/* The rules of tame.md 3.3. */
#include "learners/methods/tame/tame_detector_internal.h"

#include "daemon/base/invariant.h"

#include <math.h>

static int watch_mature(const struct tame_detector *d, uint32_t e)
{
    return d->experts[e].n >= d->options.maturity;
}

/*
 * Whether the batch speaks against the active expert: its loss l and the average s are both above
 * tau, or most of its classes are unknown to the expert.  The second does not wait for the average:
 * while it climbs, the expert would learn the new classes and never be surprised by them again.
 */
static int is_strange(
    const struct tame_detector *d, const struct tame_ops *ops, uint32_t slot, double l, double s)
{
    const double tau = d->experts[d->current].tau;
    return watch_mature(d, d->current) &&
           ((s > tau && l > tau) || ops->mostly_new(ops->context, d->current, slot, 1));
}

/* One step of the active expert on a batch whose loss before the step is known. */
static void give(struct tame_detector *d,
                 const struct tame_ops *ops,
                 uint32_t slot,
                 double loss,
                 int fresh,
                 struct tame_verdict *v)
{
    const struct tame_options *o = &d->options;
    struct tame_watch *x = &d->experts[d->current];
    ops->train(ops->context, d->current, slot);
    /* a loss above the threshold must not lift it: that is how misses become permanent */
    const int clip = !fresh && watch_mature(d, d->current) && loss > x->tau;
    v->drift |= tame_watch_push(o, x, clip ? x->tau : loss);
    if (fresh) {
        x->sact = tame_watch_average(o, x->has_sact, x->sact, loss);
        x->has_sact = 1;
    }
    v->trained++;
    v->taken = loss;
}

static void
give_up(struct tame_detector *d, const struct tame_ops *ops, uint32_t slot, struct tame_verdict *v)
{
    ops->give_up(ops->context, slot);
    d->quarantined++;
    v->quarantined++;
}

/* What was held turns out to belong to the active expert, except what is still too far off. */
static void
release_held(struct tame_detector *d, const struct tame_ops *ops, struct tame_verdict *v)
{
    const double tau = d->experts[d->current].tau;
    for (uint32_t i = 0; i < d->n_held; i++) {
        const double loss = ops->loss(ops->context, d->current, i);
        if (d->options.outlier_guard &&
            (loss > tau || ops->mostly_new(ops->context, d->current, i, 1)))
            give_up(d, ops, i, v);
        else
            give(d, ops, i, loss, 0, v);
    }
}

/* The mature expert other than `but`, with most of the classes, whose threshold lies farthest above
 * its mean loss on slots 0 .. n-1; TAME_NONE: none is below.  On a tie the older one. */
static uint32_t
choose(const struct tame_detector *d, const struct tame_ops *ops, uint32_t but, uint32_t n)
{
    uint32_t best = TAME_NONE;
    double margin = 0.0;
    for (uint32_t e = 0; e < d->n_experts; e++) {
        if (e == but || !watch_mature(d, e) || ops->mostly_new(ops->context, e, 0, n))
            continue;
        double sum = 0.0;
        for (uint32_t i = 0; i < n; i++)
            sum += ops->loss(ops->context, e, i);
        const double above = sum / n - d->experts[e].tau;
        if (above < margin) {
            margin = above;
            best = e;
        }
    }
    return best;
}

/* An average that is not read again must not stay: it has heard of the next task's batches. */
static void forget_average(struct tame_watch *x)
{
    x->has_sact = 0;
    x->sact = 0.0;
}

/* The active expert becomes e, and gets the batches in slots 0 .. n-1. */
static void switch_to(struct tame_detector *d,
                      const struct tame_ops *ops,
                      uint32_t e,
                      uint32_t n,
                      struct tame_verdict *v)
{
    if (d->current != TAME_NONE && d->current != e) {
        d->switches++;
        forget_average(&d->experts[d->current]);
    }
    d->current = e;
    forget_average(&d->experts[e]);
    for (uint32_t i = 0; i < n; i++)
        give(d, ops, i, ops->loss(ops->context, e, i), 1, v);
}

/*
 * The window restarts as at birth: thresholds of the old classes would alarm on every batch until
 * the new ones are learnt, and the next alarm would make the expert that `extend` is to avoid.
 */
static void
extend(struct tame_detector *d, const struct tame_ops *ops, uint32_t n, struct tame_verdict *v)
{
    const uint32_t classes = ops->extend(ops->context, d->current, n);
    tame_watch_seed(&d->options, &d->experts[d->current], classes);
    switch_to(d, ops, d->current, n, v);
    v->outcome = TAME_EXTENDED;
}

/* An old expert that fits slots 0 .. n-1, or a new one. */
static enum status assign(struct tame_detector *d,
                          const struct tame_ops *ops,
                          uint32_t but,
                          uint32_t n,
                          struct tame_verdict *v,
                          struct fault *f)
{
    uint32_t e = choose(d, ops, but, n);
    v->outcome = TAME_SWITCHED;
    if (e == TAME_NONE) {
        TRY(tame_detector_make(d, ops, 0, n, &e, f));
        v->outcome = TAME_CREATED;
    }
    switch_to(d, ops, e, n, v);
    return STATUS_OK;
}

/* One batch more is held; with enough of them the change is believed. */
static enum status
hold(struct tame_detector *d, const struct tame_ops *ops, struct tame_verdict *v, struct fault *f)
{
    const uint32_t n = d->n_held + 1;
    v->outcome = TAME_HELD;
    if (n < d->options.patience) {
        d->n_held = n;
        return STATUS_OK;
    }
    if (d->options.growth == TAME_GROWTH_EXTEND && d->current != TAME_NONE &&
        ops->mostly_new(ops->context, d->current, 0, n))
        extend(d, ops, n, v);
    else
        TRY(assign(d, ops, d->current, n, v, f));
    d->n_held = 0;
    return STATUS_OK;
}

enum status tame_hardened_observe(struct tame_detector *d,
                                  const struct tame_ops *ops,
                                  struct tame_verdict *v,
                                  struct fault *f)
{
    const struct tame_options *o = &d->options;
    const uint32_t slot = d->n_held;
    const int first = d->n_experts == 0;
    if (first)
        TRY(tame_detector_make(d, ops, slot, 0, &d->current, f));
    if (d->current == TAME_NONE)
        return hold(d, ops, v, f); /* the active expert was erased: nothing to compare with */
    struct tame_watch *x = &d->experts[d->current];
    const double l = ops->loss(ops->context, d->current, slot);
    const double s = tame_watch_average(o, x->has_sact, x->sact, l);
    tame_watch_threshold(o, x, v);
    x->sact = s;
    x->has_sact = 1;
    v->loss = l;
    v->average = s;
    if (is_strange(d, ops, slot, l, s))
        return hold(d, ops, v, f);
    if (o->outlier_guard && l <= x->tau && s > x->tau)
        x->sact = l; /* the batches that lifted it were outliers */
    const int waited = d->n_held > 0;
    release_held(d, ops, v);
    give(d, ops, slot, waited ? ops->loss(ops->context, d->current, slot) : l, 0, v);
    d->n_held = 0;
    v->outcome = first ? TAME_CREATED : TAME_TRAINED;
    return STATUS_OK;
}

/* The batches of a probe belong to the active expert. */
static void
stay(struct tame_detector *d, const struct tame_ops *ops, uint32_t n, struct tame_verdict *v)
{
    struct tame_watch *x = &d->experts[d->current];
    v->outcome = TAME_TRAINED;
    for (uint32_t i = 0; i < n; i++) {
        const double l = ops->loss(ops->context, d->current, i);
        tame_watch_threshold(&d->options, x, v);
        x->sact = tame_watch_average(&d->options, x->has_sact, x->sact, l);
        x->has_sact = 1;
        give(d, ops, i, l, 0, v);
    }
}

enum status tame_detector_probe(struct tame_detector *d,
                                const struct tame_ops *ops,
                                uint32_t n,
                                struct tame_verdict *ret_verdict,
                                struct fault *f)
{
    INVARIANT(d->options.mode == TAME_HARDENED && d->n_held == 0);
    INVARIANT(n >= 1 && n <= TAME_PROBE_BATCHES);
    struct tame_verdict v = {.average = (double)NAN, .outcome = TAME_SWITCHED};
    v.old_id = d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id;
    const uint32_t e = choose(d, ops, TAME_NONE, n);
    if (e != TAME_NONE)
        v.threshold = d->experts[e].tau;
    if (e == TAME_NONE)
        TRY(assign(d, ops, TAME_NONE, n, &v, f));
    else if (e == d->current)
        stay(d, ops, n, &v);
    else
        switch_to(d, ops, e, n, &v);
    d->batches += n;
    v.id = d->experts[d->current].id;
    *ret_verdict = v;
    return STATUS_OK;
}

void tame_detector_close(struct tame_detector *d,
                         const struct tame_ops *ops,
                         struct tame_verdict *ret_verdict)
{
    struct tame_verdict v = {.average = (double)NAN, .outcome = TAME_NOTHING};
    v.old_id = d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id;
    const uint32_t n = d->options.mode == TAME_HARDENED ? d->n_held : 0;
    if (n) {
        const uint32_t e = choose(d, ops, d->current, n);
        v.outcome = e == TAME_NONE ? TAME_DROPPED : TAME_SWITCHED;
        if (e != TAME_NONE)
            switch_to(d, ops, e, n, &v);
        for (uint32_t i = 0; i < n && e == TAME_NONE; i++)
            ops->give_up(ops->context, i);
        d->dropped += e == TAME_NONE ? n : 0;
        d->n_held = 0;
    }
    v.id = d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id;
    *ret_verdict = v;
}
