/*
 * Forgetting (tame.md, section 9): who descends from the data, what is destroyed, what is trained
 * again.  Nothing that was computed from erased samples is carried over: windows, thresholds and
 * the selector start anew.
 */
#include "learners/methods/tame/tame_stream_internal.h"

#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"

#include <math.h>
#include <string.h>

static int names_samples(const struct tame_cut *cut)
{
    return cut->n_classes > 0 || cut->n_ids > 0;
}

/* ------------------------------------------------------------------ lineage */

static enum tame_fate fate_of(const struct tame_cut *cut, const struct tame_lineage *x)
{
    if (!names_samples(cut))
        return TAME_DESTROYED;
    if (x->hit == x->steps_samples && x->hit > 0)
        return TAME_DESTROYED;
    if (x->hit > 0)
        return TAME_RETRAIN;
    return x->kept > 0 ? TAME_REDUCED : TAME_UNTOUCHED;
}

static struct tame_lineage
lineage_of(const struct tame_stream *s, const struct tame_cut *cut, uint32_t e)
{
    struct tame_lineage x = {.id = s->detector.experts[e].id, .fate = TAME_UNTOUCHED};
    struct tame_cut own = *cut;
    if (cut->expert != UINT32_MAX && cut->expert != x.id)
        return x;
    own.expert = x.id;
    tame_ledger_count(&s->ledger, x.id, &own, &x.steps_samples, &x.hit);
    x.kept = tame_buffer_count(&s->buffer, &own) + tame_buffer_count(&s->reserve, &own) +
             tame_buffer_count(&s->prune, &own);
    x.fate = fate_of(cut, &x);
    return x;
}

static uint32_t held_hits(const struct tame_stream *s, const struct tame_cut *cut)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->detector.n_held; k++) {
        const struct tame_slot *x = &s->slots[k];
        for (uint32_t i = 0; i < x->n + x->n_reserve; i++)
            n += cut->expert == UINT32_MAX && tame_cut_hits(cut, x->labels[i], x->ids[i]);
    }
    return n;
}

uint32_t tame_stream_lineage(const struct tame_stream *s,
                             const struct tame_cut *cut,
                             struct tame_lineage ret_rows[TAME_EXPERTS_MAX],
                             uint32_t *ret_held)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    for (uint32_t e = 0; e < s->detector.n_experts; e++)
        ret_rows[e] = lineage_of(s, cut, e);
    if (ret_held)
        *ret_held = held_hits(s, cut);
    return s->detector.n_experts;
}

/* ------------------------------------------------------------------ erasing */

static void
move_sample(const struct tame_stream *s, struct tame_slot *x, uint32_t from, uint32_t to)
{
    const size_t bytes = s->shape.input_bytes;
    x->labels[to] = x->labels[from];
    x->ids[to] = x->ids[from];
    x->keys[to] = x->keys[from];
    memmove(x->bytes + to * bytes, x->bytes + from * bytes, bytes);
}

/* Takes samples out of a held batch; true if any went. */
static int cut_slot(struct tame_stream *s, struct tame_slot *x, const struct tame_cut *cut)
{
    const uint32_t all = x->n + x->n_reserve;
    uint32_t n = 0, trains = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (tame_cut_hits(cut, x->labels[i], x->ids[i]))
            continue;
        trains += i < x->n;
        move_sample(s, x, i, n++);
    }
    memset(x->bytes + n * s->shape.input_bytes, 0, (all - n) * s->shape.input_bytes);
    memset(x->ids + n, 0, (all - n) * sizeof *x->ids);
    memset(x->keys + n, 0, (all - n) * sizeof *x->keys);
    x->n = trains;
    x->n_reserve = n - trains;
    return n < all;
}

