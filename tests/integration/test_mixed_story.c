/*
 * Thirty requests that learn, stream and forget, in turn, on the tiny model: what was forgotten
 * stays forgotten, what lives is as good as when it was learned, and kill -9 changes no byte.
 */
#include "tests/support/mixed_story.h"

#define PATTERNS 128u

static void image(uint32_t class, int test, uint32_t i, uint8_t *pixels)
{
    tiny_image(class, test ? 8 : 5, i, pixels);
}

/* The base's patterns are 0 to 3, the others are called as their number. */
static const char *label(uint32_t class)
{
    static char names[PATTERNS][8];
    assert_true(class >= TINY_CLASSES && class < PATTERNS);
    (void)snprintf(names[class], sizeof names[class], "p%u", class);
    return names[class];
}

static const struct lethe_option learn_options[] = {{"selectors", "3"},     {"prompts", "2"},
                                                    {"prompt_blocks", "2"}, {"epochs", "20"},
                                                    {"batch", "8"},         {"lr", "0.02"}};
static const struct lethe_option stream_options[] = {
    {"batch", "12"}, {"window", "16"}, {"lr", "0.03"}, {"probe", "on"}, {"rank", "4"}};

/* Two streams, seven lanes, two classes of the base; classes, samples, tasks and an expert go. */
static const struct mixed_step steps[MIXED_REQUESTS] = {
    {MIXED_LEARN, "a", "a-images", {10, 3, 0, 30}},
    {MIXED_CLASS, "Cross", NULL, {0}},
    {MIXED_OPEN, "cam", NULL, {0}},
    {MIXED_PUSH, "cam", "monday", {70, 3, 0, 40}},
    {MIXED_LEARN, "b", "b-images", {20, 2, 0, 30}},
    {MIXED_CLASS, "p11", NULL, {0}},
    {MIXED_PUSH, "cam", "tuesday", {80, 3, 0, 40}},
    {MIXED_LEARN, "c", "c-images", {30, 3, 0, 30}},
    {MIXED_SAMPLES, NULL, "b-some", {20, 2, 4, 5}},
    {MIXED_CLASS, "p72", NULL, {0}},
    {MIXED_LEARN, "d", "d-images", {40, 2, 0, 30}},
    {MIXED_PUSH, "cam", "monday-more", {70, 2, 40, 24}},
    {MIXED_TASK, "b", NULL, {0}},
    {MIXED_CLASS, "Stripe", NULL, {0}},
    {MIXED_LEARN, "e", "e-images", {50, 2, 0, 30}},
    {MIXED_PUSH, "cam", "friday", {90, 2, 0, 48}},
    {MIXED_CLASS, "p31", NULL, {0}},
    {MIXED_SAMPLES, NULL, "tuesday-some", {80, 3, 10, 6}},
    {MIXED_OPEN, "door", NULL, {0}},
    {MIXED_PUSH, "door", "saturday", {100, 2, 0, 48}},
    {MIXED_LEARN, "f", "f-images", {60, 2, 0, 30}},
    {MIXED_CLASS, "p91", NULL, {0}},
    {MIXED_TASK, "d", NULL, {0}},
    {MIXED_PUSH, "door", "sunday", {110, 2, 0, 48}},
    {MIXED_SAMPLES, NULL, "e-some", {50, 2, 8, 4}},
    {MIXED_TASK, "door.0", NULL, {0}},
    {MIXED_LEARN, "g", "g-images", {120, 2, 0, 30}},
    {MIXED_CLOSE, "door", NULL, {0}},
    {MIXED_CLASS, "p82", NULL, {0}},
    {MIXED_PUSH, "cam", "tuesday-more", {80, 2, 40, 24}},
};

static const struct mixed_world tiny = {
    .setting = "eval_per_class = 40\nmax_attempts = 10\n" SESSION_GATE SESSION_FAST,
    .size = TINY_SIZE,
    .test_per_class = 40,
    .shot_ms = 80,
    .shot_seed = 4711,
    .image = image,
    .label = label,
    .base_data = session_import,
    .learn = learn_options,
    .n_learn = sizeof learn_options / sizeof learn_options[0],
    .stream = stream_options,
    .n_stream = sizeof stream_options / sizeof stream_options[0],
    .steps = steps};

void test_mixed_story(void **state)
{
    (void)state;
    struct session origin;
    session_new(&origin, tiny.setting);
    mixed_story(&tiny, &origin);
    session_free(&origin);
}
