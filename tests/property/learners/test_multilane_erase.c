/*
 * GS-LoRA++ on a lane (gslora/suppress.h, multilane_erase.h): the gradient of the whole objective
 * against difference quotients, what the groups do, what is forgotten and kept, that the new lane
 * names the old one, the same bytes for any number of threads, and what is refused.
 */
#include "tests/property/learners/gradient_probe.h"
#include "tests/property/learners/vit_fixture.h"
#include "tests/support/test.h"

#include "learners/learner.h"
#include "learners/methods/gslora/suppress.h"
#include "learners/methods/multilane/multilane_erase.h"
#include "learners/methods/multilane/multilane_internal.h"

#define N_IMAGES  180u
#define N_CLASSES 3u
#define SIDE      8u
#define PIXELS    (SIDE * SIDE)
#define MAX_BYTES 16384u
#define FORGOTTEN 1 /* the class that goes */

/* Pictures of three classes: a bright row, column or square, in noise. */
static struct {
    struct vit_fixture x;
    uint8_t pixels[N_IMAGES * PIXELS];
    int32_t labels[N_IMAGES];
    uint32_t rows[LEARNER_LISTS][N_IMAGES];
    uint8_t lane[MAX_BYTES];
    size_t lane_size;
} t;

static const char *const class_names[N_CLASSES] = {"row", "column", "square"};

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

static void paint_all(void)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 21}, "shapes", 0);
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        for (size_t j = 0; j < PIXELS; j++)
            t.pixels[i * PIXELS + j] = (uint8_t)rng_below(&r, 30);
        t.labels[i] = (int32_t)(i % N_CLASSES);
        paint(t.pixels + i * PIXELS, t.labels[i], &r);
    }
}

static struct image_table table(void)
{
    return (struct image_table){.pixels = t.pixels,
                                .labels = t.labels,
                                .n = N_IMAGES,
                                .size = SIDE,
                                .channels = 1,
                                .scale = {1 / 127.5f},
                                .shift = {-1}};
}

/* The lists: with `forget` the class goes, else all is learned. */
static struct learner_problem problem_of(int forget, const struct learner_option *o, uint32_t n)
{
    struct learner_problem p = {.trunk = {.config = t.x.c, .weights = &t.x.w},
                                .seed = 77,
                                .name = "shapes",
                                .images = table(),
                                .n_classes = N_CLASSES,
                                .classes = class_names,
                                .options = o,
                                .n_options = n};
    memset(&p.trunk.base, 1, sizeof p.trunk.base);
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        const int goes = forget && t.labels[i] == FORGOTTEN, valid = i % 4 == 3;
        struct learner_rows *list = &p.lists[goes ? (valid ? LEARNER_FORGET_VALID : LEARNER_FORGET)
                                                  : (valid ? LEARNER_VALID : LEARNER_TRAIN)];
        list->rows = t.rows[list - p.lists];
        t.rows[list - p.lists][list->n++] = i;
    }
    return p;
}

/* ------------------------------------------------------------------ a run of the learner */

struct room {
    void *pool_memory, *memory;
    struct pool *pool;
    struct arena arena;
    size_t bytes;
};

static void room_init(struct room *r, size_t bytes, uint32_t threads)
{
    r->pool_memory = vit_fixture_alloc(1, pool_plan(threads));
    assert_int_equal(pool_init(r->pool_memory, threads, &r->pool), STATUS_OK);
    r->bytes = bytes;
    r->memory = vit_fixture_alloc(1, bytes);
    arena_init(&r->arena, r->memory, bytes);
}

static void room_fini(struct room *r)
{
    arena_fini(&r->arena);
    pool_fini(r->pool);
    free(r->memory);
    free(r->pool_memory);
}

