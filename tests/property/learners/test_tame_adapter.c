/* Adapter experts on a small random ViT: gradients, what the first steps move, bytes. */
#include "tests/property/learners/gradient_probe.h"
#include "tests/property/learners/vit_fixture.h"

#include "learners/math/gemm.h"
#include "learners/methods/tame/tame_adapter.h"
#include "learners/methods/tame/tame_stream.h"

#define PIXELS  64u
#define CLASSES 4u
#define BATCH   24u

struct bench {
    struct vit_fixture fixture; /* weights and pool */
    struct tame_options o;
    struct tame_adapter *engine;
    struct tame_shape shape;
    struct arena arena;
    void *memory;
    float *numbers; /* of one expert */
    struct tame_weights w;
    uint8_t pixels[BATCH][PIXELS];
    const uint8_t *inputs[BATCH];
    uint32_t targets[BATCH];
    float logits[BATCH * CLASSES], dlogits[BATCH * CLASSES], losses[BATCH];
};

static struct tame_options adapter_options(uint32_t blocks)
{
    struct tame_options o;
    tame_options_default(&o);
    o.batch_max = BATCH;
    o.classes_max = CLASSES;
    o.rank = 3;
    o.blocks = blocks;
    o.lr = 0.01f;
    tame_options_resolve(&o);
    return o;
}

static void bench_open(struct bench *x, uint32_t blocks, uint32_t threads)
{
    const struct vit_config c = vit_fixture_tiny();
    struct rng r;
    struct fault f = {0};
    memset(x, 0, sizeof *x);
    assert_int_equal(gemm_setup(&f), STATUS_OK);
    vit_fixture_init(&x->fixture, &c, VIT_INFER, 2, threads);
    x->o = adapter_options(blocks);
    const size_t bytes = tame_adapter_plan(&c, &x->o, threads);
    x->memory = vit_fixture_alloc(1, bytes);
    arena_init(&x->arena, x->memory, bytes);
    const struct tame_adapter_setup setup = {.config = c,
                                             .trunk = &x->fixture.w,
                                             .options = x->o,
                                             .scale = {1.0f / 64},
                                             .shift = {-2},
                                             .pool = x->fixture.pool};
    if (tame_adapter_new(&setup, &x->arena, &x->engine, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    tame_adapter_kind.shape(x->engine, &x->shape);
    x->numbers = vit_fixture_alloc(tame_expert_memory(&x->shape, CLASSES), sizeof(float));
    tame_expert_map(&x->shape, CLASSES, x->numbers, &x->w);
    tame_expert_start(&tame_adapter_kind, x->engine, &x->shape, 77, 3, &x->w);
    rng_init(&r, &(struct rng_root){.seed = 5}, "pixels", 0);
    for (uint32_t i = 0; i < BATCH; i++) {
        for (uint32_t k = 0; k < PIXELS; k++)
            x->pixels[i][k] = (uint8_t)rng_below(&r, 256);
        x->inputs[i] = x->pixels[i];
        x->targets[i] = i % 3;
    }
}

static void bench_close(struct bench *x)
{
    arena_fini(&x->arena);
    free(x->memory);
    free(x->numbers);
    vit_fixture_fini(&x->fixture);
}

static double bench_loss(void *context)
{
    struct bench *x = context;
    x->w.revision++; /* the probe moves the numbers */
    tame_adapter_kind.forward(x->engine, &x->w, 1, x->logits);
    return tame_expert_loss(&x->shape, BATCH, x->w.classes, x->logits, x->targets, x->losses);
}

static void bench_step(struct bench *x)
{
    (void)bench_loss(x);
    tame_expert_gradient(&x->shape, BATCH, x->w.classes, x->logits, x->targets, x->dlogits);
    x->w.steps++;
    tame_adapter_kind.step(x->engine, &x->w, x->dlogits);
    x->w.revision++;
}

void test_a_fresh_expert_costs_ln_c(void **state)
{
    (void)state;
    struct bench x;
    bench_open(&x, 0, 1);
    tame_adapter_kind.load(x.engine, BATCH, x.inputs);
    assert_near(bench_loss(&x), log(3), 1e-6);
    tame_expert_grow(&x.shape, 4, &x.w);
    assert_near(bench_loss(&x), log(4), 1e-6);
    bench_close(&x);
}

/* Whether any float of [from, from + n) differs from what it was. */
static int moved(const float *now, const float *before, size_t n)
{
    return memcmp(now, before, n * sizeof *now) != 0;
}

/* tame.md 6: with B = 0 and head = 0, step 1 moves only the head, step 2 also B, step 3 also A. */
void test_what_the_first_three_steps_move(void **state)
{
    (void)state;
    struct bench x;
    bench_open(&x, 0, 1);
    tame_adapter_kind.load(x.engine, BATCH, x.inputs);
    const size_t floats = tame_expert_floats(&x.shape, 3);
    float *before = vit_fixture_alloc(floats, sizeof *before);
    const size_t r = x.o.rank, c = x.fixture.c.width, h = x.fixture.c.hidden;
    for (int step = 1; step <= 3; step++) {
        struct vit_lora now, was;
        struct tame_weights old = x.w;
        memcpy(before, x.w.v[0], floats * sizeof *before);
        bench_step(&x);
        old.v[0] = before;
        tame_adapter_map(x.engine, &x.w, 0, &now);
        tame_adapter_map(x.engine, &old, 0, &was);
        assert_true(moved(x.w.v[0] + x.shape.body, before + x.shape.body, floats - x.shape.body));
        for (uint32_t l = 0; l < x.fixture.c.depth; l++) {
            assert_int_equal(moved(now.blocks[l].b1, was.blocks[l].b1, h * r), step >= 2);
            assert_int_equal(moved(now.blocks[l].b2, was.blocks[l].b2, c * r), step >= 2);
            assert_int_equal(moved(now.blocks[l].a1, was.blocks[l].a1, r * c), step >= 3);
            assert_int_equal(moved(now.blocks[l].a2, was.blocks[l].a2, r * h), step >= 3);
        }
    }
    free(before);
    bench_close(&x);
}

/*
 * The first AdamW step from zero moments has m = 0.1 g: so the gradient can be read off, and
 * compared with difference quotients, for every kind of number.
 */
static void check_gradient(uint32_t blocks)
{
    struct bench x;
    bench_open(&x, blocks, 1);
    tame_adapter_kind.load(x.engine, BATCH, x.inputs);
    const size_t floats = tame_expert_floats(&x.shape, 3);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 8}, "start", 0);
    for (size_t i = 0; i < floats; i++) /* nothing is zero any more */
        x.w.v[0][i] += 0.3f * rng_normal(&r);
    float *start = vit_fixture_alloc(floats, sizeof *start);
    float *gradient = vit_fixture_alloc(floats, sizeof *gradient);
    memcpy(start, x.w.v[0], floats * sizeof *start);
    bench_step(&x);
    for (size_t i = 0; i < floats; i++)
        gradient[i] = x.w.v[1][i] * 10.0f;
    memcpy(x.w.v[0], start, floats * sizeof *start);
    const struct probe body = {bench_loss, &x, x.w.v[0], x.shape.body};
    const struct probe head = {bench_loss, &x, x.w.v[0] + x.shape.body, floats - x.shape.body};
    probe_check(&body, gradient, "pairs");
    probe_check(&head, gradient + x.shape.body, "head");
    free(start);
    free(gradient);
    bench_close(&x);
}

