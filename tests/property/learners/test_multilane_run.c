/*
 * Training of lanes on a tiny ViT: it learns, the bytes do not depend on threads or on the budget
 * of the feature cache, lanes are islands (the certificate), and what is refused.
 */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#include "learners/methods/multilane/multilane_run.h"

#include <stdio.h>

#define N_IMAGES  90
#define N_CLASSES 3
#define SIDE      8
#define PIXELS    (SIDE * SIDE)
#define MAX_BYTES 8192

/* Pictures of three classes: a bright row, column or square, in noise. */
struct task {
    uint8_t pixels[N_IMAGES * PIXELS];
    int32_t labels[N_IMAGES];
    uint8_t hot[N_IMAGES * N_CLASSES];
    uint64_t keys[N_IMAGES];
    uint32_t train[N_IMAGES], valid[N_IMAGES];
    uint32_t n_train, n_valid;
    const char *name;
    uint64_t seed;
    int multi;
};

static void paint(uint8_t *to, int32_t label, struct rng *r)
{
    const uint32_t at = (uint32_t)rng_below(r, SIDE - 2);
    for (uint32_t i = 0; i < SIDE; i++) {
        if (label == 0)
            to[at * SIDE + i] = 255;
        else if (label == 1)
            to[i * SIDE + at] = 255;
        else if (i < 3)
            memset(to + (at + i) * SIDE + at, 255, 3);
    }
}

/* `data` names the stream of the pictures. */
static void task_init(struct task *t, const char *name, const char *data)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 21}, data, 0);
    *t = (struct task){.name = name, .seed = 77};
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        uint8_t *to = t->pixels + i * PIXELS;
        for (size_t j = 0; j < PIXELS; j++)
            to[j] = (uint8_t)rng_below(&r, 30);
        t->labels[i] = (int32_t)(i % N_CLASSES);
        paint(to, t->labels[i], &r);
        t->hot[i * N_CLASSES + i % N_CLASSES] = 1;
        if (i % 4 == 0) {
            paint(to, (int32_t)((i + 1) % N_CLASSES), &r);
            t->hot[i * N_CLASSES + (i + 1) % N_CLASSES] = 1;
        }
        t->keys[i] = (uint64_t)(N_IMAGES - i) * 1000;
        if (i % 5 == 4)
            t->valid[t->n_valid++] = i;
        else
            t->train[t->n_train++] = i;
    }
}

static const char *const class_names[N_CLASSES] = {"row", "column", "square"};

static struct multilane_problem problem_of(const struct vit_fixture *x, const struct task *t)
{
    struct multilane_problem p = {
        .config = x->c,
        .weights = &x->w,
        .origin = {.id = lane_id_of_name(t->name), .seed = t->seed},
        .name = t->name,
        .images = {.pixels = t->pixels,
                   .labels = t->labels,
                   .n = N_IMAGES,
                   .size = SIDE,
                   .channels = 1,
                   .scale = {1 / 127.5f},
                   .shift = {-1}},
        .hot = t->multi ? t->hot : NULL,
        .keys = t->keys,
        .train = t->train,
        .valid = t->valid,
        .n_train = t->n_train,
        .n_valid = t->n_valid,
        .n_classes = N_CLASSES,
        .classes = class_names,
    };
    memset(&p.origin.base, 1, sizeof p.origin.base);
    return p;
}

static struct lane_options options_of_test(void)
{
    struct lane_options o;
    lane_options_default(&o);
    o.selectors = 3;
    o.prompts = 2;
    o.prompt_blocks = 2;
    o.epochs = 6;
    o.batch = 20;
    o.lr = 0.02f;
    return o;
}

/* A lane's record. */
struct record {
    uint8_t bytes[MAX_BYTES];
    size_t size;
    double first_loss, last_loss;
    struct multilane_figures best;
    struct feature_cache_counts features;
};

