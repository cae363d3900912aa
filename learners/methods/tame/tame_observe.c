/* Learning: batches into slots, and the detector's questions answered with real experts. */
#include "learners/methods/tame/tame_stream_internal.h"

#include "daemon/base/invariant.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ what the detector asks for */

static void load_slot(struct tame_stream *s, uint32_t slot)
{
    if (s->loaded == slot)
        return;
    s->kind->load(s->engine, s->slots[slot].n, s->slots[slot].inputs);
    s->loaded = slot;
    s->pass.slot = TAME_NONE;
}

static double ops_loss(void *context, uint32_t e, uint32_t slot)
{
    struct tame_stream *s = context;
    const struct tame_slot *x = &s->slots[slot];
    const struct tame_weights *w = tame_member_weights(s, e);
    const struct tame_pass *p = &s->pass;
    if (s->loaded == slot && p->slot == slot && p->place == s->members[e].place &&
        p->revision == w->revision)
        return p->loss;
    load_slot(s, slot);
    s->kind->forward(s->engine, w, 1, s->logits);
    tame_member_targets(s, e, x->labels, x->n);
    const double loss =
        tame_expert_loss(&s->shape, x->n, w->classes, s->logits, s->targets, s->losses);
    if (!isfinite(loss))
        s->train_status = STATUS_OUT_OF_RANGE;
    s->pass = (struct tame_pass){slot, s->members[e].place, w->revision, loss};
    return loss;
}

/* Samples that trained expert e go to the selector's and the pruning buffer. */
static void keep_samples(struct tame_stream *s, uint32_t e, uint32_t slot)
{
    const struct tame_slot *x = &s->slots[slot];
    const uint32_t id = s->detector.experts[e].id;
    const int features = tame_stream_options(s)->store == TAME_STORE_FEATURE;
    int computed = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        uint8_t *to = tame_buffer_offer(&s->buffer, id, x->labels[i], x->keys[i], x->ids[i]);
        if (to && features && !computed) {
            s->kind->features(s->engine, s->features);
            computed = 1;
        }
        if (to && features)
            memcpy(to, s->features + (size_t)i * s->shape.feature_width,
                   s->buffer.shape.payload_bytes);
        else if (to)
            memcpy(to, x->inputs[i], s->shape.input_bytes);
        to = tame_buffer_offer(&s->prune, id, x->labels[i], x->keys[i], x->ids[i]);
        if (to)
            memcpy(to, x->inputs[i], s->shape.input_bytes);
    }
}

static void keep_reserve(struct tame_stream *s, uint32_t e, const struct tame_slot *x)
{
    const uint32_t id = s->detector.experts[e].id;
    for (uint32_t i = x->n; i < x->n + x->n_reserve; i++) {
        uint8_t *to = tame_buffer_offer(&s->reserve, id, x->labels[i], x->keys[i], x->ids[i]);
        if (to)
            memcpy(to, x->inputs[i], s->shape.input_bytes);
    }
}

static void ops_train(void *context, uint32_t e, uint32_t slot)
{
    struct tame_stream *s = context;
    const struct tame_slot *x = &s->slots[slot];
    INVARIANT(s->pass.slot == slot && s->pass.place == s->members[e].place);
    if (s->train_status != STATUS_OK)
        return;
    if (!tame_member_step(s, e, x->labels, x->n)) {
        s->train_status = STATUS_RESOURCE_EXHAUSTED;
        return;
    }
    const struct tame_step step = {.expert = s->detector.experts[e].id,
                                   .n = x->n,
                                   .batch = x->batch,
                                   .request = x->request,
                                   .group = TAME_STEP_SINGLE};
    tame_ledger_append(&s->ledger, &step, x->ids, x->labels);
    keep_samples(s, e, slot);
    keep_reserve(s, e, x);
    s->event->trained += x->n;
}

/* Classes of the batches that an expert is made for. */
static uint32_t slots_classes(struct tame_stream *s, uint32_t e, uint32_t slot, uint32_t n)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++)
        found = tame_collect_classes(s, e, found, s->slots[slot + i].labels, s->slots[slot + i].n);
    return found;
}

static enum status ops_create(void *context,
                              uint32_t e,
                              uint32_t id,
                              uint32_t slot,
                              uint32_t n,
                              uint32_t *ret_classes,
                              struct fault *f)
{
    struct tame_stream *s = context;
    const struct tame_options *o = tame_stream_options(s);
    uint32_t classes = slots_classes(s, TAME_NONE, n ? 0 : slot, n ? n : 1);
    if (classes > o->classes_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "classes_max",
             "a new expert would have %u classes; at most %u are set", classes, o->classes_max);
    for (uint32_t i = 0; o->outputs && i < o->outputs; i++)
        s->classes[i] = i;
    classes = o->outputs ? o->outputs : classes;
    const uint32_t place = tame_member_place(s);
    if (place == TAME_NONE)
        FAIL(f, STATUS_NO_MEMORY, "experts", "the memory given has room for %u experts", s->places);
    s->taken[place] = 1;
    s->members[e] = (struct tame_member){.place = place};
    memcpy(tame_member_labels(s, e), s->classes, classes * sizeof(uint32_t));
    tame_expert_start(s->kind, s->engine, &s->shape, tame_member_seed(s, id), classes,
                      &s->weights[place]);
    *ret_classes = classes;
    return STATUS_OK;
}

