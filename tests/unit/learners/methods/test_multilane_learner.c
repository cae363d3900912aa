/* MULTI-LANE through the learner table: train, import, answer, lineage, what an erasure does. */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#include "learners/learner.h"

#include <stdio.h>

#define N_IMAGES 24
#define SIDE     8

struct world {
    struct vit_fixture x;
    struct learner_trunk trunk;
    uint8_t pixels[N_IMAGES * SIDE * SIDE];
    int32_t labels[N_IMAGES];
    uint8_t hot[N_IMAGES * 2];
    uint64_t keys[N_IMAGES];
    uint32_t rows[N_IMAGES];
    struct learner_problem problem;
    uint8_t bytes[8192];
    struct learner_part part;
    void *memory;
    struct arena arena;
    struct learner_model *model;
};

static const char *const classes[2] = {"cat", "dog"};
static const struct learner_option options[] = {
    {"selectors", "2"}, {"prompts", "2"}, {"prompt_blocks", "2"}, {"epochs", "2"}, {"batch", "7"}};

static void world_init(struct world *w)
{
    const struct vit_config c = vit_fixture_tiny();
    vit_fixture_init(&w->x, &c, VIT_INFER, N_IMAGES, 2);
    w->trunk = (struct learner_trunk){.config = c, .weights = &w->x.w};
    memset(w->trunk.base.b, 1, DIGEST_SIZE);
    memset(w->trunk.state.b, 2, DIGEST_SIZE);
    memset(w->trunk.preprocessing.b, 3, DIGEST_SIZE);
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        w->labels[i] = (int32_t)(i % 2);
        w->hot[2 * i + i % 2] = 1;
        w->keys[i] = 100 + i;
        w->rows[i] = i;
        memset(w->pixels + i * SIDE * SIDE, i % 2 ? 200 : 30, SIDE * SIDE / 2);
        w->pixels[i * SIDE * SIDE + 40] = (uint8_t)(10 * i);
    }
    w->problem = (struct learner_problem){
        .trunk = w->trunk,
        .seed = 12,
        .name = "pets",
        .images = {w->pixels, w->labels, N_IMAGES, SIDE, 1, {1 / 127.5f}, {-1}},
        .keys = w->keys,
        .n_classes = 2,
        .classes = classes,
        .lists = {{w->rows, 18}, {w->rows + 18, 6}},
        .options = options,
        .n_options = sizeof options / sizeof *options};
    memset(w->problem.memory.b, 4, DIGEST_SIZE);
    w->memory = NULL;
}

static void world_fini(struct world *w)
{
    if (w->memory) {
        arena_fini(&w->arena);
        free(w->memory);
    }
    vit_fixture_fini(&w->x);
}

static enum status world_run(struct world *w, struct fault *f)
{
    const size_t bytes = learner_multilane.plan(&w->problem, 2);
    if (bytes == SIZE_MAX) { /* what init says about it */
        unsigned char memory[4096];
        struct arena arena;
        struct learner_run *run;
        arena_init(&arena, memory, sizeof memory);
        const enum status refusal = learner_multilane.init(
            &w->problem, &(struct learner_tools){.pool = w->x.pool, .arena = &arena}, &run, f);
        arena_fini(&arena);
        return refusal;
    }
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct learner_run *run;
    struct learner_progress g = {0};
    struct learner_part parts[LEARNER_PARTS];
    struct learner_outcome outcome;
    uint32_t n;
    arena_init(&arena, memory, bytes);
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &arena};
    enum status st = learner_multilane.init(&w->problem, &tools, &run, f);
    while (st == STATUS_OK && !g.done)
        st = learner_multilane.step(run, &g, f);
    if (st == STATUS_OK) {
        assert_int_equal(g.step, 6);
        assert_int_equal(g.steps, 6);
        assert_true(g.acc_valid >= 0 && g.acc_valid <= 1);
        st = learner_multilane.export(run, parts, &n, &outcome, f);
        assert_int_equal(n, 1);
        assert_string_equal(parts[0].kind, "lane");
        assert_string_equal(parts[0].name, "pets");
        assert_true(parts[0].size <= sizeof w->bytes);
        memcpy(w->bytes, parts[0].bytes, parts[0].size);
        w->part = (struct learner_part){"lane", "pets", w->bytes, parts[0].size, {{9}}};
    }
    arena_fini(&arena);
    free(memory);
    return st;
}

static enum status world_import(struct world *w, struct fault *f)
{
    const size_t bytes = learner_multilane.import_plan(&w->part, &w->trunk);
    w->memory = vit_fixture_alloc(1, bytes);
    arena_init(&w->arena, w->memory, bytes);
    return learner_multilane.import(&w->part, &w->trunk, &w->arena, &w->model, f);
}

