/*
 * A small world for the TAME learner: 8x8 pictures of six classes in two tasks, a tiny ViT with
 * random weights, and a version's components, which every run replaces as the daemon would.
 */
#ifndef LETHE_TESTS_TAME_WORLD_H
#define LETHE_TESTS_TAME_WORLD_H

#include "tests/support/test.h"

#include "learners/math/gemm.h"
#include "learners/methods/tame/tame_learner.h"
#include "tests/property/learners/vit_fixture.h"

#define WORLD_CLASSES 6u  /* "a" .. "c" are task 0, "d" .. "f" task 1 */
#define WORLD_BATCH   12u /* images a batch */
#define WORLD_RUN     20u /* batches of a run of one task */
#define WORLD_IMAGES  (3u * WORLD_RUN * WORLD_BATCH)
#define WORLD_PIXELS  64u
#define WORLD_PARTS   32u

static const char *const world_classes[WORLD_CLASSES] = {"a", "b", "c", "d", "e", "f"};

struct world_part {
    char kind[16], name[LEARNER_NAME_SIZE];
    uint8_t *bytes;
    size_t size;
};

struct world {
    struct vit_config c;
    float *block;
    struct vit_weights w;
    void *pool_memory;
    struct pool *pool;
    uint8_t pixels[WORLD_IMAGES * WORLD_PIXELS];
    int32_t labels[WORLD_IMAGES];
    uint64_t keys[WORLD_IMAGES];
    uint32_t rows[WORLD_IMAGES];
    struct learner_trunk trunk;
    uint32_t threads;
    struct world_part parts[WORLD_PARTS];
    uint32_t n_parts;
    uint32_t changed; /* components that the last run exported */
    uint32_t steps;   /* of the last run */
    float first_loss; /* of its first step */
    struct learner_event events[LEARNER_EVENTS];
    uint32_t n_events;
    struct fault f;
};

/* What a run is asked for; the rest is the world's. */
struct world_wish {
    const struct learner_option *options;
    uint32_t n_options;
    uint32_t from, until; /* rows to push */
    const struct learner_erasure *erasure;
    uint32_t images; /* how many are given, 0: all */
};

/* Image i: noise, and brightness where its class's mask has a bit.  Runs of t0 t1 t0. */
static inline void world_draw(struct world *x)
{
    static const uint32_t masks[WORLD_CLASSES] = {0x000f, 0x8888, 0x0660, 0xa5a5, 0xf000, 0x1248};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 77}, "world", 0);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        const uint32_t task = i / (WORLD_RUN * WORLD_BATCH) % 2, k = task * 3 + i % 3;
        x->labels[i] = (int32_t)k;
        x->rows[i] = i;
        x->keys[i] = rng_u64(&r);
        for (uint32_t p = 0; p < WORLD_PIXELS; p++) {
            const uint32_t cell = p / 16 * 4 + p % 8 / 2;
            const uint64_t noise = rng_below(&r, 60);
            x->pixels[i * WORLD_PIXELS + p] = (uint8_t)(noise + (masks[k] >> cell & 1 ? 150 : 0));
        }
    }
}

static inline void world_init(struct world *x, uint32_t threads)
{
    memset(x, 0, sizeof *x);
    assert_int_equal(gemm_setup(&x->f), STATUS_OK);
    x->c = vit_fixture_tiny();
    x->c.width = 16;
    x->c.hidden = 24;
    x->threads = threads;
    x->block = vit_fixture_alloc(vit_weights_floats(&x->c), sizeof(float));
    vit_weights_map(&x->c, x->block, &x->w);
    struct vit_fixture weights = {.c = x->c, .weight_block = x->block, .w = x->w};
    vit_fixture_weights(&weights, 7, 0.3f);
    x->pool_memory = vit_fixture_alloc(1, pool_plan(threads));
    assert_int_equal(pool_init(x->pool_memory, threads, &x->pool), STATUS_OK);
    world_draw(x);
    x->trunk = (struct learner_trunk){.config = x->c,
                                      .weights = &x->w,
                                      .labels = world_classes,
                                      .base = {.b = {1}},
                                      .state = {.b = {2}},
                                      .preprocessing = {.b = {3}}};
}

static inline void world_clear(struct world *x)
{
    for (uint32_t i = 0; i < x->n_parts; i++)
        free(x->parts[i].bytes);
    x->n_parts = 0;
}

static inline void world_fini(struct world *x)
{
    world_clear(x);
    pool_fini(x->pool);
    free(x->pool_memory);
    free(x->block);
}

/* The version's component of this name, NULL. */
static inline struct world_part *world_part(struct world *x, const char *name)
{
    for (uint32_t i = 0; i < x->n_parts; i++)
        if (strcmp(x->parts[i].name, name) == 0)
            return &x->parts[i];
    return NULL;
}

/* The same where it must be there. */
static inline struct world_part *world_the(struct world *x, const char *name)
{
    struct world_part *part = world_part(x, name);
    if (!part)
        abort();
    return part;
}

