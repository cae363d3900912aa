/* Opening a stream, and its members. */
#include "learners/methods/tame/tame_stream_internal.h"

#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"

#include <string.h>

/* ------------------------------------------------------------------ memory */

static struct tame_buffer_shape shape_buffer(const struct tame_setup *p, const struct tame_shape *s)
{
    const struct tame_options *o = &p->options;
    size_t pairs = (size_t)o->experts_max * o->classes_max;
    if (pairs > o->buffer)
        pairs = o->buffer;
    return (struct tame_buffer_shape){.capacity = o->buffer,
                                      .groups_max = (uint32_t)pairs,
                                      .payload_bytes = tame_stream_payload_bytes(s, o)};
}

/* Places for experts: as many as may be there at once, so that nobody plans for more. */
static uint32_t places_of(const struct tame_setup *p)
{
    const uint32_t most = p->options.experts_max;
    return p->experts_room && p->experts_room < most ? p->experts_room : most;
}

/* `room` samples of all experts together are enough; 0: as many as there are places. */
static struct tame_buffer_shape shape_kept(const struct tame_setup *p,
                                           const struct tame_shape *s,
                                           uint32_t places,
                                           uint32_t room,
                                           int smallest)
{
    const uint32_t experts = places_of(p), all = experts * places;
    return (struct tame_buffer_shape){.capacity = room && room < all ? room : all,
                                      .groups_max = places ? experts : 0,
                                      .per_expert = places ? places : 1,
                                      .smallest = smallest,
                                      .payload_bytes = s->input_bytes};
}

size_t tame_stream_payload_bytes(const struct tame_shape *shape, const struct tame_options *o)
{
    return o->store == TAME_STORE_FEATURE ? shape->feature_width * sizeof(float)
                                          : shape->input_bytes;
}

/* Widest row of logits: an expert's, or a selector's. */
static size_t widest(const struct tame_options *o)
{
    return o->classes_max > o->experts_max ? o->classes_max : o->experts_max;
}

static void
plan_slots(const struct tame_setup *p, const struct tame_shape *s, struct arena_plan *plan)
{
    const size_t n = tame_detector_slots(&p->options), batch = p->options.batch_max;
    size_t bytes;
    arena_plan_add(plan, n, sizeof(struct tame_slot));
    for (size_t i = 0; i < n; i++) {
        arena_plan_add(plan, batch, sizeof(uint32_t));
        arena_plan_add(plan, batch, sizeof(uint64_t));
        arena_plan_add(plan, batch, sizeof(uint64_t));
        bytes = s->input_bytes;
        arena_plan_add(plan, batch, bytes);
        arena_plan_add(plan, batch, sizeof(uint8_t *));
    }
}

static void
plan_scratch(const struct tame_setup *p, const struct tame_shape *s, struct arena_plan *plan)
{
    const size_t batch = p->options.batch_max;
    arena_plan_add(plan, batch * widest(&p->options), sizeof(float));
    arena_plan_add(plan, batch * widest(&p->options), sizeof(float));
    arena_plan_add(plan, batch, sizeof(float));
    arena_plan_add(plan, batch, sizeof(uint32_t));
    arena_plan_add(plan, batch * tame_detector_slots(&p->options), sizeof(uint32_t));
    arena_plan_add(plan, batch * s->feature_width, sizeof(float));
    arena_plan_add(plan, batch, sizeof(uint8_t *));
}

static void
plan_members(const struct tame_setup *p, const struct tame_shape *s, struct arena_plan *plan)
{
    const struct tame_options *o = &p->options;
    const uint32_t places = places_of(p);
    arena_plan_add(plan, places, sizeof(struct tame_member));
    arena_plan_add(plan, places, sizeof(struct tame_weights));
    arena_plan_add(plan, (size_t)places * o->classes_max, sizeof(uint32_t));
    arena_plan_add(plan, places, 1);
    for (uint32_t i = 0; i < places; i++)
        arena_plan_add(plan, tame_expert_memory(s, o->classes_max), sizeof(float));
}

