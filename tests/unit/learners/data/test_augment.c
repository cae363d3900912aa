/* Augmentation: what it may do to a picture, that it is named by epoch and image, and mixup. */
#include "tests/support/test.h"

#include "learners/data/augment.h"

#include <math.h>
#include <string.h>

enum { SIDE = 6, CHANNELS = 3, PIXELS = SIDE * SIDE * CHANNELS };

static uint8_t pixels[2 * PIXELS];
static const int32_t labels[2] = {0, 1};

static struct image_table table(void)
{
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i + 1);
    return (struct image_table){.pixels = pixels,
                                .labels = labels,
                                .n = 2,
                                .size = SIDE,
                                .channels = CHANNELS,
                                .scale = {1, 1, 1},
                                .shift = {0, 0, 0}};
}

void test_augment_nothing_is_plain_loading(void **state)
{
    (void)state;
    const struct image_table t = table();
    const struct rng_root root = {.seed = 1};
    const struct augment_options none = {0};
    float a[PIXELS], b[PIXELS];
    augment_load(&none, &t, &root, 7, 1, a);
    images_load(&t, 1, b);
    assert_memory_equal(a, b, sizeof a);
}

void test_augment_flip_mirrors_every_row(void **state)
{
    (void)state;
    const struct image_table t = table();
    const struct rng_root root = {.seed = 1};
    const struct augment_options flip = {.flip = 1};
    float a[PIXELS], b[PIXELS];
    augment_load(&flip, &t, &root, 0, 0, a);
    images_load(&t, 0, b);
    for (size_t row = 0; row < SIDE * CHANNELS; row++)
        for (size_t x = 0; x < SIDE; x++)
            assert_true(a[row * SIDE + x] == b[row * SIDE + SIDE - 1 - x]);
}

/* True if a is b moved by (dx, dy), black where nothing came. */
static int is_shift(const float *a, const float *b, int dx, int dy)
{
    for (int c = 0; c < CHANNELS; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const int sx = x - dx, sy = y - dy;
                const int inside = sx >= 0 && sx < SIDE && sy >= 0 && sy < SIDE;
                const float expected = inside ? b[(c * SIDE + sy) * SIDE + sx] : 0;
                if (a[(c * SIDE + y) * SIDE + x] != expected)
                    return 0;
            }
    return 1;
}

void test_augment_shifts_reach_every_place_and_no_other(void **state)
{
    (void)state;
    const struct image_table t = table();
    const struct rng_root root = {.seed = 1};
    const struct augment_options shift = {.shift = 2};
    int seen[5][5] = {{0}}, found = 0;
    float a[PIXELS], b[PIXELS];
    images_load(&t, 0, b);
    for (uint32_t epoch = 0; epoch < 400; epoch++) {
        int hits = 0;
        augment_load(&shift, &t, &root, epoch, 0, a);
        for (int dx = -2; dx <= 2; dx++)
            for (int dy = -2; dy <= 2; dy++)
                if (is_shift(a, b, dx, dy)) {
                    hits++;
                    found += !seen[dx + 2][dy + 2]++;
                }
        assert_int_equal(hits, 1);
    }
    assert_int_equal(found, 25);
}

void test_augment_cutout_blanks_a_square(void **state)
{
    (void)state;
    const struct image_table t = table();
    const struct rng_root root = {.seed = 1};
    const struct augment_options cut = {.cutout = 3, .cutout_rate = 1};
    for (uint32_t epoch = 0; epoch < 200; epoch++) {
        float a[PIXELS], b[PIXELS];
        size_t blank[CHANNELS] = {0};
        augment_load(&cut, &t, &root, epoch, 0, a);
        images_load(&t, 0, b);
        for (size_t i = 0; i < PIXELS; i++) {
            assert_true(a[i] == b[i] || a[i] == 0);
            blank[i / (SIDE * SIDE)] += a[i] == 0;
        }
        assert_true(blank[0] >= 4 && blank[0] <= 9);
        assert_true(blank[0] == blank[1] && blank[1] == blank[2]);
    }
}

void test_augment_is_named_by_epoch_and_image(void **state)
{
    (void)state;
    const struct image_table t = table();
    const struct rng_root root = {.seed = 1}, other = {.seed = 2};
    const struct augment_options o = {.flip = 0.5f, .shift = 2, .cutout = 3, .cutout_rate = 0.5f};
    float a[PIXELS], b[PIXELS];
    int changed = 0, by_seed = 0;
    for (uint32_t epoch = 0; epoch < 20; epoch++) {
        augment_load(&o, &t, &root, epoch, 1, a);
        augment_load(&o, &t, &root, epoch + 1, 1, b);
        changed += memcmp(a, b, sizeof a) != 0;
        augment_load(&o, &t, &other, epoch, 1, b);
        by_seed += memcmp(a, b, sizeof a) != 0;
        augment_load(&o, &t, &root, epoch, 1, b);
        assert_memory_equal(a, b, sizeof a);
    }
    assert_true(changed > 10 && by_seed > 10);
}

/* Beta(a, a) folded to [0.5, 1]: E|2 lambda - 1|^2 = 1/(2a + 1). */
void test_mixup_weights_follow_the_beta_distribution(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 1};
    static const float alphas[] = {0.2f, 1, 4};
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        enum { DRAWS = 20000 };
        for (uint64_t step = 0; step < DRAWS; step++) {
            const float x = augment_mix_weight(&root, step, alphas[k]);
            assert_true(x >= 0.5f && x <= 1);
            sum += ((double)x * 2 - 1) * ((double)x * 2 - 1);
        }
        assert_near(sum / DRAWS, 1 / (2 * (double)alphas[k] + 1), 0.01);
    }
    assert_true(augment_mix_weight(&root, 3, 0) == 1);
    float a[2] = {1, 2};
    const float b[2] = {3, -2};
    augment_mix(a, b, 0.75f, 2);
    assert_true(a[0] == 1.5f && a[1] == 1);
}

void test_augment_patches_are_a_fair_choice(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 4};
    enum { N = 10, KEPT = 4, DRAWS = 5000 };
    uint32_t counts[N] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint16_t kept[KEPT], again[KEPT];
        augment_patches(&root, 3, i, N, KEPT, kept);
        augment_patches(&root, 3, i, N, KEPT, again);
        assert_memory_equal(kept, again, sizeof kept);
        for (size_t k = 0; k < KEPT; k++) {
            assert_true(kept[k] < N && (k == 0 || kept[k] > kept[k - 1]));
            counts[kept[k]]++;
        }
    }
    for (size_t p = 0; p < N; p++) /* expected 2000, six standard deviations are 208 */
        assert_true(counts[p] > 1792 && counts[p] < 2208);
}

void test_augment_patches_all_of_them(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 4};
    uint16_t kept[3];
    augment_patches(&root, 0, 0, 3, 3, kept);
    for (uint16_t p = 0; p < 3; p++)
        assert_int_equal(kept[p], p);
}