static void train(const struct multilane_problem *p,
                  const struct lane_options *o,
                  uint32_t threads,
                  struct record *ret)
{
    void *pool_memory = vit_fixture_alloc(1, pool_plan(threads));
    struct pool *pool;
    assert_int_equal(pool_init(pool_memory, threads, &pool), STATUS_OK);
    const size_t bytes = multilane_run_plan(p, o, threads);
    assert_true(bytes < SIZE_MAX);
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct multilane_run *run;
    struct multilane_progress g = {0};
    struct fault f = {0};
    arena_init(&arena, memory, bytes);
    assert_int_equal(multilane_run_new(p, o, pool, &arena, &run, &f), STATUS_OK);
    *ret = (struct record){0};
    for (uint32_t step = 1; !g.done; step++) {
        assert_int_equal(multilane_run_step(run, &g, &f), STATUS_OK);
        assert_int_equal(g.step, step);
        if (step == 1)
            ret->first_loss = g.loss;
    }
    assert_int_equal(g.step, g.steps);
    struct lane lane;
    multilane_run_result(run, &lane);
    ret->last_loss = g.loss;
    ret->best = g.best;
    ret->features = multilane_run_features(run);
    ret->size = lane_encoded_size(&lane);
    assert_true(ret->size <= MAX_BYTES);
    lane_encode(&lane, ret->bytes, ret->size);
    assert_true(arena_high_water(&arena) <= bytes);
    arena_fini(&arena);
    free(memory);
    pool_fini(pool);
    free(pool_memory);
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
}

static void assert_other(const struct record *a, const struct record *b)
{
    assert_true(a->size != b->size || memcmp(a->bytes, b->bytes, a->size) != 0);
}

static void fixture(struct vit_fixture *x)
{
    const struct vit_config c = vit_fixture_tiny();
    vit_fixture_init(x, &c, VIT_INFER, 1, 1);
}

void test_multilane_run_learns_one_label(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    static struct record r;
    fixture(&x);
    task_init(&t, "shapes", "data");
    struct lane_options o = options_of_test();
    o.epochs = 40;
    o.lr = 0.05f;
    const struct multilane_problem p = problem_of(&x, &t);
    train(&p, &o, 1, &r);
    assert_near(r.first_loss, log(3.0), 0.2);
    assert_true(r.last_loss < 0.85 * r.first_loss);
    assert_true(r.best.accuracy > 0.6); /* chance is 1/3 */
    vit_fixture_fini(&x);
}

void test_multilane_run_learns_several_labels(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    static struct record r, parity;
    fixture(&x);
    task_init(&t, "shapes", "data");
    t.multi = 1;
    struct lane_options o = options_of_test();
    o.epochs = 40;
    o.lr = 0.05f;
    const struct multilane_problem p = problem_of(&x, &t);
    train(&p, &o, 1, &r);
    assert_near(r.first_loss, log(2.0), 0.1);
    assert_true(r.last_loss < 0.96 * r.first_loss);
    assert_true(r.best.accuracy > 0.65);
    o.all_classes = 30; /* the reference's divisor: the first loss differs as the constant says */
    train(&p, &o, 1, &parity);
    assert_near(parity.first_loss, r.first_loss / 10 + 0.9 * log(2.0), 1e-6);
    vit_fixture_fini(&x);
}

void test_multilane_run_same_bytes_for_any_threads_and_any_cache(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    static struct record r, other;
    fixture(&x);
    task_init(&t, "shapes", "data");
    struct lane_options o = options_of_test();
    const struct multilane_problem p = problem_of(&x, &t);
    train(&p, &o, 1, &r);
    assert_true(r.features.whole);
    assert_int_equal(r.features.kept, N_IMAGES);
    assert_int_equal(r.features.computed, N_IMAGES);
    train(&p, &o, 2, &other);
    assert_same(&r, &other);
    train(&p, &o, 3, &other);
    assert_same(&r, &other);
    vit_fixture_fini(&x);
}

/* Augmentation: other bytes, but again the same for any number of threads. */
void test_multilane_run_augmented(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    static struct record plain, one, two;
    fixture(&x);
    task_init(&t, "shapes", "data");
    struct lane_options o = options_of_test();
    o.epochs = 2;
    const struct multilane_problem p = problem_of(&x, &t);
    train(&p, &o, 1, &plain);
    o.shift = 1;
    train(&p, &o, 1, &one);
    train(&p, &o, 2, &two);
    assert_other(&plain, &one);
    assert_same(&one, &two);
    assert_int_equal(one.features.kept, t.n_valid);
    assert_int_equal(one.features.computed, t.n_valid + 2 * t.n_train);
    vit_fixture_fini(&x);
}