size_t tame_stream_plan_shape(const struct tame_setup *setup, const struct tame_shape *shape)
{
    const struct tame_shape s = *shape;
    struct arena_plan plan = {0};
    const struct tame_options *o = &setup->options;
    arena_plan_add(&plan, 1, sizeof(struct tame_stream));
    tame_detector_plan(o, &plan);
    plan_members(setup, &s, &plan);
    plan_slots(setup, &s, &plan);
    plan_scratch(setup, &s, &plan);
    tame_ledger_plan(setup->ledger_steps, setup->ledger_samples, &plan);
    const struct tame_buffer_shape buffer = shape_buffer(setup, &s);
    const struct tame_buffer_shape reserve =
        shape_kept(setup, &s, o->reserve_max, setup->reserve_room, 1);
    const struct tame_buffer_shape prune = shape_kept(setup, &s, o->prune_buffer, 0, 0);
    tame_buffer_plan(&buffer, &plan);
    tame_buffer_plan(&reserve, &plan);
    tame_buffer_plan(&prune, &plan);
    tame_selector_plan(o, &s, &plan);
    const size_t bytes = arena_plan_bytes(&plan);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

size_t tame_stream_plan(const struct tame_setup *setup)
{
    struct tame_shape shape;
    setup->kind->shape(setup->engine, &shape);
    return tame_stream_plan_shape(setup, &shape);
}

static int new_slot(const struct tame_stream *s, struct arena *arena, struct tame_slot *ret_slot)
{
    const size_t batch = tame_stream_options(s)->batch_max;
    struct tame_slot x = {0};
    x.labels = arena_alloc(arena, batch, sizeof *x.labels);
    x.ids = arena_alloc(arena, batch, sizeof *x.ids);
    x.keys = arena_alloc(arena, batch, sizeof *x.keys);
    x.bytes = arena_alloc(arena, batch, s->shape.input_bytes);
    x.inputs = arena_alloc(arena, batch, sizeof *x.inputs);
    if (!x.labels || !x.ids || !x.keys || !x.bytes || !x.inputs)
        return 0;
    for (size_t i = 0; i < batch; i++)
        x.inputs[i] = x.bytes + i * s->shape.input_bytes;
    *ret_slot = x;
    return 1;
}

static int new_slots(struct tame_stream *s, struct arena *arena)
{
    s->n_slots = tame_detector_slots(tame_stream_options(s));
    s->slots = arena_alloc(arena, s->n_slots, sizeof *s->slots);
    int ok = s->slots != NULL;
    for (uint32_t i = 0; ok && i < s->n_slots; i++)
        ok = new_slot(s, arena, &s->slots[i]);
    return ok;
}

static int new_scratch(struct tame_stream *s, struct arena *arena)
{
    const struct tame_options *o = tame_stream_options(s);
    const size_t batch = o->batch_max;
    s->logits = arena_alloc(arena, batch * widest(o), sizeof(float));
    s->dlogits = arena_alloc(arena, batch * widest(o), sizeof(float));
    s->losses = arena_alloc(arena, batch, sizeof(float));
    s->targets = arena_alloc(arena, batch, sizeof(uint32_t));
    s->classes = arena_alloc(arena, batch * s->n_slots, sizeof(uint32_t));
    s->features = arena_alloc(arena, batch * s->shape.feature_width, sizeof(float));
    s->gather = arena_alloc(arena, batch, sizeof *s->gather);
    return s->logits && s->dlogits && s->losses && s->targets && s->classes && s->features &&
           s->gather;
}

/* Weights are not touched before an expert is made, so places that are never used cost nothing. */
static int new_members(struct tame_stream *s, struct arena *arena)
{
    const struct tame_options *o = tame_stream_options(s);
    s->members = arena_alloc_zero(arena, s->places, sizeof *s->members);
    s->weights = arena_alloc_zero(arena, s->places, sizeof *s->weights);
    s->labels = arena_alloc(arena, (size_t)s->places * o->classes_max, sizeof *s->labels);
    s->taken = arena_alloc_zero(arena, s->places, 1);
    if (!s->members || !s->weights || !s->labels || !s->taken)
        return 0;
    for (uint32_t i = 0; i < s->places; i++) {
        float *memory =
            arena_alloc(arena, tame_expert_memory(&s->shape, o->classes_max), sizeof *memory);
        if (!memory)
            return 0;
        tame_expert_map(&s->shape, o->classes_max, memory, &s->weights[i]);
    }
    return 1;
}

static int new_kept(struct tame_stream *s, const struct tame_setup *p, struct arena *arena)
{
    const struct tame_buffer_shape buffer = shape_buffer(p, &s->shape);
    const struct tame_buffer_shape reserve =
        shape_kept(p, &s->shape, p->options.reserve_max, p->reserve_room, 1);
    const struct tame_buffer_shape prune = shape_kept(p, &s->shape, p->options.prune_buffer, 0, 0);
    return tame_ledger_new(p->ledger_steps, p->ledger_samples, arena, &s->ledger) &&
           tame_buffer_new(&buffer, arena, &s->buffer) &&
           tame_buffer_new(&reserve, arena, &s->reserve) &&
           tame_buffer_new(&prune, arena, &s->prune) &&
           tame_selector_new(&p->options, &s->shape, arena, &s->selector);
}

/* ------------------------------------------------------------------ opening */

static enum status
check_setup(const struct tame_setup *p, const struct tame_shape *s, struct fault *f)
{
    const struct tame_options *o = &p->options;
    TRY(tame_options_check(o, f));
    if (o->window == 0 || o->guard < 0 || o->floor < 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "window", "automatic settings are not resolved");
    if (o->batch_max > s->batch_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch_max", "%u is above the engine's %u", o->batch_max,
             s->batch_max);
    const int features = o->store == TAME_STORE_FEATURE || o->selector == TAME_SELECTOR_LINEAR;
    if (features && s->feature_width == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "selector", "%s experts have no frozen features",
             p->kind->name);
    if (o->store == TAME_STORE_FEATURE && o->selector == TAME_SELECTOR_NET)
        FAIL(f, STATUS_INVALID_ARGUMENT, "store", "a network as selector needs the images");
    return STATUS_OK;
}

static struct tame_stream *new_stream(const struct tame_setup *p, struct arena *arena)
{
    struct tame_stream *s = arena_alloc_zero(arena, 1, sizeof *s);
    if (!s)
        return NULL;
    s->magic = TAME_STREAM_MAGIC;
    s->kind = p->kind;
    s->engine = p->engine;
    s->kind->shape(s->engine, &s->shape);
    s->seed = p->seed;
    s->places = places_of(p);
    s->trunk = p->trunk;
    s->tombstones = p->tombstones;
    s->tombstones.expert = UINT32_MAX;
    if (!tame_detector_new(&p->options, arena, &s->detector) || !new_members(s, arena) ||
        !new_slots(s, arena) || !new_scratch(s, arena) || !new_kept(s, p, arena))
        return NULL;
    tame_stream_unload(s);
    return s;
}

enum status tame_stream_open(const struct tame_setup *setup,
                             const void *record,
                             size_t size,
                             struct arena *arena,
                             struct tame_stream **ret_stream,
                             struct fault *f)
{
    struct tame_shape shape;
    setup->kind->shape(setup->engine, &shape);
    TRY(check_setup(setup, &shape, f));
    const struct arena_mark mark = arena_mark(arena);
    struct tame_stream *s = new_stream(setup, arena);
    if (!s) {
        arena_rewind(arena, mark);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    const enum status status = record ? tame_stream_read(s, record, size, f) : STATUS_OK;
    if (status != STATUS_OK) {
        arena_rewind(arena, mark);
        return status;
    }
    s->roster.current = record ? s->roster.current : TAME_NONE;
    s->sealed = record == NULL;
    s->kind->reset(s->engine);
    *ret_stream = s;
    return STATUS_OK;
}

enum status tame_stream_seal(struct tame_stream *s, struct fault *f)
{
    TRY(tame_detector_seal(&s->detector, &s->roster, f));
    s->sealed = 1;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ members */

struct tame_weights *tame_member_weights(const struct tame_stream *s, uint32_t e)
{
    return &s->weights[s->members[e].place];
}

uint32_t *tame_member_labels(const struct tame_stream *s, uint32_t e)
{
    return s->labels + (size_t)s->members[e].place * tame_stream_options(s)->classes_max;
}

uint32_t tame_member_place(const struct tame_stream *s)
{
    for (uint32_t i = 0; i < s->places; i++)
        if (!s->taken[i])
            return i;
    return TAME_NONE;
}

void tame_member_remove(struct tame_stream *s, uint32_t e)
{
    const uint32_t n = s->detector.n_experts;
    struct tame_weights *w = tame_member_weights(s, e);
    memset(w->v[0], 0, tame_expert_memory(&s->shape, w->classes_max) * sizeof(float));
    w->revision++;
    s->taken[s->members[e].place] = 0;
    memmove(s->members + e, s->members + e + 1, (n - e - 1) * sizeof *s->members);
    tame_detector_remove(&s->detector, e);
    tame_stream_unload(s);
}

uint64_t tame_member_seed(const struct tame_stream *s, uint32_t id)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = s->seed}, "tame/expert", id);
    return rng_u64(&r);
}

