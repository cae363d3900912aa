/* Predictions: checks of what arrives, and answers of the tiny model. */
#include "tests/support/jobs_fixture.h"

#include <math.h>
#include <string.h>

#include "daemon/jobs/predict.h"
#include "proto/limits.h"

static struct jobs_fixture fixture;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    jobs_fixture_new(&fixture);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    jobs_fixture_free(&fixture);
    return 0;
}

static struct wire_predict message_of(uint32_t images, enum wire_pixel pixel)
{
    return (struct wire_predict){.images = images,
                                 .pixel = pixel,
                                 .height = TINY_SIZE,
                                 .width = TINY_SIZE,
                                 .channels = 1,
                                 .scope = "",
                                 .decision = ""};
}

static void refused(const struct wire_predict *m,
                    const struct predict_frames *frames,
                    enum status code,
                    const char *field)
{
    struct fault f = {0};
    const enum status st = predict_check(fixture.base, m, frames, &f);
    assert_string_equal(status_name(st), status_name(code));
    assert_string_equal(f.field, field);
}

void test_predict_check_refuses_what_does_not_fit(void **state)
{
    (void)state;
    const uint8_t pixels[TINY_PIXELS] = {0};
    const uint8_t *at[2] = {pixels, pixels};
    size_t size[2] = {TINY_PIXELS, TINY_PIXELS};
    struct predict_frames frames = {2, at, size};
    struct wire_predict m = message_of(2, WIRE_PIXEL_U8);
    jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    m.height = TINY_SIZE + 1;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "height");
    m = message_of(2, WIRE_PIXEL_U8);
    m.width = 1;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "width");
    m = message_of(2, WIRE_PIXEL_U8);
    m.channels = 3;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "channels");
    m = message_of(2, WIRE_PIXEL_F32);
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "pixel");
    m = message_of(2, WIRE_PIXEL_U8);
    size[1] = TINY_PIXELS - 1;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "pixel");
    size[1] = TINY_PIXELS;
    m.images = 3;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "images");
    m.images = 0;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "images");
    m.images = LIMIT_PREDICT_IMAGES + 1;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "images");
}

void test_predict_check_refuses_nan_and_infinity(void **state)
{
    (void)state;
    float pixels[TINY_PIXELS] = {0};
    const uint8_t *at[1] = {(const uint8_t *)pixels};
    const size_t size[1] = {sizeof pixels};
    const struct predict_frames frames = {1, at, size};
    const struct wire_predict m = message_of(1, WIRE_PIXEL_F32);
    jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    pixels[TINY_PIXELS - 1] = NAN;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "pixel");
    pixels[TINY_PIXELS - 1] = -INFINITY;
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "pixel");
}

void test_predict_check_decisions(void **state)
{
    (void)state;
    const uint8_t pixels[TINY_PIXELS] = {0};
    const uint8_t *at[1] = {pixels};
    const size_t size[1] = {TINY_PIXELS};
    const struct predict_frames frames = {1, at, size};
    struct wire_predict m = message_of(1, WIRE_PIXEL_U8);
    static const char *const good[] = {"", "routed", "raw"};
    for (size_t i = 0; i < 3; i++) {
        m.decision = good[i];
        jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    }
    m.decision = "guess";
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "decision");
}

static unsigned char call_memory[1 << 20];

void test_predict_scopes_of_a_version_with_the_base_alone(void **state)
{
    (void)state;
    struct served *s;
    struct arena arena;
    struct predict_choice c;
    struct wire_predict m = message_of(1, WIRE_PIXEL_U8);
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    arena_init(&arena, call_memory, sizeof call_memory);
    static const char *const good[] = {"", "base", "all"};
    for (size_t i = 0; i < 3; i++) {
        m.scope = good[i];
        m.top = (uint32_t)i * 5;
        jobs_ok(predict_choose(s, &m, &arena, &c, fx));
        assert_int_equal(c.n_columns, TINY_CLASSES);
        assert_int_equal(c.top, i == 0 ? 1 : TINY_CLASSES);
        assert_int_equal(c.decision, ANSWER_ROUTED);
    }
    static const struct {
        const char *scope;
        enum status code;
    } bad[] = {{"lanes", STATUS_NOT_FOUND},
               {"stream:spring", STATUS_NOT_FOUND},
               {"everything", STATUS_INVALID_ARGUMENT}};
    for (size_t i = 0; i < 3; i++) {
        struct fault f = {0};
        m.scope = bad[i].scope;
        assert_int_equal(predict_choose(s, &m, &arena, &c, &f), bad[i].code);
        assert_string_equal(f.field, "scope");
    }
    arena_fini(&arena);
    served_release(s);
}

/* ------------------------------------------------------------------ answers */

#define N 19 /* more than one forward pass holds, so that passes are put together */

/* N pictures, class after class, as bytes and as floats. */
struct pictures {
    uint8_t pixels[N][TINY_PIXELS];
    float floats[N][TINY_PIXELS];
    const uint8_t *at[N], *at_f32[N];
    size_t size[N], size_f32[N];
    struct predict_frames u8, f32;
};

static void pictures_draw(struct pictures *x)
{
    for (uint32_t i = 0; i < N; i++) {
        tiny_image(i % TINY_CLASSES, 99, i, x->pixels[i]);
        tiny_normalise(x->pixels[i], x->floats[i]);
        x->at[i] = x->pixels[i];
        x->at_f32[i] = (const uint8_t *)x->floats[i];
        x->size[i] = TINY_PIXELS;
        x->size_f32[i] = sizeof x->floats[i];
    }
    x->u8 = (struct predict_frames){N, x->at, x->size};
    x->f32 = (struct predict_frames){N, x->at_f32, x->size_f32};
}