/* ------------------------------------------------------------------ islands */

/* Trains lanes "one" .. "four"; lane 1 ("two") on the data named, or not at all. */
static void train_all(const struct vit_fixture *x,
                      const struct lane_options *o,
                      const char *data_of_two,
                      struct record *ret)
{
    static const char *const names[] = {"one", "two", "three", "four"};
    static struct task t[4];
    static float blocks[4][MAX_BYTES / sizeof(float)];
    struct lane parent;
    struct lane *from = NULL;
    for (int i = 0; i < 4; i++) {
        if (i == 1 && !data_of_two)
            continue;
        task_init(&t[i], names[i], i == 1 ? data_of_two : names[i]);
        struct multilane_problem p = problem_of(x, &t[i]);
        struct lane_options own = *o;
        if (!from)
            own.init = LANE_INIT_FIXED;
        else
            p.parent = from;
        if (own.init != LANE_INIT_FIXED) {
            p.origin.parent_id = parent.origin.id;
            memset(&p.origin.parent, 1, sizeof p.origin.parent);
        }
        train(&p, &own, 1, &ret[i]);
        struct arena arena;
        static unsigned char memory[1 << 17];
        arena_init(&arena, memory, sizeof memory);
        assert_int_equal(lane_decode(ret[i].bytes, ret[i].size, &x->c, NULL, &arena, &parent, NULL),
                         STATUS_OK);
        const size_t floats = lane_floats(&x->c, &parent.options, N_CLASSES);
        memcpy(blocks[i], parent.block, floats * sizeof(float));
        parent.block = blocks[i];
        from = &parent;
        arena_fini(&arena);
    }
}

/* Never having trained lane two, or on other data, changes no byte of the others. */
void test_multilane_run_certificate(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct record all[4], without[4], perturbed[4];
    fixture(&x);
    float *weights = vit_fixture_alloc(x.floats, sizeof *weights);
    memcpy(weights, x.weight_block, x.floats * sizeof *weights);
    struct lane_options o = options_of_test();
    o.epochs = 2;
    train_all(&x, &o, "two", all);
    train_all(&x, &o, NULL, without);
    train_all(&x, &o, "perturbed", perturbed);
    for (int i = 0; i < 4; i++) {
        if (i == 1) {
            assert_other(&all[i], &perturbed[i]);
            continue;
        }
        assert_same(&all[i], &without[i]);
        assert_same(&all[i], &perturbed[i]);
    }
    assert_memory_equal(weights, x.weight_block, x.floats * sizeof *weights);
    free(weights);
    vit_fixture_fini(&x);
}

/* With init=previous the same fails for every later lane, and lineage says so. */
void test_multilane_run_certificate_fails_for_descendants(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct record all[4], without[4], perturbed[4];
    static unsigned char memory[1 << 18];
    struct arena arena;
    struct lane lanes[4];
    const struct lane *list[4];
    fixture(&x);
    struct lane_options o = options_of_test();
    o.epochs = 2;
    o.init = LANE_INIT_PREVIOUS;
    train_all(&x, &o, "two", all);
    train_all(&x, &o, NULL, without);
    train_all(&x, &o, "perturbed", perturbed);
    assert_same(&all[0], &without[0]);
    assert_same(&all[0], &perturbed[0]);
    arena_init(&arena, memory, sizeof memory);
    for (int i = 0; i < 4; i++) {
        if (i > 1) {
            assert_other(&all[i], &without[i]);
            assert_other(&all[i], &perturbed[i]);
        }
        assert_int_equal(
            lane_decode(all[i].bytes, all[i].size, &x.c, NULL, &arena, &lanes[i], NULL), STATUS_OK);
        list[i] = &lanes[i];
    }
    const struct lane_id two = lane_id_of_name("two"), four = lane_id_of_name("four");
    assert_int_equal(lane_tainted(list, 4, &two), 2); /* not exact: three and four descend */
    assert_false(lane_descends(list[0], list, 4, &two));
    assert_true(lane_descends(list[3], list, 4, &two));
    assert_int_equal(lane_tainted(list, 4, &four), 0); /* only the last goes cleanly */
    arena_fini(&arena);
    vit_fixture_fini(&x);
}