static void run_learner(const struct learner_problem *p,
                        uint32_t threads,
                        uint8_t *bytes,
                        size_t *ret_size,
                        struct learner_outcome *ret_outcome)
{
    struct room r;
    struct learner_run *run;
    struct learner_part parts[LEARNER_PARTS];
    struct learner_progress g = {0};
    struct fault f = {0};
    uint32_t n;
    const size_t size = learner_multilane.plan(p, threads);
    assert_true(size < SIZE_MAX);
    room_init(&r, size, threads);
    const struct learner_tools tools = {.pool = r.pool, .arena = &r.arena};
    if (learner_multilane.init(p, &tools, &run, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    while (!g.done)
        if (learner_multilane.step(run, &g, &f) != STATUS_OK)
            fail_msg("%s: %s", f.field, f.text);
    assert_int_equal(learner_multilane.export(run, parts, &n, ret_outcome, &f), STATUS_OK);
    assert_int_equal(n, 1);
    assert_true(parts[0].size <= MAX_BYTES);
    memcpy(bytes, parts[0].bytes, parts[0].size);
    *ret_size = parts[0].size;
    room_fini(&r);
}

static struct learner_part lane_part(void)
{
    struct learner_part p = {
        .kind = "lane", .name = "shapes", .bytes = t.lane, .size = t.lane_size};
    memset(&p.digest, 7, sizeof p.digest);
    return p;
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    static const struct learner_option options[] = {{"selectors", "3"},     {"prompts", "2"},
                                                    {"prompt_blocks", "2"}, {"epochs", "60"},
                                                    {"batch", "20"},        {"lr", "0.05"}};
    const struct vit_config c = vit_fixture_tiny();
    struct learner_outcome outcome;
    vit_fixture_init(&t.x, &c, VIT_INFER, 1, 1);
    paint_all();
    const struct learner_problem p = problem_of(0, options, 6);
    run_learner(&p, 1, t.lane, &t.lane_size, &outcome);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    vit_fixture_fini(&t.x);
    return 0;
}

/* ------------------------------------------------------------------ reading lanes */

static void decode(const uint8_t *bytes, size_t size, struct arena *arena, struct lane *ret)
{
    struct fault f = {0};
    if (lane_decode(bytes, size, &t.x.c, NULL, arena, ret, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
}

/* Share of images of a list that get their own label. */
static double accuracy(const struct lane *lane, const uint32_t *rows, uint32_t n)
{
    struct lane_options o = lane->options;
    o.init = LANE_INIT_FIXED;
    const struct multilane_problem m = {.config = t.x.c,
                                        .weights = &t.x.w,
                                        .name = "shapes",
                                        .images = table(),
                                        .train = rows,
                                        .n_train = n,
                                        .n_classes = N_CLASSES,
                                        .classes = class_names};
    struct room r;
    struct multilane_run *run;
    struct multilane_figures x;
    room_init(&r, multilane_run_plan(&m, &o, 1), 1);
    assert_int_equal(multilane_run_new(&m, &o, r.pool, &r.arena, &run, NULL), STATUS_OK);
    memcpy(run->theta, lane->block, run->floats * sizeof(float));
    multilane_measure(run, rows, n, &x);
    room_fini(&r);
    return x.accuracy;
}

/* ------------------------------------------------------------------ tests */

static const struct learner_option usual[] = {{"target_forget", "0.1"}};

void test_multilane_erase_forgets_and_keeps(void **state)
{
    (void)state;
    static uint8_t bytes[MAX_BYTES], arena_memory[4 * MAX_BYTES];
    size_t size;
    struct learner_problem p = problem_of(1, usual, 1);
    const struct learner_part part = lane_part();
    struct learner_outcome outcome;
    struct lane before, after;
    struct arena arena;
    p.parts = &part;
    p.n_parts = 1;
    run_learner(&p, 1, bytes, &size, &outcome);
    arena_init(&arena, arena_memory, sizeof arena_memory);
    decode(t.lane, t.lane_size, &arena, &before);
    decode(bytes, size, &arena, &after);
    const struct learner_rows *gone = &p.lists[LEARNER_FORGET_VALID],
                              *kept = &p.lists[LEARNER_VALID];
    const double gone_before = accuracy(&before, gone->rows, gone->n);
    const double gone_after = accuracy(&after, gone->rows, gone->n);
    const double kept_before = accuracy(&before, kept->rows, kept->n);
    const double kept_after = accuracy(&after, kept->rows, kept->n);
    print_message("  erased %.3f > %.3f, kept %.3f > %.3f, %s, %u of %u groups zero\n", gone_before,
                  gone_after, kept_before, kept_after, outcome.text, outcome.groups_zero,
                  outcome.groups_total);
    assert_true(gone_before > 0.6);
    assert_true(gone_after <= 0.1);
    assert_true(kept_after >= kept_before - 0.05);
    assert_int_equal(outcome.target_met, 1);
    assert_int_equal(outcome.groups_total, 3);
    /* the head is what it was, and the record says what the lane descends from */
    const size_t head = after.n_classes * (t.x.c.width + 1u);
    const size_t floats = lane_floats(&t.x.c, &after.options, after.n_classes);
    assert_memory_equal(after.block + floats - head, before.block + floats - head,
                        head * sizeof(float));
    assert_true(lane_id_equal(&after.origin.parent_id, &before.origin.id));
    assert_memory_equal(&after.origin.parent, &part.digest, sizeof part.digest);
    assert_int_equal(after.options.init, LANE_INIT_PREVIOUS);
    const struct lane *lanes[] = {&after};
    assert_true(lane_descends(&after, lanes, 1, &before.origin.id));
    arena_fini(&arena);
}

void test_multilane_erase_same_bytes_for_any_threads(void **state)
{
    (void)state;
    static uint8_t one[MAX_BYTES], three[MAX_BYTES];
    static const struct learner_option few[] = {{"epochs", "3"}};
    size_t n_one, n_three;
    struct learner_problem p = problem_of(1, few, 1);
    const struct learner_part part = lane_part();
    struct learner_outcome outcome;
    p.parts = &part;
    p.n_parts = 1;
    run_learner(&p, 1, one, &n_one, &outcome);
    run_learner(&p, 3, three, &n_three, &outcome);
    assert_int_equal(n_one, n_three);
    assert_memory_equal(one, three, n_one);
    p.seed++; /* the order of the images is drawn from it */
    run_learner(&p, 1, three, &n_three, &outcome);
    assert_true(memcmp(one, three, n_one) != 0);
}

/* A penalty that nothing outweighs leaves every group as it is, to the bit. */
void test_multilane_erase_groups_stay_at_zero(void **state)
{
    (void)state;
    static uint8_t bytes[MAX_BYTES], arena_memory[4 * MAX_BYTES];
    static const struct learner_option heavy[] = {{"epochs", "2"}, {"eta", "50"}};
    size_t size;
    struct learner_problem p = problem_of(1, heavy, 2);
    const struct learner_part part = lane_part();
    struct learner_outcome outcome;
    struct lane before, after;
    struct arena arena;
    p.parts = &part;
    p.n_parts = 1;
    run_learner(&p, 1, bytes, &size, &outcome);
    arena_init(&arena, arena_memory, sizeof arena_memory);
    decode(t.lane, t.lane_size, &arena, &before);
    decode(bytes, size, &arena, &after);
    assert_memory_equal(after.block, before.block,
                        lane_floats(&t.x.c, &after.options, after.n_classes) * sizeof(float));
    assert_int_equal(outcome.groups_zero, outcome.groups_total);
    assert_string_equal(outcome.text, "all groups zero");
    arena_fini(&arena);
}

/* Samples of classes that stay: as well known afterwards as images that were never learned. */
void test_multilane_erase_samples(void **state)
{
    (void)state;
    static uint8_t bytes[MAX_BYTES];
    static const struct learner_option few[] = {{"epochs", "10"}};
    size_t size;
    struct learner_outcome outcome;
    struct learner_problem p = problem_of(0, few, 1);
    const struct learner_part part = lane_part();
    struct learner_rows *train = &p.lists[LEARNER_TRAIN];
    p.parts = &part;
    p.n_parts = 1;
    p.samples = 1;
    p.lists[LEARNER_FORGET] = (struct learner_rows){train->rows, 20};
    p.lists[LEARNER_FORGET_VALID] = (struct learner_rows){train->rows + 20, 5};
    train->rows += 25;
    train->n -= 25;
    run_learner(&p, 1, bytes, &size, &outcome);
    assert_int_equal(size, t.lane_size);
    assert_true(memcmp(bytes, t.lane, size) != 0);
}

/* ------------------------------------------------------------------ gradients */

struct descent {
    struct multilane_run *run;
    struct suppress_run *suppress;
    uint32_t list[12];
};

static void
forward(void *context, const uint32_t *list, uint32_t n, float *logits, float *features)
{
    const struct descent *d = context;
    multilane_forward(d->run, list, n, logits, features);
}

static void backward(void *context,
                     const uint32_t *list,
                     uint32_t n,
                     const float *dlogits,
                     const float *dfeatures,
                     float *grad)
{
    const struct descent *d = context;
    multilane_backward(d->run, list, n, dlogits, dfeatures);
    memcpy(grad, d->run->grad, d->run->floats * sizeof *grad);
}

static double value(void *context)
{
    struct descent *d = context;
    return suppress_loss(d->suppress, d->list, 7, 5, NULL);
}

/*
 * All terms but the depth term, of which the retained features are a constant (test_gslora_loss has
 * it); on a lane that has moved away from where its anchors are.
 */
static void check_gradient(const char *name, float push)
{
    static uint8_t arena_memory[4 * MAX_BYTES];
    struct learner_problem p = problem_of(1, NULL, 0);
    struct lane lane;
    struct arena arena;
    struct room r;
    struct descent d;
    arena_init(&arena, arena_memory, sizeof arena_memory);
    decode(t.lane, t.lane_size, &arena, &lane);
    struct lane_options o = lane.options;
    const struct multilane_problem m = {.config = t.x.c,
                                        .weights = &t.x.w,
                                        .name = "shapes",
                                        .images = p.images,
                                        .train = p.lists[LEARNER_TRAIN].rows,
                                        .n_train = p.lists[LEARNER_TRAIN].n,
                                        .n_classes = N_CLASSES,
                                        .classes = class_names};
    struct suppress_problem s = {.labels = t.labels, .root = {.seed = 5}};
    const struct suppress_group all = {
        0, lane_floats(&t.x.c, &o, N_CLASSES) - N_CLASSES * (t.x.c.width + 1u)};
    suppress_options_default(&s.options);
    s.options.hinge_bound = 50.0f; /* every image is within it */
    s.options.push = push;
    s.options.push_bound = 50.0f;
    s.options.pull = 0.5f;
    s.options.depth = GSLORA_DEPTH_OFF;
    memcpy(s.lists, p.lists, sizeof s.lists);
    s.engine = (struct suppress_engine){.context = &d,
                                        .classes = N_CLASSES,
                                        .width = t.x.c.width,
                                        .floats = lane_floats(&t.x.c, &o, N_CLASSES),
                                        .groups = &all,
                                        .n_groups = 1,
                                        .forward = forward,
                                        .backward = backward};
    room_init(&r, multilane_run_plan(&m, &o, 2) + suppress_plan(&s) + 4096, 2);
    assert_int_equal(multilane_run_new(&m, &o, r.pool, &r.arena, &d.run, NULL), STATUS_OK);
    memcpy(d.run->theta, lane.block, d.run->floats * sizeof(float));
    s.engine.theta = d.run->theta;
    assert_int_equal(suppress_new(&s, &r.arena, &d.suppress, NULL), STATUS_OK);
    for (uint32_t i = 0; i < 12; i++)
        d.list[i] = i < 7 ? p.lists[LEARNER_TRAIN].rows[3 * i] : p.lists[LEARNER_FORGET].rows[i];
    float *off = probe_normal(d.run->floats, "off", 0.05f);
    float *grad = probe_alloc(d.run->floats, sizeof *grad);
    for (size_t i = 0; i < all.n; i++)
        d.run->theta[i] += off[i];
    (void)suppress_loss(d.suppress, d.list, 7, 5, grad);
    const struct probe probe = {value, &d, d.run->theta, all.n};
    probe_check(&probe, grad, name);
    free(off);
    free(grad);
    room_fini(&r);
    arena_fini(&arena);
}

void test_multilane_erase_gradient(void **state)
{
    (void)state;
    check_gradient("hinge", 0.0f);
    check_gradient("push", 0.3f);
}

/* ------------------------------------------------------------------ refusals */

static void refused(const struct learner_problem *p, enum status code, const char *field)
{
    struct room r;
    struct learner_run *run;
    struct fault f = {0};
    room_init(&r, 1u << 22, 1);
    const struct learner_tools tools = {.pool = r.pool, .arena = &r.arena};
    const struct arena_mark mark = arena_mark(&r.arena);
    assert_int_equal(learner_multilane.init(p, &tools, &run, &f), code);
    assert_string_equal(f.field, field);
    const struct arena_mark after = arena_mark(&r.arena);
    assert_memory_equal(&mark, &after, sizeof mark);
    room_fini(&r);
}

void test_multilane_erase_refuses(void **state)
{
    (void)state;
    static const uint8_t hot[N_IMAGES * N_CLASSES];
    static const char *const others[N_CLASSES] = {"row", "circle", "square"};
    static const struct learner_option layers[] = {{"depth", "layers"}}, odd[] = {{"odd", "1"}};
    struct learner_problem p = problem_of(1, NULL, 0);
    struct learner_part part = lane_part();
    refused(&p, STATUS_FAILED_PRECONDITION, "parts");
    assert_true(learner_multilane.plan(&p, 1) == SIZE_MAX);
    p.parts = &part;
    p.n_parts = 1;
    p.hot = hot;
    refused(&p, STATUS_FAILED_PRECONDITION, "mode");
    p.hot = NULL;
    p.classes = others;
    refused(&p, STATUS_FAILED_PRECONDITION, "classes");
    p.classes = class_names;
    p.n_options = 1;
    p.options = layers;
    refused(&p, STATUS_INVALID_ARGUMENT, "depth");
    p.options = odd;
    refused(&p, STATUS_NOT_FOUND, "odd");
    p.n_options = 0;
    part.size -= 3;
    refused(&p, STATUS_BAD_FORMAT, "lane");
    part.size += 3;
    p.lists[LEARNER_TRAIN].n = 0;
    refused(&p, STATUS_FAILED_PRECONDITION, "train");
}

/* Less memory than planned is said so, and the arena is as it was. */
void test_multilane_erase_plans_its_memory(void **state)
{
    (void)state;
    struct learner_problem p = problem_of(1, NULL, 0);
    const struct learner_part part = lane_part();
    struct learner_run *run;
    p.parts = &part;
    p.n_parts = 1;
    const size_t plan = learner_multilane.plan(&p, 1);
    for (size_t bytes = 64; bytes < plan / 2; bytes *= 2) {
        struct room r;
        struct fault f = {0};
        room_init(&r, bytes, 1);
        const struct learner_tools tools = {.pool = r.pool, .arena = &r.arena};
        assert_int_equal(learner_multilane.init(&p, &tools, &run, &f), STATUS_NO_MEMORY);
        room_fini(&r);
    }
}