static uint32_t row_of(const uint32_t *table, uint32_t n, uint32_t label)
{
    for (uint32_t i = 0; i < n; i++)
        if (table[i] == label)
            return i;
    return TAME_UNKNOWN;
}

void tame_member_targets(const struct tame_stream *s,
                         uint32_t e,
                         const uint32_t *labels,
                         uint32_t n)
{
    const uint32_t *table = tame_member_labels(s, e);
    const uint32_t classes = tame_member_weights(s, e)->classes;
    for (uint32_t i = 0; i < n; i++)
        s->targets[i] = row_of(table, classes, labels[i]);
}

uint32_t tame_collect_classes(
    struct tame_stream *s, uint32_t e, uint32_t at, const uint32_t *labels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (e != TAME_NONE && row_of(tame_member_labels(s, e), tame_member_weights(s, e)->classes,
                                     labels[i]) != TAME_UNKNOWN)
            continue;
        uint32_t k = 0;
        while (k < at && s->classes[k] < labels[i])
            k++;
        if (k < at && s->classes[k] == labels[i])
            continue;
        memmove(s->classes + k + 1, s->classes + k, (at - k) * sizeof *s->classes);
        s->classes[k] = labels[i];
        at++;
    }
    return at;
}

int tame_member_add_classes(struct tame_stream *s, uint32_t e, const uint32_t *list, uint32_t n)
{
    struct tame_weights *w = tame_member_weights(s, e);
    if (n > w->classes_max - w->classes)
        return 0;
    memcpy(tame_member_labels(s, e) + w->classes, list, n * sizeof *list);
    tame_expert_grow(&s->shape, w->classes + n, w);
    return 1;
}

