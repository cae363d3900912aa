/*
 * The router through the table of learners: terms of several owners are made, joined, and answer;
 * without an owner it is as if it had never been; what an erasure does to them.
 */
#include "tests/support/test.h"

#include "tests/property/learners/ridge_fixture.h"
#include "tests/property/learners/vit_fixture.h"

#include "learners/learner.h"

#define CLASSES 4 /* two owners of two */
#define EACH    24
#define HELD    6
#define IMAGES  (CLASSES * EACH)
#define PARTS   3

struct world {
    struct ridge_fixture x;
    struct vit_config c;
    float *weight_block;
    struct vit_weights w;
    uint8_t pixels[IMAGES * 64];
    int32_t labels[IMAGES]; /* within the owner */
    uint32_t lists[2][2][EACH * 2];
    struct learner_trunk trunk;
    struct learner_part parts[PARTS];
};

static const char *const owners[2] = {"lane:one", "lane:two"};
static const char *const names[2][2] = {{"cross", "arrow"}, {"bar", "arrow"}};
static const struct learner_option few = {"features", "40"};

static void draw_images(struct world *w)
{
    static const uint32_t masks[CLASSES] = {0x000f, 0x8888, 0x0660, 0xf000};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 3}, "pictures", 0);
    for (uint32_t i = 0; i < IMAGES; i++) {
        const uint32_t k = i / EACH, held = i % EACH < HELD;
        w->labels[i] = (int32_t)(k % 2);
        w->lists[k / 2][held]
                [(k % 2) * (held ? HELD : EACH - HELD) + (held ? i % EACH : i % EACH - HELD)] = i;
        for (uint32_t q = 0; q < 64; q++)
            w->pixels[i * 64 + q] = (uint8_t)(rng_below(&r, 100) +
                                              (masks[k] >> (q / 16 * 4 + q % 8 / 2) & 1 ? 110 : 0));
    }
}

static void open_world(struct world *w, uint32_t threads)
{
    struct vit_fixture v = {.c = vit_fixture_tiny()};
    memset(w, 0, sizeof *w);
    ridge_fixture_open(&w->x, threads);
    w->c = v.c;
    v.floats = vit_weights_floats(&v.c);
    w->weight_block = v.weight_block = vit_fixture_alloc(v.floats, sizeof(float));
    vit_weights_map(&v.c, v.weight_block, &v.w);
    vit_fixture_weights(&v, 4, 0.25f);
    w->w = v.w;
    draw_images(w);
    w->trunk = (struct learner_trunk){.config = w->c, .weights = &w->w};
    memset(w->trunk.base.b, 1, DIGEST_SIZE);
    memset(w->trunk.state.b, 2, DIGEST_SIZE);
    memset(w->trunk.preprocessing.b, 3, DIGEST_SIZE);
}

static void close_world(struct world *w)
{
    free(w->weight_block);
    ridge_fixture_close(&w->x);
}

static struct learner_problem problem_of(const struct world *w, uint32_t owner)
{
    struct learner_problem p = {
        .trunk = w->trunk,
        .name = owners[owner],
        .images = {w->pixels, w->labels, IMAGES, 8, 1, {1.0f / 128}, {-1.0f}},
        .n_classes = 2,
        .classes = names[owner],
        .options = &few,
        .n_options = 1,
        .lists = {[LEARNER_TRAIN] = {w->lists[owner][0], 2 * (EACH - HELD)},
                  [LEARNER_VALID] = {w->lists[owner][1], 2 * HELD}}};
    memset(p.memory.b, (int)(0x40 + owner), DIGEST_SIZE);
    return p;
}

/* One owner's terms through the table, on exactly the memory that its plan names. */
static struct learner_part make_part(struct world *w, uint32_t owner)
{
    const struct learner *l = learner_find("ridge");
    const struct learner_problem p = problem_of(w, owner);
    const size_t bytes = l->plan(&p, pool_threads(w->x.pool));
    struct arena arena;
    struct learner_run *run;
    struct learner_progress progress = {0};
    struct learner_part made[LEARNER_PARTS];
    struct learner_outcome outcome;
    uint32_t n = 0;
    arena_init(&arena, arena_alloc(&w->x.arena, bytes, 1), bytes);
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &arena};
    assert_int_equal(l->init(&p, &tools, &run, NULL), STATUS_OK);
    while (!progress.done)
        assert_int_equal(l->step(run, &progress, NULL), STATUS_OK);
    assert_int_equal(l->export(run, made, &n, &outcome, NULL), STATUS_OK);
    assert_int_equal(n, 1);
    assert_string_equal(made[0].kind, "router");
    assert_string_equal(made[0].name, owners[owner]);
    return made[0];
}