/* Logits [N_IMAGES, 2] of the model on a trunk. */
static void world_answer(struct world *w, const struct learner_trunk *trunk, float *logits)
{
    struct learner_model *models[1] = {w->model};
    const size_t bytes = learner_multilane.forward_plan(models, 1, trunk, N_IMAGES, 2);
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct learner_forward *forward;
    arena_init(&arena, memory, bytes);
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &arena};
    assert_int_equal(
        learner_multilane.forward_new(models, 1, trunk, N_IMAGES, &tools, &forward, NULL),
        STATUS_OK);
    const struct learner_watch watch = learner_multilane.watch(forward);
    for (uint32_t i = 0; i < N_IMAGES; i++)
        images_load(&w->problem.images, i, w->x.pixels + i * SIDE * SIDE);
    const struct vit_input in = {.n = N_IMAGES, .images = w->x.images};
    vit_forward(
        w->x.batch, &w->x.w, &in,
        &(struct vit_output){.observer = watch.observer, .observer_context = watch.context});
    learner_multilane.forward(forward, &(struct learner_stream){.n = N_IMAGES},
                              (float *const[]){logits});
    arena_fini(&arena);
    free(memory);
}

void test_multilane_learner_trains_and_answers(void **state)
{
    (void)state;
    static struct world w;
    struct fault f = {0};
    float logits[2 * N_IMAGES], other[2 * N_IMAGES];
    const char *const *names;
    world_init(&w);
    assert_int_equal(world_run(&w, &f), STATUS_OK);
    assert_int_equal(world_import(&w, &f), STATUS_OK);
    assert_int_equal(learner_multilane.labels(w.model, &names), 2);
    assert_string_equal(names[1], "dog");
    assert_true(learner_multilane.threshold(w.model, 0) < 0);
    world_answer(&w, &w.trunk, logits);
    assert_memory_not_equal(logits, logits + 2, 2 * sizeof *logits);
    /* another state of the same weights' name: Shat is made again, and is the same here */
    struct learner_trunk moved = w.trunk;
    memset(moved.state.b, 8, DIGEST_SIZE);
    world_answer(&w, &moved, other);
    assert_memory_equal(logits, other, sizeof logits);
    world_fini(&w);
}

/* The same problem in another request gives the same bytes; a run can be cancelled. */
void test_multilane_learner_repeats_itself(void **state)
{
    (void)state;
    static struct world a, b;
    struct fault f = {0};
    world_init(&a);
    world_init(&b);
    memset(b.problem.request.b, 7, REQUEST_ID_SIZE);
    assert_int_equal(world_run(&a, &f), STATUS_OK);
    assert_int_equal(world_run(&b, &f), STATUS_OK);
    assert_int_equal(a.part.size, b.part.size);
    assert_memory_equal(a.bytes, b.bytes, a.part.size);
    const size_t bytes = learner_multilane.plan(&a.problem, 2);
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct learner_run *run;
    struct learner_progress g;
    atomic_int cancel = 1;
    arena_init(&arena, memory, bytes);
    const struct learner_tools tools = {a.x.pool, &arena, &cancel};
    assert_int_equal(learner_multilane.init(&a.problem, &tools, &run, &f), STATUS_OK);
    assert_int_equal(learner_multilane.step(run, &g, &f), STATUS_CANCELLED);
    arena_fini(&arena);
    free(memory);
    world_fini(&a);
    world_fini(&b);
}

void test_multilane_learner_threshold_of_several_labels(void **state)
{
    (void)state;
    static struct world w;
    struct fault f = {0};
    world_init(&w);
    const struct learner_option several[] = {{"selectors", "2"},     {"prompts", "0"},
                                             {"prompt_blocks", "0"}, {"epochs", "2"},
                                             {"batch", "7"},         {"temperature", "2"}};
    w.problem.options = several;
    w.problem.n_options = sizeof several / sizeof *several;
    w.problem.hot = w.hot;
    assert_int_equal(world_run(&w, &f), STATUS_OK);
    assert_int_equal(world_import(&w, &f), STATUS_OK);
    /* sigmoid(z / 2) = 0.8 where z = 2 ln 4, and sigmoid(2 ln 4) = 16 / 17 */
    assert_near(learner_multilane.threshold(w.model, 1), 16.0 / 17, 1e-6);
    world_fini(&w);
}