void tame_stream_unload(struct tame_stream *s)
{
    s->loaded = TAME_NONE;
    s->pass.slot = TAME_NONE;
}

/* Appends every label that the expert lacks, as they come. */
static int add_unknown(struct tame_stream *s, uint32_t e, const uint32_t *labels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (row_of(tame_member_labels(s, e), tame_member_weights(s, e)->classes, labels[i]) ==
                TAME_UNKNOWN &&
            !tame_member_add_classes(s, e, labels + i, 1))
            return 0;
    return 1;
}

int tame_member_step(struct tame_stream *s, uint32_t e, const uint32_t *labels, uint32_t n)
{
    struct tame_weights *w = tame_member_weights(s, e);
    const uint32_t before = w->classes;
    if (!add_unknown(s, e, labels, n))
        return 0;
    tame_expert_widen(n, before, w->classes, s->logits);
    tame_member_targets(s, e, labels, n);
    tame_expert_gradient(&s->shape, n, w->classes, s->logits, s->targets, s->dlogits);
    w->steps++;
    s->kind->step(s->engine, w, s->dlogits);
    w->revision++;
    s->pass.slot = TAME_NONE;
    return 1;
}

/* ------------------------------------------------------------------ looking */

const struct tame_detector *tame_stream_detector(const struct tame_stream *s)
{
    return &s->detector;
}

const struct tame_ledger *tame_stream_ledger(const struct tame_stream *s)
{
    return &s->ledger;
}

const struct tame_totals *tame_stream_totals(const struct tame_stream *s)
{
    return &s->totals;
}

const struct tame_buffer *tame_stream_buffer(const struct tame_stream *s)
{
    return &s->buffer;
}

const struct tame_buffer *tame_stream_reserve(const struct tame_stream *s)
{
    return &s->reserve;
}

const struct tame_buffer *tame_stream_prune_buffer(const struct tame_stream *s)
{
    return &s->prune;
}

struct tame_weights *tame_stream_weights(struct tame_stream *s, uint32_t e)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts);
    return tame_member_weights(s, e);
}

const uint32_t *tame_stream_labels(const struct tame_stream *s, uint32_t e)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts);
    return tame_member_labels(s, e);
}

int tame_stream_stale(const struct tame_stream *s, uint32_t e)
{
    return s->members[e].stale;
}
