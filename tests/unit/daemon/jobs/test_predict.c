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

void test_predict_check_scopes(void **state)
{
    (void)state;
    const uint8_t pixels[TINY_PIXELS] = {0};
    const uint8_t *at[1] = {pixels};
    const size_t size[1] = {TINY_PIXELS};
    const struct predict_frames frames = {1, at, size};
    struct wire_predict m = message_of(1, WIRE_PIXEL_U8);
    static const char *const good[] = {"", "base", "all"};
    for (size_t i = 0; i < 3; i++) {
        m.scope = good[i];
        jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    }
    m.scope = "lanes";
    refused(&m, &frames, STATUS_NOT_FOUND, "scope");
    m.scope = "stream:spring";
    refused(&m, &frames, STATUS_NOT_FOUND, "scope");
    m.scope = "everything";
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "scope");
    m.scope = "";
    m.decision = "guess";
    refused(&m, &frames, STATUS_INVALID_ARGUMENT, "decision");
}

/* 19 images: more than one forward pass holds, so the passes are put together. */
void test_predict_u8_and_f32_agree_and_are_right(void **state)
{
    (void)state;
    enum { N = 19 };
    static uint8_t pixels[N][TINY_PIXELS];
    static float floats[N][TINY_PIXELS];
    const uint8_t *at[N], *at_f32[N];
    size_t size[N], size_f32[N];
    for (uint32_t i = 0; i < N; i++) {
        tiny_image(i % TINY_CLASSES, 99, i, pixels[i]);
        tiny_normalise(pixels[i], floats[i]);
        at[i] = pixels[i];
        at_f32[i] = (const uint8_t *)floats[i];
        size[i] = TINY_PIXELS;
        size_f32[i] = sizeof floats[i];
    }
    struct predictor *p;
    struct served *s;
    jobs_ok(predictor_new(fixture.base, 1, 32, &p, fx));
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    float a[N * TINY_CLASSES], b[N * TINY_CLASSES];
    const struct predict_frames u8 = {N, at, size}, f32 = {N, at_f32, size_f32};
    const struct wire_predict m8 = message_of(N, WIRE_PIXEL_U8);
    const struct wire_predict m32 = message_of(N, WIRE_PIXEL_F32);
    jobs_ok(predict_logits(p, 0, s, &m8, &u8, a, fx));
    jobs_ok(predict_logits(p, 0, s, &m32, &f32, b, fx));
    uint32_t right = 0;
    for (uint32_t i = 0; i < N; i++) {
        struct predict_score scratch[TINY_CLASSES];
        struct wire_scored_label top;
        assert_int_equal(predict_rank(s, a + i * TINY_CLASSES, 1, scratch, &top), 1);
        right += strcmp(top.label, tiny_labels[i % TINY_CLASSES]) == 0;
        for (uint32_t k = 0; k < TINY_CLASSES; k++)
            assert_near(a[i * TINY_CLASSES + k], b[i * TINY_CLASSES + k], 1e-3);
    }
    assert_true(right >= N - 1);
    assert_int_equal(predictor_count(p), 2 * N);
    served_release(s);
    predictor_free(p);
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
    float logits[TINY_CLASSES];
    struct fault f = {0};
    jobs_ok(predictor_new(fixture.base, 1, 32, &p, fx));
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    jobs_ok(predict_check(fixture.base, &m, &frames, fx));
    assert_int_equal(predict_logits(p, 0, s, &m, &frames, logits, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "pixel");
    served_release(s);
    predictor_free(p);
}