/* A held batch with nothing to train any more is gone, and those behind it move up. */
static void cut_held(struct tame_stream *s, const struct tame_cut *cut)
{
    struct tame_detector *d = &s->detector;
    uint32_t n = 0;
    int changed = 0;
    for (uint32_t k = 0; k < d->n_held; k++) {
        changed |= cut_slot(s, &s->slots[k], cut);
        if (s->slots[k].n == 0)
            continue;
        const struct tame_slot moved = s->slots[n];
        s->slots[n] = s->slots[k];
        if (n != k)
            s->slots[k] = moved;
        n++;
    }
    if (!changed)
        return;
    tame_detector_drop_held(d);
    d->n_held = n;
}

/* Numbers and window of an expert that lost what it was trained on. */
static void make_stale(struct tame_stream *s, uint32_t e)
{
    struct tame_weights *w = tame_member_weights(s, e);
    memset(w->v[0], 0, tame_expert_memory(&s->shape, w->classes_max) * sizeof(float));
    w->revision++;
    w->steps = 0;
    s->members[e].stale = 1;
    s->members[e].has_best = 0;
    s->members[e].best = 0;
    tame_detector_rebaseline(&s->detector, e, NULL, 0, w->classes);
}

static void
erase_expert(struct tame_stream *s, uint32_t e, const struct tame_cut *cut, enum tame_fate fate)
{
    struct tame_cut own = *cut;
    own.expert = s->detector.experts[e].id;
    if (fate == TAME_DESTROYED)
        own.n_classes = own.n_ids = 0;
    tame_ledger_remove(&s->ledger, &own);
    (void)tame_buffer_remove(&s->buffer, &own);
    (void)tame_buffer_remove(&s->reserve, &own);
    (void)tame_buffer_remove(&s->prune, &own);
    if (fate == TAME_DESTROYED)
        tame_member_remove(s, e);
    else if (fate == TAME_RETRAIN)
        make_stale(s, e);
    else
        tame_detector_rebaseline(&s->detector, e, NULL, 0, tame_member_weights(s, e)->classes);
}

static void drop_selector(struct tame_stream *s)
{
    tame_selector_wipe(&s->selector, tame_stream_options(s), &s->shape);
}

enum status tame_stream_erase(struct tame_stream *s, const struct tame_cut *cut, struct fault *f)
{
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    uint32_t held, touched = 0;
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (!s->sealed || s->failed || s->refit.active)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "it is not ready");
    if (tame_stream_options(s)->mode != TAME_HARDENED)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode", "a parity stream forgets nothing");
    if (cut->expert == UINT32_MAX && !names_samples(cut))
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject", "neither an expert, a class nor a sample");
    const uint32_t n = tame_stream_lineage(s, cut, rows, &held);
    for (uint32_t e = 0; e < n; e++)
        touched += rows[e].fate != TAME_UNTOUCHED;
    if (touched == 0 && held == 0)
        FAIL(f, STATUS_NOT_FOUND, "subject", "no expert of the stream has learned it");
    if (held)
        cut_held(s, cut);
    for (uint32_t e = n; e-- > 0;)
        if (rows[e].fate != TAME_UNTOUCHED)
            erase_expert(s, e, cut, rows[e].fate);
    if (touched)
        drop_selector(s);
    tame_stream_unload(s);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ refit */

/* Classes that come together at entry `at`: its own and, for the first of a group, the rest's. */
static uint32_t group_classes(struct tame_stream *s, uint32_t e, uint64_t at)
{
    const struct tame_ledger *l = &s->ledger;
    const uint32_t id = s->detector.experts[e].id;
    const struct tame_weights *w = tame_member_weights(s, e);
    uint32_t n = 0;
    for (uint64_t i = at; i < l->n_steps; i = tame_ledger_next(l, id, i + 1)) {
        if (i != at && l->steps[i].group != TAME_STEP_REST)
            break;
        n = tame_collect_classes(s, w->classes ? e : TAME_NONE, n, l->labels + l->steps[i].at,
                                 l->steps[i].n);
        if (l->steps[at].group != TAME_STEP_FIRST)
            break;
    }
    return n;
}