static void ops_give_up(void *context, uint32_t slot)
{
    struct tame_stream *s = context;
    s->event->quarantined += s->slots[slot].n;
}

static int ops_mostly_new(void *context, uint32_t e, uint32_t slot, uint32_t n)
{
    struct tame_stream *s = context;
    uint64_t all = 0, unknown = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct tame_slot *x = &s->slots[slot + k];
        tame_member_targets(s, e, x->labels, x->n);
        for (uint32_t i = 0; i < x->n; i++)
            unknown += s->targets[i] == TAME_UNKNOWN;
        all += x->n;
    }
    return 2 * unknown > all;
}

static uint32_t ops_extend(void *context, uint32_t e, uint32_t n)
{
    struct tame_stream *s = context;
    const uint32_t found = slots_classes(s, e, 0, n);
    if (!tame_member_add_classes(s, e, s->classes, found))
        s->train_status = STATUS_RESOURCE_EXHAUSTED;
    return tame_member_weights(s, e)->classes;
}

static struct tame_ops ops_of(struct tame_stream *s)
{
    return (struct tame_ops){.context = s,
                             .loss = ops_loss,
                             .train = ops_train,
                             .create = ops_create,
                             .give_up = ops_give_up,
                             .mostly_new = ops_mostly_new,
                             .extend = ops_extend};
}

/* ------------------------------------------------------------------ taking a batch in */

static enum status check_open(const struct tame_stream *s, struct fault *f)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (!s->sealed || s->failed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "%s",
             s->failed ? "an earlier batch failed; open the stream again from its record"
                       : "experts of the stream are missing");
    if (s->closed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "it is closed");
    for (uint32_t e = 0; e < s->detector.n_experts; e++)
        if (s->members[e].stale)
            FAIL(f, STATUS_FAILED_PRECONDITION, "stream",
                 "expert %u lost data and must be retrained first", s->detector.experts[e].id);
    return STATUS_OK;
}

static enum status
check_samples(const struct tame_stream *s, const struct tame_samples *b, struct fault *f)
{
    const struct tame_options *o = tame_stream_options(s);
    if (b->n == 0 || b->n > o->batch_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples", "a batch of %u; 1 to %u are allowed", b->n,
             o->batch_max);
    for (uint32_t i = 0; i < b->n; i++)
        if (b->labels[i] == TAME_UNKNOWN || (o->outputs && b->labels[i] >= o->outputs))
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label %u; the experts have %u outputs",
                 b->labels[i], o->outputs);
    return STATUS_OK;
}

/* Room in the ledger for everything that may be trained by a call that adds so much. */
static enum status
check_room(const struct tame_stream *s, uint64_t steps, uint64_t samples, struct fault *f)
{
    for (uint32_t i = 0; i < s->detector.n_held; i++)
        samples += s->slots[i].n;
    if (!tame_ledger_room(&s->ledger, steps + s->detector.n_held, samples))
        FAIL(f, STATUS_NO_MEMORY, "ledger", "the memory given has no room for another batch");
    return STATUS_OK;
}

/* Samples of the reserve are chosen by their key alone: before any model has seen them. */
static int is_reserve(const struct tame_stream *s, uint64_t key)
{
    const double share = (double)tame_stream_options(s)->reserve;
    return (double)key < share * 18446744073709551616.0;
}

static void put_sample(struct tame_stream *s,
                       struct tame_slot *x,
                       const struct tame_samples *b,
                       uint32_t i,
                       uint32_t at)
{
    x->labels[at] = b->labels[i];
    x->ids[at] = b->ids[i];
    x->keys[at] = b->keys[i];
    memcpy(x->bytes + (size_t)at * s->shape.input_bytes, b->inputs[i], s->shape.input_bytes);
}

/* Copies the batch into the slot, less what is forgotten: first what trains, then the reserve. */
static void fill_slot(struct tame_stream *s, uint32_t slot, const struct tame_samples *b)
{
    struct tame_slot *x = &s->slots[slot];
    struct tame_event *v = s->event;
    uint32_t n[2] = {0, 0};
    if (s->loaded == slot)
        tame_stream_unload(s);
    for (int part = 0; part < 2; part++)
        for (uint32_t i = 0; i < b->n; i++) {
            if (is_reserve(s, b->keys[i]) != part)
                continue;
            if (tame_cut_hits(&s->tombstones, b->labels[i], b->ids[i])) {
                v->tombstoned++;
                continue;
            }
            put_sample(s, x, b, i, n[0] + n[1]);
            n[part]++;
        }
    x->n = n[0];
    x->n_reserve = n[1];
    x->request = b->request;
    v->offered += b->n;
    v->reserved += n[1];
}

static void count_event(struct tame_stream *s, const struct tame_event *v)
{
    s->totals.offered += v->offered;
    s->totals.tombstoned += v->tombstoned;
    s->totals.reserved += v->reserved;
    s->totals.idle += v->idle;
    s->totals.trained += v->trained;
    s->totals.quarantined += v->quarantined;
}

