/*
 * The published rule (tame.md 3.2), in two forms with equal decisions.  Eager: every expert's loss
 * on every batch.  Lazy: only the active expert's, and the others' at an alarm; an inactive expert
 * does not change, so the average that it missed is made up from the batches of the ring.
 */
#include "learners/methods/tame/tame_detector_internal.h"

static void average_all(const struct tame_options *o, struct tame_watch *x, double loss)
{
    x->sall = tame_watch_average(o, x->has_sall, x->sall, loss);
    x->has_sall = 1;
    x->sall_at++;
}

/* Losses on the batches since sall_at that are still in the ring, and on the one at hand. */
static void catch_up(struct tame_detector *d, const struct tame_ops *ops, uint32_t e)
{
    struct tame_watch *x = &d->experts[e];
    const uint64_t oldest = d->batches < TAME_RING ? 0 : d->batches - (TAME_RING - 1);
    if (x->sall_at < oldest)
        x->sall_at = oldest;
    while (x->sall_at < d->batches)
        average_all(&d->options, x, ops->loss(ops->context, e, (uint32_t)(x->sall_at % TAME_RING)));
    if (x->sall_at == d->batches)
        average_all(&d->options, x, x->last);
}

/* B: losses of the batch at hand, of all experts or of the active one. */
static void
measure(struct tame_detector *d, const struct tame_ops *ops, uint32_t slot, uint32_t cur)
{
    for (uint32_t e = 0; e < d->n_experts; e++) {
        if (d->options.lazy && e != cur)
            continue;
        d->experts[e].last = ops->loss(ops->context, e, slot);
        average_all(&d->options, &d->experts[e], d->experts[e].last);
    }
}

/* D: the first expert, the alarmed one included, that the batch fits. */
static uint32_t first_fit(struct tame_detector *d, const struct tame_ops *ops, uint32_t slot)
{
    for (uint32_t e = 0; e < d->n_experts; e++) {
        struct tame_watch *x = &d->experts[e];
        if (d->options.lazy && e != d->current)
            x->last = ops->loss(ops->context, e, slot);
        if (tame_watch_average(&d->options, x->has_sact, x->sact, x->last) < x->tau)
            return e;
    }
    return TAME_NONE;
}

static enum status alarm(struct tame_detector *d,
                         const struct tame_ops *ops,
                         uint32_t slot,
                         struct tame_verdict *v,
                         struct fault *f)
{
    uint32_t e = first_fit(d, ops, slot);
    v->outcome = TAME_SWITCHED;
    if (e == TAME_NONE) {
        TRY(tame_detector_make(d, ops, slot, 0, &e, f));
        d->experts[e].sall_at = d->batches + 1;
        d->experts[e].last = ops->loss(ops->context, e, slot);
        v->outcome = TAME_CREATED;
    } else if (d->options.lazy) {
        catch_up(d, ops, e);
    }
    d->switches += e != d->current;
    if (e == d->current)
        v->outcome = TAME_TRAINED;
    d->current = e;
    return STATUS_OK;
}

enum status tame_parity_observe(struct tame_detector *d,
                                const struct tame_ops *ops,
                                struct tame_verdict *v,
                                struct fault *f)
{
    const uint32_t slot = tame_detector_slot(d);
    v->outcome = TAME_TRAINED;
    if (d->n_experts == 0) {
        TRY(tame_detector_make(d, ops, slot, 0, &d->current, f));
        d->experts[0].sall_at = d->batches;
        v->outcome = TAME_CREATED;
    }
    if (d->current == TAME_NONE)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode", "a parity stream cannot lose its expert");
    measure(d, ops, slot, d->current);
    struct tame_watch *x = &d->experts[d->current];
    tame_watch_threshold(&d->options, x, v);
    v->loss = x->last;
    v->average = x->sall;
    if (x->sall > x->tau)
        TRY(alarm(d, ops, slot, v, f));
    x = &d->experts[d->current];
    /* a step must follow the forward pass of the same expert and batch */
    const double loss = ops->loss(ops->context, d->current, slot);
    ops->train(ops->context, d->current, slot);
    v->drift |= tame_watch_push(&d->options, x, loss);
    x->sact = tame_watch_average(&d->options, x->has_sact, x->sact, loss);
    x->has_sact = 1;
    v->trained = 1;
    v->taken = loss;
    return STATUS_OK;
}