/* Joins parts on exactly the memory that the plan names. */
static struct learner_model *join(struct world *w, const struct learner_part *parts, uint32_t n)
{
    const struct learner *l = learner_find("ridge");
    size_t working;
    const size_t kept = l->join_plan(parts, n, &w->trunk, pool_threads(w->x.pool), &working);
    struct arena arena, scratch;
    struct learner_model *m;
    arena_init(&arena, arena_alloc(&w->x.arena, kept, 1), kept);
    arena_init(&scratch, arena_alloc(&w->x.arena, working, 1), working);
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &arena};
    assert_int_equal(l->join(parts, n, &w->trunk, &tools, &scratch, &m, NULL), STATUS_OK);
    assert_int_equal(scratch.used, 0);
    return m;
}

/* Logits of all images, `batch` at a time. */
static void answer(struct world *w, struct learner_model *m, uint32_t batch, float *logits)
{
    const struct learner *l = learner_find("ridge");
    const char *const *labels;
    const uint32_t columns = l->labels(m, &labels);
    struct learner_forward *forward;
    struct vit_batch *stream;
    float pixels[IMAGES * 64];
    const float *inputs[IMAGES];
    const struct image_table t = {w->pixels, w->labels, IMAGES, 8, 1, {1.0f / 128}, {-1.0f}};
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &w->x.arena};
    assert_int_equal(l->forward_new(&m, 1, &w->trunk, batch, &tools, &forward, NULL), STATUS_OK);
    assert_int_equal(vit_batch_new(&w->c, VIT_INFER, batch, w->x.pool, &w->x.arena, &stream),
                     STATUS_OK);
    const struct learner_watch watch = l->watch(forward);
    for (uint32_t at = 0; at < IMAGES; at += batch) {
        const uint32_t n = IMAGES - at < batch ? IMAGES - at : batch;
        for (uint32_t i = 0; i < n; i++) {
            images_load(&t, at + i, pixels + i * 64);
            inputs[i] = pixels + i * 64;
        }
        const struct vit_output out = {.observer = watch.observer,
                                       .observer_context = watch.context};
        vit_forward(stream, &w->w, &(struct vit_input){.n = n, .images = inputs}, &out);
        float *to = logits + (size_t)at * columns;
        l->forward(forward, &(struct learner_stream){.n = n, .images = inputs}, &to);
    }
}

void test_ridge_learner_joins_owners_and_finds_theirs(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    w.parts[0] = make_part(&w, 1);
    w.parts[1] = (struct learner_part){.kind = "lane", .name = "one"}; /* passed over */
    w.parts[2] = make_part(&w, 0);
    struct learner_model *m = join(&w, w.parts, 3);
    const char *const *labels;
    static const char *const want[CLASSES] = {"lane:one\x1f"
                                              "arrow",
                                              "lane:one\x1f"
                                              "cross",
                                              "lane:two\x1f"
                                              "arrow",
                                              "lane:two\x1f"
                                              "bar"};
    assert_int_equal(learner_find("ridge")->labels(m, &labels), CLASSES);
    for (uint32_t c = 0; c < CLASSES; c++)
        assert_string_equal(labels[c], want[c]);
    static float logits[IMAGES * CLASSES], alone[IMAGES * CLASSES];
    answer(&w, m, 40, logits);
    answer(&w, m, 1, alone);
    assert_memory_equal(logits, alone, sizeof logits);
    static const uint32_t column[CLASSES] = {1, 0, 3, 2}; /* of cross, arrow, bar, arrow */
    uint32_t right = 0;
    for (uint32_t i = 0; i < IMAGES; i++) {
        const float *z = logits + (size_t)i * CLASSES;
        uint32_t best = 0;
        for (uint32_t k = 1; k < CLASSES; k++)
            best = z[k] > z[best] ? k : best;
        right += best == column[i / EACH];
    }
    assert_true(right > IMAGES * 9 / 10);
    close_world(&w);
}

void test_ridge_learner_without_an_owner_answers_as_if_it_had_never_been(void **state)
{
    (void)state;
    struct world w, never;
    static float after[IMAGES * 2], fresh[IMAGES * 2];
    open_world(&w, 1);
    open_world(&never, 3);
    w.parts[0] = make_part(&w, 0);
    w.parts[1] = make_part(&w, 1);
    (void)join(&w, w.parts, 2);
    answer(&w, join(&w, w.parts + 1, 1), 32, after);
    never.parts[0] = make_part(&never, 1);
    assert_int_equal(never.parts[0].size, w.parts[1].size);
    assert_memory_equal(never.parts[0].bytes, w.parts[1].bytes, w.parts[1].size);
    answer(&never, join(&never, never.parts, 1), 7, fresh);
    assert_memory_equal(after, fresh, sizeof after);
    close_world(&w);
    close_world(&never);
}