void test_gradients_of_all_blocks(void **state)
{
    (void)state;
    check_gradient(0);
}

void test_gradients_of_the_last_blocks(void **state)
{
    (void)state;
    check_gradient(2);
    check_gradient(1);
}

void test_any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    struct bench one, three;
    bench_open(&one, 0, 1);
    bench_open(&three, 0, 3);
    tame_adapter_kind.load(one.engine, BATCH, one.inputs);
    tame_adapter_kind.load(three.engine, BATCH, three.inputs);
    for (int i = 0; i < 6; i++) {
        bench_step(&one);
        bench_step(&three);
    }
    assert_memory_equal(one.numbers, three.numbers,
                        tame_expert_memory(&one.shape, CLASSES) * sizeof(float));
    bench_close(&one);
    bench_close(&three);
}

/* The cached prefix is exact, and features are the trunk's, whoever answered before. */
void test_features_are_the_trunks_own(void **state)
{
    (void)state;
    struct bench x;
    bench_open(&x, 2, 1);
    const size_t c = x.fixture.c.width;
    tame_adapter_kind.load(x.engine, BATCH, x.inputs);
    float features[BATCH * 8], pixels[PIXELS], direct[8];
    for (int i = 0; i < 4; i++)
        bench_step(&x);
    tame_adapter_kind.features(x.engine, features);
    for (uint32_t i = 0; i < BATCH; i++) {
        const float *images[1] = {pixels};
        for (uint32_t k = 0; k < PIXELS; k++)
            pixels[k] = (float)x.pixels[i][k] * (1.0f / 64) + -2.0f;
        vit_forward(x.fixture.batch, &x.fixture.w, &(struct vit_input){.n = 1, .images = images},
                    &(struct vit_output){.embeddings = direct});
        assert_memory_equal(direct, features + i * c, c * sizeof *direct);
    }
    bench_close(&x);
}