/* Marks steps from `from` on as one group, if they brought their classes together. */
static void mark_group(struct tame_stream *s, uint64_t from, enum tame_outcome outcome)
{
    if (outcome != TAME_CREATED && outcome != TAME_EXTENDED)
        return;
    for (uint64_t i = from; i < s->ledger.n_steps; i++)
        s->ledger.steps[i].group = i == from ? TAME_STEP_FIRST : TAME_STEP_REST;
}

/* What a callback could not report. */
static enum status finish(struct tame_stream *s, enum status status, struct fault *f)
{
    s->event = NULL;
    if (status == STATUS_OK && s->train_status == STATUS_OUT_OF_RANGE)
        status = fault_set(f, STATUS_OUT_OF_RANGE, __FILE__, __LINE__, "loss",
                           "it is no longer finite; the learning rate may be too large");
    else if (status == STATUS_OK && s->train_status != STATUS_OK)
        status = fault_set(f, s->train_status, __FILE__, __LINE__, "classes_max",
                           "an expert would get more than %u classes",
                           tame_stream_options(s)->classes_max);
    s->failed = status != STATUS_OK;
    return status;
}

enum status tame_stream_observe(struct tame_stream *s,
                                const struct tame_samples *batch,
                                struct tame_event *ret_event,
                                struct fault *f)
{
    struct tame_event v = {.batch = s->detector.batches};
    TRY(check_open(s, f));
    TRY(check_samples(s, batch, f));
    TRY(check_room(s, 1, batch->n, f));
    const struct tame_ops ops = ops_of(s);
    const uint32_t slot = tame_detector_slot(&s->detector);
    const uint64_t from = s->ledger.n_steps;
    s->event = &v;
    fill_slot(s, slot, batch);
    s->slots[slot].batch = v.batch;
    enum status status = STATUS_OK;
    if (s->slots[slot].n == 0) {
        v.idle = s->slots[slot].n_reserve;
        v.verdict = (struct tame_verdict){.outcome = TAME_NOTHING, .average = (double)NAN};
        v.verdict.held = s->detector.n_held;
        v.verdict.old_id = v.verdict.id = s->detector.current == TAME_NONE
                                              ? TAME_NONE
                                              : s->detector.experts[s->detector.current].id;
    } else {
        status = tame_detector_observe(&s->detector, &ops, &v.verdict, f);
        mark_group(s, from, v.verdict.outcome);
    }
    TRY(finish(s, status, f));
    count_event(s, &v);
    *ret_event = v;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ probe and close */

/* Fills slots 0 .. with what is left of the batches; returns how many have something to train. */
static uint32_t fill_probe(struct tame_stream *s, const struct tame_samples *batches, uint32_t n)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        fill_slot(s, used, &batches[i]);
        s->slots[used].batch = s->detector.batches + used;
        if (s->slots[used].n)
            used++;
        else
            s->event->idle += s->slots[used].n_reserve;
    }
    return used;
}

enum status tame_stream_probe(struct tame_stream *s,
                              const struct tame_samples *batches,
                              uint32_t n,
                              struct tame_event *ret_event,
                              struct fault *f)
{
    uint64_t samples = 0;
    TRY(check_open(s, f));
    if (n == 0 || n > TAME_PROBE_BATCHES || tame_stream_options(s)->mode != TAME_HARDENED)
        FAIL(f, STATUS_INVALID_ARGUMENT, "probe", "%u batches; 1 to %d are decided on, hardened", n,
             TAME_PROBE_BATCHES);
    for (uint32_t i = 0; i < n; i++) {
        TRY(check_samples(s, &batches[i], f));
        samples += batches[i].n;
    }
    TRY(check_room(s, n, samples, f));
    const struct tame_ops ops = ops_of(s);
    struct tame_event v = {.batch = s->detector.batches};
    s->event = &v;
    struct tame_verdict settled;
    tame_detector_close(&s->detector, &ops, &settled);
    const uint64_t from = s->ledger.n_steps;
    const uint32_t used = fill_probe(s, batches, n);
    enum status status = STATUS_OK;
    if (used) {
        status = tame_detector_probe(&s->detector, &ops, used, &v.verdict, f);
        mark_group(s, from, v.verdict.outcome);
    } else {
        v.verdict = settled;
        v.verdict.outcome = TAME_NOTHING;
    }
    TRY(finish(s, status, f));
    count_event(s, &v);
    *ret_event = v;
    return STATUS_OK;
}

enum status tame_stream_close(struct tame_stream *s, struct tame_event *ret_event, struct fault *f)
{
    TRY(check_open(s, f));
    TRY(check_room(s, 0, 0, f));
    struct tame_event v = {.batch = s->detector.batches};
    const struct tame_ops ops = ops_of(s);
    s->event = &v;
    tame_detector_close(&s->detector, &ops, &v.verdict);
    TRY(finish(s, STATUS_OK, f));
    s->closed = 1;
    count_event(s, &v);
    *ret_event = v;
    return STATUS_OK;
}