/* ------------------------------------------------------------------ what is refused */

static void refused(const struct multilane_problem *p,
                    const struct lane_options *o,
                    enum status s,
                    const char *field)
{
    unsigned char memory[64];
    struct pool *pool;
    struct arena arena;
    struct multilane_run *run = NULL;
    struct fault f = {0};
    void *pool_memory = vit_fixture_alloc(1, pool_plan(1));
    assert_int_equal(pool_init(pool_memory, 1, &pool), STATUS_OK);
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(multilane_run_new(p, o, pool, &arena, &run, &f), s);
    assert_string_equal(f.field, field);
    assert_null(run);
    arena_fini(&arena);
    pool_fini(pool);
    free(pool_memory);
}

void test_multilane_run_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    fixture(&x);
    task_init(&t, "shapes", "data");
    const struct lane_options good = options_of_test();
    const struct multilane_problem right = problem_of(&x, &t);
    refused(&right, &good, STATUS_NO_MEMORY, "memory");
    struct lane_options o = good;
    o.prompt_blocks = 4;
    refused(&right, &o, STATUS_INVALID_ARGUMENT, "prompt_blocks");
    o = good;
    o.all_classes = 2;
    refused(&right, &o, STATUS_INVALID_ARGUMENT, "all_classes");
    o = good;
    o.init = LANE_INIT_PREVIOUS;
    refused(&right, &o, STATUS_FAILED_PRECONDITION, "init");
    struct multilane_problem p = right;
    p.n_train = 0;
    refused(&p, &good, STATUS_FAILED_PRECONDITION, "train");
    p = right;
    p.images.size = 9;
    refused(&p, &good, STATUS_INVALID_ARGUMENT, "images");
    p = right;
    p.n_classes = 2;
    refused(&p, &good, STATUS_INVALID_ARGUMENT, "train");
    p = right;
    p.name = "";
    refused(&p, &good, STATUS_INVALID_ARGUMENT, "name");
    p = right;
    const char *const twice[N_CLASSES] = {"row", "row", "square"};
    p.classes = twice;
    refused(&p, &good, STATUS_INVALID_ARGUMENT, "classes");
    p = right;
    p.hot = t.hot;
    memset(t.hot + t.valid[0] * N_CLASSES, 0, N_CLASSES);
    refused(&p, &good, STATUS_INVALID_ARGUMENT, "valid");
    t.train[3] = N_IMAGES;
    refused(&right, &good, STATUS_INVALID_ARGUMENT, "train");
    vit_fixture_fini(&x);
}

void test_multilane_run_diverges_with_a_word(void **state)
{
    (void)state;
    struct vit_fixture x;
    static struct task t;
    fixture(&x);
    task_init(&t, "shapes", "data");
    const struct multilane_problem p = problem_of(&x, &t);
    struct lane_options o = options_of_test();
    x.w.blocks[1].fc1_w[0] = NAN;
    struct pool *pool;
    struct arena arena;
    struct multilane_run *run;
    struct multilane_progress g;
    struct fault f = {0};
    void *pool_memory = vit_fixture_alloc(1, pool_plan(1));
    assert_int_equal(pool_init(pool_memory, 1, &pool), STATUS_OK);
    const size_t bytes = multilane_run_plan(&p, &o, 1);
    void *memory = vit_fixture_alloc(1, bytes);
    arena_init(&arena, memory, bytes);
    assert_int_equal(multilane_run_new(&p, &o, pool, &arena, &run, &f), STATUS_OK);
    assert_int_equal(multilane_run_step(run, &g, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "lr");
    arena_fini(&arena);
    free(memory);
    pool_fini(pool);
    free(pool_memory);
    vit_fixture_fini(&x);
}