void test_multilane_learner_refuses(void **state)
{
    (void)state;
    static struct world w;
    struct fault f = {0};
    world_init(&w);
    const struct learner_option unknown[] = {{"selektors", "2"}};
    w.problem.options = unknown;
    w.problem.n_options = 1;
    assert_int_equal(world_run(&w, &f), STATUS_NOT_FOUND);
    const struct learner_option parent[] = {
        {"init", "previous"}, {"selectors", "2"}, {"prompts", "2"}, {"prompt_blocks", "2"}};
    w.problem.options = parent;
    w.problem.n_options = 4;
    assert_int_equal(world_run(&w, &f), STATUS_FAILED_PRECONDITION);
    w.problem.options = options;
    w.problem.n_options = sizeof options / sizeof *options;
    assert_int_equal(world_run(&w, &f), STATUS_OK);
    w.trunk.preprocessing.b[0] = 9;
    assert_int_equal(world_import(&w, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "preprocessing");
    w.trunk.preprocessing.b[0] = 3;
    w.trunk.base.b[0] = 9;
    arena_fini(&w.arena);
    free(w.memory);
    assert_int_equal(world_import(&w, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "base");
    world_fini(&w);
}

static enum learner_fate fate(const struct world *w, const struct learner_erasure *e)
{
    return learner_multilane.erase(w->model, e);
}

void test_multilane_learner_lineage_and_erasure(void **state)
{
    (void)state;
    static struct world w;
    struct fault f = {0};
    struct learner_source rows[8];
    world_init(&w);
    assert_int_equal(world_run(&w, &f), STATUS_OK);
    assert_int_equal(world_import(&w, &f), STATUS_OK);
    assert_int_equal(learner_multilane.lineage(w.model, rows, 8), 2);
    assert_string_equal(rows[0].name, "base");
    assert_string_equal(rows[1].kind, "memory");
    assert_true(digest_equal(&rows[1].digest, &w.problem.memory));
    const char *const both[] = {"dog", "cat"}, *const one[] = {"dog"}, *const none[] = {"cow"};
    const uint64_t used[] = {7, 103}, unused[] = {7, 300};
    const struct digest foreign = {{5}};
    assert_int_equal(fate(&w, &(struct learner_erasure){.component = "pets"}), LEARNER_DESTROY);
    assert_int_equal(fate(&w, &(struct learner_erasure){.component = "pet"}), LEARNER_UNAFFECTED);
    assert_int_equal(fate(&w, &(struct learner_erasure){.classes = both, .n_classes = 2}),
                     LEARNER_DESTROY);
    assert_int_equal(fate(&w, &(struct learner_erasure){.classes = one, .n_classes = 1}),
                     LEARNER_RETRAIN);
    assert_int_equal(fate(&w, &(struct learner_erasure){.classes = none, .n_classes = 1}),
                     LEARNER_UNAFFECTED);
    assert_int_equal(fate(&w, &(struct learner_erasure){.keys = used, .n_keys = 2}),
                     LEARNER_RETRAIN);
    assert_int_equal(fate(&w, &(struct learner_erasure){.keys = unused, .n_keys = 2}),
                     LEARNER_UNAFFECTED);
    assert_int_equal(
        fate(&w, &(struct learner_erasure){.sources = &w.problem.memory, .n_sources = 1}),
        LEARNER_DESTROY);
    assert_int_equal(fate(&w, &(struct learner_erasure){.sources = &foreign, .n_sources = 1}),
                     LEARNER_UNAFFECTED);
    world_fini(&w);
}

/* From a parent: its digest is in the lineage, and what descends from it is trained again. */
void test_multilane_learner_parent(void **state)
{
    (void)state;
    static struct world first, second;
    struct fault f = {0};
    struct learner_source rows[8];
    world_init(&first);
    assert_int_equal(world_run(&first, &f), STATUS_OK);
    world_init(&second);
    struct learner_option with[sizeof options / sizeof *options + 1];
    memcpy(with, options, sizeof options);
    with[sizeof options / sizeof *options] = (struct learner_option){"init", "previous"};
    second.problem.options = with;
    second.problem.n_options = sizeof with / sizeof *with;
    second.problem.parts = &first.part;
    second.problem.n_parts = 1;
    assert_int_equal(world_run(&second, &f), STATUS_OK);
    assert_int_equal(world_import(&second, &f), STATUS_OK);
    assert_int_equal(learner_multilane.lineage(second.model, rows, 8), 3);
    assert_string_equal(rows[2].kind, "component");
    assert_true(digest_equal(&rows[2].digest, &first.part.digest));
    assert_int_equal(
        fate(&second, &(struct learner_erasure){.sources = &first.part.digest, .n_sources = 1}),
        LEARNER_RETRAIN);
    world_fini(&first);
    world_fini(&second);
}