static void ask(struct predictor *p,
                const struct served *s,
                const struct wire_predict *m,
                const struct predict_frames *frames,
                struct arena *arena,
                struct wire_prediction items[N])
{
    struct predict_choice c;
    jobs_ok(predict_choose(s, m, arena, &c, fx));
    jobs_ok(predict_run(p, 0, s, &c, m, frames, arena, items, fx));
}

void test_predict_u8_and_f32_agree_and_are_right(void **state)
{
    (void)state;
    static struct pictures x;
    struct predictor *p;
    struct served *s;
    struct arena arena;
    struct wire_prediction a[N], b[N];
    pictures_draw(&x);
    arena_init(&arena, call_memory, sizeof call_memory);
    jobs_ok(predictor_new(fixture.base, 1, 32, &p, fx));
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    struct wire_predict m = message_of(N, WIRE_PIXEL_U8);
    m.logits = true;
    ask(p, s, &m, &x.u8, &arena, a);
    m.pixel = WIRE_PIXEL_F32;
    ask(p, s, &m, &x.f32, &arena, b);
    uint32_t right = 0;
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(a[i].n_labels, 1);
        assert_string_equal(a[i].expert, "base");
        assert_string_equal(a[i].labels[0].owner, "base");
        right += strcmp(a[i].labels[0].label, tiny_labels[i % TINY_CLASSES]) == 0;
        assert_int_equal(a[i].n_logits, TINY_CLASSES);
        for (uint32_t k = 0; k < TINY_CLASSES; k++)
            assert_near(a[i].logits[k], b[i].logits[k], 1e-3);
    }
    assert_true(right >= N - 1);
    assert_int_equal(predictor_count(p), 2 * N);
    served_release(s);
    predictor_free(p);
    arena_fini(&arena);
}

/* Logits are those of the plain network, to the bit, and p their softmax; all labels are ranked. */
void test_predict_is_the_softmax_of_the_base(void **state)
{
    (void)state;
    static struct pictures x;
    static float logits[N * TINY_CLASSES];
    struct predictor *p;
    struct served *s;
    struct arena arena;
    struct wire_prediction items[N];
    pictures_draw(&x);
    arena_init(&arena, call_memory, sizeof call_memory);
    jobs_ok(predictor_new(fixture.base, 1, 32, &p, fx));
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    struct wire_predict m = message_of(N, WIRE_PIXEL_F32);
    m.logits = true;
    m.top = TINY_CLASSES;
    ask(p, s, &m, &x.f32, &arena, items);
    const size_t plan = vit_batch_plan(&fixture.base->vit, VIT_INFER, N, 1);
    void *memory = sysio_alloc(plan, 1), *pool_memory = sysio_alloc(pool_plan(1), 1);
    struct arena net;
    struct pool *pool;
    struct vit_batch *batch;
    const float *images[N];
    arena_init(&net, memory, plan);
    assert_int_equal(pool_init(pool_memory, 1, &pool), STATUS_OK);
    assert_int_equal(vit_batch_new(&fixture.base->vit, VIT_INFER, N, pool, &net, &batch),
                     STATUS_OK);
    for (uint32_t i = 0; i < N; i++)
        images[i] = x.floats[i];
    const struct vit_input in = {.n = N, .images = images};
    const struct vit_output out = {.logits = logits};
    vit_forward(batch, &fixture.base->weights, &in, &out);
    for (uint32_t i = 0; i < N; i++) {
        double sum = 0.0;
        const float *z = logits + (size_t)i * TINY_CLASSES;
        assert_memory_equal(items[i].logits, z, TINY_CLASSES * sizeof *z);
        for (uint32_t k = 0; k < TINY_CLASSES; k++)
            sum += exp((double)z[k] - (double)z[0]);
        assert_int_equal(items[i].n_labels, TINY_CLASSES);
        for (uint32_t k = 0; k < TINY_CLASSES; k++) {
            const int label = base_model_label(fixture.base, items[i].labels[k].label);
            assert_true(label >= 0);
            assert_near(items[i].labels[k].p, exp((double)z[label] - (double)z[0]) / sum, 1e-6);
            assert_true(k == 0 || items[i].labels[k].p <= items[i].labels[k - 1].p);
        }
    }
    pool_fini(pool);
    arena_fini(&net);
    sysio_free(memory);
    sysio_free(pool_memory);
    served_release(s);
    predictor_free(p);
    arena_fini(&arena);
}

/* Finite pixels can still overflow the network; the answer must not be NaN. */
void test_predict_refuses_pixels_that_overflow(void **state)
{
    (void)state;
    float pixels[TINY_PIXELS];
    for (size_t i = 0; i < TINY_PIXELS; i++)
        pixels[i] = i % 2 ? 3e38f : -3e38f;
    const uint8_t *at[1] = {(const uint8_t *)pixels};
    const size_t size[1] = {sizeof pixels};
    const struct predict_frames frames = {1, at, size};
    const struct wire_predict m = message_of(1, WIRE_PIXEL_F32);
    struct predictor *p;
    struct served *s;
    struct arena arena;
    struct predict_choice c;
    struct wire_prediction item;
    struct fault f = {0};
    arena_init(&arena, call_memory, sizeof call_memory);
    jobs_ok(predictor_new(fixture.base, 1, 32, &p, fx));
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    jobs_ok(predict_choose(s, &m, &arena, &c, fx));
    assert_int_equal(predict_run(p, 0, s, &c, &m, &frames, &arena, &item, &f),
                     STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "pixel");
    assert_int_equal(predictor_count(p), 0);
    served_release(s);
    predictor_free(p);
    arena_fini(&arena);
}