static enum status start_again(struct tame_stream *s, uint32_t e, struct fault *f)
{
    const struct tame_options *o = tame_stream_options(s);
    struct tame_weights *w = tame_member_weights(s, e);
    w->classes = 0;
    uint32_t classes = group_classes(s, e, s->refit.at);
    for (uint32_t i = 0; i < o->outputs; i++)
        s->classes[i] = i;
    classes = o->outputs ? o->outputs : classes;
    if (classes > w->classes_max)
        FAIL(f, STATUS_INTERNAL, "classes", "the ledger has more classes than an expert");
    memcpy(tame_member_labels(s, e), s->classes, classes * sizeof *s->classes);
    tame_expert_start(s->kind, s->engine, &s->shape, tame_member_seed(s, s->detector.experts[e].id),
                      classes, w);
    return STATUS_OK;
}

enum status tame_stream_refit_begin(struct tame_stream *s, uint32_t id, struct fault *f)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (!s->sealed || s->failed || s->refit.active)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "it is not ready");
    const uint32_t e = tame_detector_find(&s->detector, id);
    if (e == TAME_NONE)
        FAIL(f, STATUS_NOT_FOUND, "expert", "the stream has no expert %u", id);
    struct tame_refit r = {.active = 1, .id = id, .at = tame_ledger_next(&s->ledger, id, 0)};
    for (uint64_t i = r.at; i < s->ledger.n_steps; i = tame_ledger_next(&s->ledger, id, i + 1))
        r.steps++;
    if (r.steps == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "expert", "expert %u has no data", id);
    s->refit = r;
    tame_stream_unload(s);
    const enum status status = start_again(s, e, f);
    s->failed = status != STATUS_OK;
    return status;
}

int tame_stream_refit_next(struct tame_stream *s, struct tame_want *ret_want)
{
    const struct tame_ledger *l = &s->ledger;
    if (!s->refit.active || s->refit.at >= l->n_steps)
        return 0;
    const struct tame_step *x = &l->steps[s->refit.at];
    *ret_want = (struct tame_want){.n = x->n,
                                   .ids = l->ids + x->at,
                                   .labels = l->labels + x->at,
                                   .step = s->refit.done,
                                   .steps = s->refit.steps};
    return 1;
}

/* The last step is done: what the stream derives from the expert is for the caller to renew. */
static void end_refit(struct tame_stream *s, uint32_t e)
{
    s->refit = (struct tame_refit){0};
    s->members[e].stale = 0;
    s->members[e].has_best = 0;
    s->members[e].best = 0;
    tame_detector_rebaseline(&s->detector, e, NULL, 0, tame_member_weights(s, e)->classes);
}