static inline void world_keep(struct world *x, const struct learner_part *from)
{
    struct world_part *to = world_part(x, from->name);
    if (!from->bytes) { /* it is no more */
        assert_int_equal(from->size, 0);
        to = world_the(x, from->name);
        free(to->bytes);
        *to = x->parts[--x->n_parts];
        return;
    }
    if (!to) {
        assert_true(x->n_parts < WORLD_PARTS);
        to = &x->parts[x->n_parts++];
        memset(to, 0, sizeof *to);
        memcpy(to->kind, from->kind, strlen(from->kind));
        memcpy(to->name, from->name, strlen(from->name));
    }
    free(to->bytes);
    to->bytes = vit_fixture_alloc(from->size, 1);
    to->size = from->size;
    memcpy(to->bytes, from->bytes, from->size);
}

static inline struct learner_problem
world_problem(struct world *x, const struct world_wish *wish, struct learner_part *parts)
{
    for (uint32_t i = 0; i < x->n_parts; i++)
        parts[i] = (struct learner_part){.kind = x->parts[i].kind,
                                         .name = x->parts[i].name,
                                         .bytes = x->parts[i].bytes,
                                         .size = x->parts[i].size};
    struct learner_problem p = {.trunk = x->trunk,
                                .request = {.b = {7}},
                                .seed = 5,
                                .name = "s",
                                .images = {.pixels = x->pixels,
                                           .labels = x->labels,
                                           .n = wish->images ? wish->images : WORLD_IMAGES,
                                           .size = 8,
                                           .channels = 1,
                                           .scale = {0.01f},
                                           .shift = {-1.0f}},
                                .keys = x->keys,
                                .n_classes = WORLD_CLASSES,
                                .classes = world_classes,
                                .memory = {.b = {9}},
                                .parts = parts,
                                .n_parts = x->n_parts,
                                .options = wish->options,
                                .n_options = wish->n_options,
                                .erasure = wish->erasure};
    p.lists[LEARNER_TRAIN] = (struct learner_rows){x->rows + wish->from, wish->until - wish->from};
    return p;
}

static inline enum status world_steps(struct world *x, struct learner_run *run)
{
    struct learner_progress g = {0};
    x->steps = 0;
    while (!g.done) {
        const enum status st = learner_tame.step(run, &g, &x->f);
        if (st != STATUS_OK)
            return st;
        if (x->steps++ == 0)
            x->first_loss = g.loss;
        assert_int_equal(g.step, x->steps);
        assert_true(g.steps >= g.step);
    }
    return STATUS_OK;
}

/* A whole run; the components are replaced only if it succeeds. */
static inline enum status world_run(struct world *x, const struct world_wish *wish)
{
    struct learner_part given[WORLD_PARTS], made[LEARNER_PARTS];
    const struct learner_problem p = world_problem(x, wish, given);
    struct learner_run *run;
    struct learner_outcome outcome;
    struct arena arena;
    size_t size = learner_tame.plan(&p, x->threads);
    x->f = (struct fault){0};
    if (size == SIZE_MAX)
        size = 4096; /* init says what is wrong before it takes memory */
    void *memory = vit_fixture_alloc(size, 1);
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x->pool, .arena = &arena};
    enum status st = learner_tame.init(&p, &tools, &run, &x->f);
    if (st != STATUS_OK)
        assert_int_equal(arena_mark(&arena).used, 0);
    if (st == STATUS_OK)
        st = world_steps(x, run);
    if (st == STATUS_OK)
        st = learner_tame.export(run, made, &x->changed, &outcome, &x->f);
    if (st == STATUS_OK) {
        x->n_events = outcome.n_events;
        if (outcome.n_events)
            memcpy(x->events, outcome.events, outcome.n_events * sizeof x->events[0]);
        for (uint32_t i = 0; i < x->changed; i++)
            world_keep(x, &made[i]);
    }
    arena_fini(&arena);
    free(memory);
    return st;
}

static inline void world_must(struct world *x, const struct world_wish *wish)
{
    if (world_run(x, wish) != STATUS_OK)
        fail_msg("%s: %s", x->f.field, x->f.text);
}

static inline void world_open(struct world *x)
{
    static const struct learner_option options[] = {
        {"action", "open"},   {"batch", "12"},    {"n_run", "20"},       {"lr", "0.02"},
        {"rank", "2"},        {"reserve", "0.2"}, {"reserve_max", "60"}, {"experts_max", "8"},
        {"classes_max", "8"}, {"probe", "off"}};
    world_must(x, &(struct world_wish){.options = options, .n_options = 10});
}

/* Batches from .. until of the stream. */
static inline void world_push(struct world *x, uint32_t from, uint32_t until)
{
    world_must(x, &(struct world_wish){.from = from * WORLD_BATCH, .until = until * WORLD_BATCH});
}

static inline struct tame_learner_info world_info(struct world *x)
{
    struct tame_learner_info info;
    const struct world_part *s = world_the(x, "s");
    assert_int_equal(tame_learner_peek(s->bytes, s->size, &info, &x->f), STATUS_OK);
    return info;
}

/* A copy of a component's bytes, to compare with later. */
static inline struct world_part world_copy(struct world *x, const char *name)
{
    struct world_part *from = world_the(x, name);
    struct world_part copy = *from;
    copy.bytes = vit_fixture_alloc(from->size, 1);
    memcpy(copy.bytes, from->bytes, from->size);
    return copy;
}

static inline void assert_same_part(const struct world_part *a, const struct world_part *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
}

#endif
