/* A tiny trunk with fake lanes, experts and a router, and answers of it. */
#ifndef LETHE_TESTS_ANSWER_FIXTURE_H
#define LETHE_TESTS_ANSWER_FIXTURE_H

#include "tests/support/test.h"

#include "learners/answer/answer.h"
#include "tests/property/learners/vit_fixture.h"
#include "tests/support/fake_learner.h"

#define WORLD_IMAGES 7
#define WORLD_PARTS  8

static const char *const world_labels[3] = {"red", "green", "blue"};

struct world {
    struct vit_fixture vit;
    struct fake_record records[WORLD_PARTS];
    struct learner_part parts[WORLD_PARTS];
    struct answer_parts list;
    void *memory;
    struct arena arena;
    struct answer *answer;
};

#define world_ok(expression)                                                                       \
    do {                                                                                           \
        struct fault fault_ = {0}, *fx = &fault_;                                                  \
        const enum status st_ = (expression);                                                      \
        if (st_ != STATUS_OK)                                                                      \
            fail_msg("%s: %s (%s)", status_name(st_), fault_.text, fault_.field);                  \
    } while (0)

/* The trunk alone. */
static inline void world_init(struct world *x, uint32_t threads)
{
    memset(x, 0, sizeof *x);
    const struct vit_config c = vit_fixture_tiny();
    vit_fixture_init(&x->vit, &c, VIT_INFER, WORLD_IMAGES, threads);
    x->list = (struct answer_parts){
        .trunk = {.config = c, .weights = &x->vit.w, .labels = world_labels, .base = {.b = {1}}},
        .parts = x->parts,
        .lookup = fake_lookup};
}

static inline struct fake_record *
world_add(struct world *x, const char *kind, const char *name, float threshold, const char *labels)
{
    const uint32_t i = x->list.n_parts++;
    x->records[i] = fake_record(i + 1, threshold, labels);
    x->parts[i] = fake_part(kind, name, &x->records[i]);
    return &x->records[i];
}

/* Builds the answer in exactly the memory that was planned. */
static inline void world_build(struct world *x)
{
    size_t work;
    const size_t size = answer_plan(&x->list, pool_threads(x->vit.pool), &work);
    assert_true(size < SIZE_MAX && work < SIZE_MAX);
    x->memory = vit_fixture_alloc(size, 1);
    void *scratch_memory = vit_fixture_alloc(work, 1);
    struct arena scratch;
    arena_init(&x->arena, x->memory, size);
    arena_init(&scratch, scratch_memory, work);
    const struct learner_tools tools = {.pool = x->vit.pool, .arena = &x->arena};
    world_ok(answer_new(&x->list, &tools, &scratch, &x->answer, fx));
    assert_int_equal(arena_mark(&scratch).used, 0);
    arena_fini(&scratch);
    free(scratch_memory);
}

static inline void world_fini(struct world *x)
{
    if (x->memory)
        arena_fini(&x->arena);
    free(x->memory);
    vit_fixture_fini(&x->vit);
}

/* A run's workspace in exactly the memory that was planned. */
struct world_run {
    void *memory;
    struct arena arena;
    struct answer_forward *forward;
    const struct answer_columns *columns;
    uint8_t wanted[WORLD_PARTS + 1];
    struct answer_scores scores;
};

static inline void
world_run_init(struct world *x, const char *scope, uint32_t n_max, struct world_run *r)
{
    memset(r, 0, sizeof *r);
    world_ok(answer_scope(x->answer, scope, r->wanted, fx));
    const struct answer_wish wish = {.wanted = r->wanted, .n_max = n_max};
    const size_t size = answer_forward_plan(x->answer, &wish, pool_threads(x->vit.pool));
    assert_true(size < SIZE_MAX);
    r->memory = vit_fixture_alloc(size, 1);
    arena_init(&r->arena, r->memory, size);
    const struct learner_tools tools = {.pool = x->vit.pool, .arena = &r->arena};
    world_ok(answer_forward_new(x->answer, &wish, &tools, &r->forward, fx));
    r->columns = answer_forward_columns(r->forward);
}

static inline void world_run_fini(struct world_run *r)
{
    arena_fini(&r->arena);
    free(r->memory);
}

/* Answers all images, at most `batch` at a time; [WORLD_IMAGES, W] each, free() them. */
struct world_answers {
    uint32_t width, n_owners;
    float *raw, *routed, *owners;
    uint32_t chosen[WORLD_IMAGES];
    enum answer_decision decision;
};

static inline struct world_answers world_ask(struct world *x, const char *scope, uint32_t batch)
{
    struct world_run r;
    world_run_init(x, scope, batch, &r);
    struct world_answers a = {.width = r.columns->n, .n_owners = r.columns->n_owners};
    a.raw = vit_fixture_alloc((size_t)WORLD_IMAGES * a.width, sizeof *a.raw);
    a.routed = vit_fixture_alloc((size_t)WORLD_IMAGES * a.width, sizeof *a.routed);
    a.owners = vit_fixture_alloc((size_t)WORLD_IMAGES * a.n_owners, sizeof *a.owners);
    for (uint32_t from = 0; from < WORLD_IMAGES; from += batch) {
        const uint32_t n = WORLD_IMAGES - from < batch ? WORLD_IMAGES - from : batch;
        answer_run(r.forward, n, x->vit.images + from, &r.scores);
        assert_int_equal(r.scores.n, n);
        const size_t at = (size_t)from * a.width, size = (size_t)n * a.width * sizeof(float);
        memcpy(a.raw + at, r.scores.raw, size);
        memcpy(a.routed + at, r.scores.routed, size);
        if (r.scores.owners)
            memcpy(a.owners + (size_t)from * a.n_owners, r.scores.owners,
                   (size_t)n * a.n_owners * sizeof(float));
        memcpy(a.chosen + from, r.scores.chosen, n * sizeof *a.chosen);
        a.decision = r.scores.decision;
    }
    world_run_fini(&r);
    return a;
}

static inline void world_answers_free(struct world_answers *a)
{
    free(a->raw);
    free(a->routed);
    free(a->owners);
}

#endif