enum status tame_stream_refit_step(struct tame_stream *s,
                                   const uint8_t *const *inputs,
                                   double *ret_loss,
                                   struct fault *f)
{
    struct tame_want want;
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (s->failed || !tame_stream_refit_next(s, &want))
        FAIL(f, STATUS_FAILED_PRECONDITION, "refit", "no step is left");
    const uint32_t e = tame_detector_find(&s->detector, s->refit.id);
    struct tame_weights *w = tame_member_weights(s, e);
    if (want.n > tame_stream_options(s)->batch_max)
        FAIL(f, STATUS_FAILED_PRECONDITION, "batch_max", "the ledger has a batch of %u", want.n);
    const uint32_t fresh = s->ledger.steps[s->refit.at].group == TAME_STEP_FIRST
                               ? group_classes(s, e, s->refit.at)
                               : 0;
    int fits = tame_member_add_classes(s, e, s->classes, fresh);
    s->kind->load(s->engine, want.n, inputs);
    tame_stream_unload(s);
    s->kind->forward(s->engine, w, 1, s->logits);
    tame_member_targets(s, e, want.labels, want.n);
    *ret_loss = tame_expert_loss(&s->shape, want.n, w->classes, s->logits, s->targets, s->losses);
    fits = fits && tame_member_step(s, e, want.labels, want.n);
    s->failed = !fits || !isfinite(*ret_loss);
    if (s->failed)
        FAIL(f, STATUS_OUT_OF_RANGE, "refit", "%s",
             fits ? "the loss is no longer finite" : "more classes than an expert may have");
    s->refit.at = tame_ledger_next(&s->ledger, s->refit.id, s->refit.at + 1);
    s->refit.done++;
    if (s->refit.done == s->refit.steps)
        end_refit(s, e);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ re-baseline */

/* Mean loss of expert e on b seeded draws, without repetition, of its n reserve samples. */
static double
draw_loss(struct tame_stream *s, uint32_t e, uint32_t first, uint32_t n, uint32_t b, struct rng *r)
{
    const struct tame_weights *w = tame_member_weights(s, e);
    uint32_t labels[TAME_REBASELINE_MOST], picked[TAME_REBASELINE_MOST];
    for (uint32_t i = 0; i < b; i++) {
        /* selection sampling after Floyd: n - b + i is new whenever the draw is not */
        uint32_t x = (uint32_t)rng_below(r, (uint64_t)n - b + i + 1);
        for (uint32_t k = 0; k < i; k++)
            if (picked[k] == x)
                x = n - b + i;
        picked[i] = x;
        s->gather[i] = tame_buffer_payload(&s->reserve, first + x);
        labels[i] = s->reserve.entries[first + x].label;
    }
    s->kind->load(s->engine, b, s->gather);
    s->kind->forward(s->engine, w, 0, s->logits);
    tame_member_targets(s, e, labels, b);
    return tame_expert_loss(&s->shape, b, w->classes, s->logits, s->targets, s->losses);
}

void tame_stream_rebaseline(struct tame_stream *s, uint32_t e, uint32_t batch)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts && !s->members[e].stale);
    const struct tame_options *o = tame_stream_options(s);
    double losses[TAME_WINDOW_MAX];
    struct rng r;
    uint32_t n, made = 0, b = batch ? batch : 1;
    const uint32_t first = tame_buffer_of(&s->reserve, s->detector.experts[e].id, &n);
    b = b > n ? n : b;
    b = b > o->batch_max ? o->batch_max : b;
    b = b > TAME_REBASELINE_MOST ? TAME_REBASELINE_MOST : b;
    tame_stream_unload(s);
    rng_init(&r, &(struct rng_root){.seed = tame_member_weights(s, e)->seed}, "tame/rebaseline", 0);
    while (n >= TAME_REBASELINE_SAMPLES && made < o->window)
        losses[made++] = draw_loss(s, e, first, n, b, &r);
    tame_detector_rebaseline(&s->detector, e, losses, made, tame_member_weights(s, e)->classes);
}

/* Feature of one kept sample anew; false if its input is gone. */
static int renew_feature(struct tame_stream *s, uint32_t entry, tame_input_of *find, void *context)
{
    const struct tame_buffer *b = &s->buffer;
    const uint8_t *input = find ? find(context, b->entries[entry].id) : NULL;
    if (!input)
        return 0;
    s->kind->load(s->engine, 1, &input);
    s->kind->features(s->engine, s->features);
    memcpy(b->payload + b->entries[entry].place * b->shape.payload_bytes, s->features,
           b->shape.payload_bytes);
    return 1;
}

void tame_stream_move_trunk(struct tame_stream *s,
                            const struct digest *trunk,
                            tame_input_of *find,
                            void *context)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    s->trunk = *trunk;
    s->kind->reset(s->engine);
    tame_stream_unload(s);
    drop_selector(s);
    if (tame_stream_options(s)->store != TAME_STORE_FEATURE)
        return;
    for (uint32_t i = s->buffer.n; i-- > 0;) {
        if (renew_feature(s, i, find, context))
            continue;
        const uint64_t id = s->buffer.entries[i].id;
        (void)tame_buffer_remove(&s->buffer,
                                 &(struct tame_cut){.expert = UINT32_MAX, .ids = &id, .n_ids = 1});
    }
}