static enum status
try_join(struct world *w, const struct learner_part *parts, uint32_t n, struct fault *f)
{
    struct learner_model *m;
    struct arena_mark mark = arena_mark(&w->x.arena);
    size_t size = (size_t)4 << 20;
    struct arena scratch;
    arena_init(&scratch, arena_alloc(&w->x.arena, size, 1), size);
    const struct arena_mark tools_mark = arena_mark(&w->x.arena);
    const struct learner_tools tools = {.pool = w->x.pool, .arena = &w->x.arena};
    const enum status s = learner_find("ridge")->join(parts, n, &w->trunk, &tools, &scratch, &m, f);
    if (s != STATUS_OK)
        assert_int_equal(w->x.arena.used, tools_mark.used);
    arena_rewind(&w->x.arena, mark);
    return s;
}

void test_ridge_learner_refuses_another_trunk_and_mixed_options(void **state)
{
    (void)state;
    struct world w;
    struct fault f = {0};
    open_world(&w, 1);
    w.parts[0] = make_part(&w, 0);
    w.parts[1] = make_part(&w, 1);
    assert_int_equal(try_join(&w, w.parts, 2, &f), STATUS_OK);
    w.trunk.state.b[0] ^= 0xf0;
    assert_int_equal(try_join(&w, w.parts, 2, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "trunk");
    w.parts[1] = make_part(&w, 1); /* on the new trunk */
    assert_int_equal(try_join(&w, w.parts + 1, 1, &f), STATUS_OK);
    w.trunk.state.b[0] ^= 0xf0;
    struct ridge_terms t;
    w.parts[1] = make_part(&w, 1);
    assert_int_equal(ridge_terms_decode(w.parts[1].bytes, w.parts[1].size, &w.x.arena, &t, NULL),
                     STATUS_OK);
    t.options.weighting = RIDGE_WEIGHTING_PLAIN;
    uint8_t *bytes = arena_alloc(&w.x.arena, w.parts[1].size, 1);
    ridge_terms_encode(&t, bytes, w.parts[1].size);
    w.parts[1].bytes = bytes;
    assert_int_equal(try_join(&w, w.parts, 2, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "options");
    assert_int_equal(try_join(&w, w.parts, 0, &f), STATUS_FAILED_PRECONDITION);
    w.parts[0].size--;
    assert_int_equal(try_join(&w, w.parts, 1, &f), STATUS_BAD_FORMAT);
    close_world(&w);
}

void test_ridge_learner_fates(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const struct learner *l = learner_find("ridge");
    w.parts[0] = make_part(&w, 0);
    const size_t bytes = l->import_plan(&w.parts[0], &w.trunk);
    struct arena arena;
    struct learner_model *m;
    arena_init(&arena, arena_alloc(&w.x.arena, bytes, 1), bytes);
    assert_int_equal(l->import(&w.parts[0], &w.trunk, &arena, &m, NULL), STATUS_OK);
    static const char *const other[1] = {"bar"};
    const uint64_t key = 5;
    struct digest data, else_where = {{9}};
    memset(data.b, 0x40, DIGEST_SIZE);
    struct learner_erasure e = {.component = "lane:two", .classes = other, .n_classes = 1};
    assert_int_equal(l->erase(m, &e), LEARNER_UNAFFECTED);
    e.component = "lane:one";
    assert_int_equal(l->erase(m, &e), LEARNER_DESTROY);
    e = (struct learner_erasure){.classes = names[0], .n_classes = 1};
    assert_int_equal(l->erase(m, &e), LEARNER_RETRAIN);
    e.n_classes = 2;
    assert_int_equal(l->erase(m, &e), LEARNER_DESTROY);
    e = (struct learner_erasure){.keys = &key, .n_keys = 1};
    assert_int_equal(l->erase(m, &e), LEARNER_RETRAIN);
    e = (struct learner_erasure){.sources = &else_where, .n_sources = 1};
    assert_int_equal(l->erase(m, &e), LEARNER_UNAFFECTED);
    e.sources = &data;
    assert_int_equal(l->erase(m, &e), LEARNER_RETRAIN);
    struct learner_source sources[4];
    assert_int_equal(l->lineage(m, sources, 4), 3);
    assert_string_equal(sources[2].kind, "dataset");
    close_world(&w);
}
