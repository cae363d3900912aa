/*
 * The mixed story on real data: thirty requests on models/vit-fashion, which knows clothes, that
 * learn digits of MNIST as lanes and as streams and forget some of all three.  Digits in dark ink
 * on white are other classes than those in white on black: one concept has one owner.
 */
#include "tests/support/mixed_story.h"

#include <limits.h>

#define SIDE    28u
#define PIXELS  (SIDE * SIDE)
#define FASHION "/usr/share/datasets/fashion-mnist"
#define DIGITS  LETHE_BUILD "/data/mnist/"
#define WHITE   10u /* classes 10 to 19: digits in white, 20 to 29: in dark ink */
#define INK     20u
#define MOST    7000u /* images of one digit */

/* One of the two files of images, and where each digit's are. */
struct digits {
    uint8_t *pixels;
    uint32_t n, at[10][MOST], counts[10];
};
static struct digits train, held;

/* ---------------------------------------------------------------- MNIST */

static uint8_t *read_idx(const char *name, size_t header, size_t *ret_n)
{
    char path[600];
    (void)snprintf(path, sizeof path, DIGITS "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("there is no %s: make data-mnist", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    assert_true(size > (long)header);
    *ret_n = (size_t)size - header;
    uint8_t *bytes = malloc(*ret_n);
    assert_non_null(bytes);
    assert_int_equal(fseek(file, (long)header, SEEK_SET), 0);
    assert_int_equal(fread(bytes, 1, *ret_n, file), *ret_n);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void read_digits(const char *images, const char *labels, struct digits *d)
{
    size_t n_pixels, n;
    d->pixels = read_idx(images, 16, &n_pixels);
    uint8_t *digit = read_idx(labels, 8, &n);
    assert_int_equal(n_pixels, n * PIXELS);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(digit[i] < 10 && d->counts[digit[i]] < MOST);
        d->at[digit[i]][d->counts[digit[i]]++] = i;
    }
    free(digit);
}

static void image(uint32_t class, int test, uint32_t i, uint8_t *pixels)
{
    const struct digits *d = test ? &held : &train;
    const uint32_t digit = class % 10;
    assert_true(class >= WHITE && i < d->counts[digit]);
    memcpy(pixels, d->pixels + (size_t)d->at[digit][i] * PIXELS, PIXELS);
    for (uint32_t p = 0; class >= INK && p < PIXELS; p++)
        pixels[p] = (uint8_t)(255 - pixels[p]);
}

static const char *label(uint32_t class)
{
    static const char *const names[] = {
        "zero",  "one",   "two",   "three", "four",  "five",  "six",   "seven", "eight", "nine",
        "ink 0", "ink 1", "ink 2", "ink 3", "ink 4", "ink 5", "ink 6", "ink 7", "ink 8", "ink 9"};
    assert_true(class >= WHITE && class < INK + 10);
    return names[class - WHITE];
}

/* ---------------------------------------------------------------- clothes */

static void import_clothes(struct session *s, const char *name, const char *path, const char *role)
{
    char out[4096];
    if (test_daemon_cli(&s->d, out, sizeof out, "data", "import", name, path, "--role", role,
                        NULL) != 0)
        fail_msg("%s: %s", name, out);
}

static void base_data(struct session *s)
{
    import_clothes(s, "fashion-train", FASHION, "train");
    import_clothes(s, "fashion-test", FASHION "/t10k-images-idx3-ubyte.gz", "test");
}

/* ---------------------------------------------------------------- the story */

static const struct mixed_step steps[MIXED_REQUESTS] = {
    {MIXED_LEARN, "m01", "m01-images", {10, 2, 0, 300}},
    {MIXED_CLASS, "Sandal", NULL, {0}},
    {MIXED_OPEN, "scan", NULL, {0}},
    {MIXED_PUSH, "scan", "67", {16, 2, 0, 480}},
    {MIXED_LEARN, "m23", "m23-images", {12, 2, 0, 300}},
    {MIXED_CLASS, "Bag", NULL, {0}},
    {MIXED_PUSH, "scan", "89", {18, 2, 0, 480}},
    {MIXED_CLASS, "three", NULL, {0}},
    {MIXED_PUSH, "scan", "67-more", {16, 2, 480, 240}},
    {MIXED_SAMPLES, NULL, "m01-some", {10, 2, 20, 30}},
    {MIXED_LEARN, "m45", "m45-images", {14, 2, 0, 300}},
    {MIXED_PUSH, "scan", "89-more", {18, 2, 480, 240}},
    {MIXED_CLASS, "T-shirt/top", NULL, {0}},
    {MIXED_SAMPLES, NULL, "67-some", {16, 2, 100, 160}}, /* fewer, and chance rejects */
    {MIXED_CLASS, "nine", NULL, {0}},
    {MIXED_PUSH, "scan", "eights", {18, 1, 720, 320}},
    {MIXED_CLASS, "four", NULL, {0}},
    {MIXED_PUSH, "scan", "67-again", {16, 2, 720, 240}},
    {MIXED_SAMPLES, NULL, "m45-some", {15, 1, 10, 20}},
    {MIXED_TASK, "m23", NULL, {0}},
    {MIXED_OPEN, "pad", NULL, {0}},
    {MIXED_PUSH, "pad", "ink-01", {20, 2, 0, 480}},
    {MIXED_PUSH, "pad", "ink-23", {22, 2, 0, 480}},
    {MIXED_SAMPLES, NULL, "m01-others", {10, 2, 60, 30}},
    {MIXED_PUSH, "pad", "ink-01-more", {20, 2, 480, 240}},
    {MIXED_CLASS, "ink 2", NULL, {0}},
    {MIXED_LEARN, "ink45", "ink45-images", {24, 2, 0, 300}},
    {MIXED_TASK, "pad.0", NULL, {0}},
    {MIXED_CLASS, "Ankle boot", NULL, {0}},
    {MIXED_CLOSE, "scan", NULL, {0}},
};

static const struct lethe_option learn_options[] = {{"epochs", "6"}};
static const struct lethe_option stream_options[] = {{"batch", "32"}, {"probe", "on"}};

static const struct mixed_world real = {
    .setting = "eval_per_class = 200\nmax_attempts = 10\nthreads = 2\n",
    .size = SIDE,
    .test_per_class = 200,
    .shot_ms = 3000,
    .shot_seed = 4711,
    .image = image,
    .label = label,
    .base_data = base_data,
    .learn = learn_options,
    .n_learn = 1,
    .stream = stream_options,
    .n_stream = 2,
    .steps = steps};

/* A daemon on the shipped model: its folder stands where the tiny one would. */
static void begin(struct session *s)
{
    char path[PATH_MAX];
    memset(s, 0, sizeof *s);
    if (!realpath("models/vit-fashion", path) || strlen(path) >= sizeof s->model)
        fail_msg("models/vit-fashion: start in the folder of the sources");
    memcpy(s->model, path, strlen(path) + 1);
    test_daemon_new(&s->d, s->model, real.setting);
    test_daemon_start(&s->d);
    session_connect(s);
}

void test_mixed_story_of_clothes_and_digits(void **state)
{
    (void)state;
    struct session origin;
    read_digits("train-images-idx3-ubyte", "train-labels-idx1-ubyte", &train);
    read_digits("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", &held);
    begin(&origin);
    mixed_story(&real, &origin);
    lethe_close(origin.l);
    test_daemon_free(&origin.d);
    free(train.pixels);
    free(held.pixels);
}