void test_experts_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct bench x;
    bench_open(&x, 0, 1);
    tame_adapter_kind.load(x.engine, BATCH, x.inputs);
    float *numbers = vit_fixture_alloc(tame_expert_memory(&x.shape, CLASSES), sizeof *numbers);
    float before[BATCH * CLASSES], after[BATCH * CLASSES];
    struct tame_weights other;
    for (int i = 0; i < 4; i++)
        bench_step(&x);
    tame_adapter_kind.forward(x.engine, &x.w, 0, before);
    tame_expert_map(&x.shape, CLASSES, numbers, &other);
    tame_expert_start(&tame_adapter_kind, x.engine, &x.shape, 5, 3, &other);
    other.revision = x.w.revision; /* told apart by their numbers, too */
    tame_adapter_kind.forward(x.engine, &other, 0, after);
    for (size_t i = 0; i < 3 * (size_t)BATCH; i++)
        assert_near(after[i], 0, 0);
    tame_adapter_kind.forward(x.engine, &x.w, 0, after);
    assert_memory_equal(before, after, 3 * (size_t)BATCH * sizeof *before);
    free(numbers);
    bench_close(&x);
}

void test_bad_settings_are_named(void **state)
{
    (void)state;
    struct bench x;
    struct fault f = {0};
    struct tame_adapter *engine;
    bench_open(&x, 0, 1);
    struct tame_adapter_setup setup = {
        .config = x.fixture.c, .trunk = &x.fixture.w, .options = x.o, .pool = x.fixture.pool};
    setup.options.blocks = 4;
    assert_int_equal(tame_adapter_new(&setup, &x.arena, &engine, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "blocks");
    setup.options.blocks = 0; /* and the arena is full */
    assert_int_equal(tame_adapter_new(&setup, &x.arena, &engine, &f), STATUS_NO_MEMORY);
    bench_close(&x);
}

/* The whole stream over the adapter: learns, switches, and comes back from its records. */
void test_a_stream_of_pictures(void **state)
{
    (void)state;
    struct bench x;
    struct fault f = {0};
    bench_open(&x, 0, 2);
    struct tame_setup setup = {.kind = &tame_adapter_kind,
                               .engine = x.engine,
                               .options = x.o,
                               .seed = 4,
                               .ledger_steps = 200,
                               .ledger_samples = 200 * BATCH};
    setup.options.experts_max = 4;
    setup.options.buffer = 40;
    setup.options.selector = TAME_SELECTOR_LINEAR;
    setup.options.selector_epochs = 5;
    setup.options.store = TAME_STORE_FEATURE;
    setup.options.window = 16;
    setup.options.guard = 3;
    const size_t bytes = tame_stream_plan(&setup);
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct tame_stream *s;
    arena_init(&arena, memory, bytes);
    if (tame_stream_open(&setup, NULL, 0, &arena, &s, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    uint32_t labels[BATCH];
    uint64_t ids[BATCH], keys[BATCH];
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 2}, "keys", 0);
    double first = 0, last = 0;
    for (uint64_t b = 0; b < 60; b++) {
        struct tame_event v;
        const uint32_t shift = b < 40 ? 0 : 1; /* the second task calls the pictures otherwise */
        for (uint32_t i = 0; i < BATCH; i++) {
            labels[i] = (i + shift) % 2;
            ids[i] = b * BATCH + i;
            keys[i] = rng_u64(&r);
            memset(x.pixels[i], i % 2 ? 200 : 30, PIXELS / 2);
            x.pixels[i][b % PIXELS] = (uint8_t)(7 * b);
        }
        const struct tame_samples samples = {
            .n = BATCH, .inputs = x.inputs, .labels = labels, .ids = ids, .keys = keys};
        if (tame_stream_observe(s, &samples, &v, &f) != STATUS_OK)
            fail_msg("%s: %s", f.field, f.text);
        if (b == 0)
            first = v.verdict.loss;
        if (b == 39)
            last = v.verdict.loss;
    }
    assert_near(first, log(2), 1e-6);
    assert_true(last < 0.3);
    assert_int_equal(tame_stream_detector(s)->n_experts, 2);
    assert_int_equal(tame_stream_fit_selector(s, &f), STATUS_OK);
    struct tame_answer answers[BATCH];
    assert_int_equal(tame_stream_predict(s, NULL, NULL, BATCH, x.inputs, answers, &f), STATUS_OK);
    assert_true(answers[0].expert < 2 && answers[0].label < 2);
    arena_fini(&arena);
    free(memory);
    bench_close(&x);
}
