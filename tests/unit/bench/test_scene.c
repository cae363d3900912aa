/* Scenes: what is drawn is what is labelled, bounds, overlaps, averages, determinism. */
#include "tests/support/test.h"

#include "bench/data/scene.h"

#include <string.h>

#define CLASSES 20u
#define SIDE    28u
#define ROUNDS  400u

/* Class c: a plain square of brightness 60 + 9 c, so that a pixel tells its class. */
struct world {
    uint8_t pixels[CLASSES][SIDE * SIDE];
    const uint8_t *images[CLASSES];
    struct scene_pool pools[CLASSES];
    struct scene_sources sources;
};

static void world_make(struct world *w)
{
    memset(w, 0, sizeof *w);
    for (uint32_t c = 0; c < CLASSES; c++) {
        for (uint32_t y = 4; y < 24; y++)
            memset(&w->pixels[c][y * SIDE + 4], (int)(60 + 9 * c), 20);
        w->images[c] = w->pixels[c];
        w->pools[c] = (struct scene_pool){&w->images[c], 1};
    }
    w->sources = (struct scene_sources){w->pools, CLASSES, SIDE};
}

struct drawn {
    uint8_t canvas[SCENE_SIDE * SCENE_SIDE];
    uint8_t hot[CLASSES];
    struct scene_item items[SCENE_MAX_ITEMS];
    uint32_t n;
};

static void draw(const struct world *w, uint64_t seed, uint64_t index, struct drawn *d)
{
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "scene", index);
    memset(d, 0xee, sizeof *d);
    assert_int_equal(scene_draw(&w->sources, &rng, d->canvas, d->hot, d->items, &d->n, NULL),
                     STATUS_OK);
}

static uint32_t middle(const struct drawn *d, uint32_t i)
{
    const struct scene_item *it = &d->items[i];
    return d->canvas[(it->y + it->side / 2) * SCENE_SIDE + it->x + it->side / 2];
}

void test_scene_labels_are_what_is_drawn(void **state)
{
    (void)state;
    static struct world w;
    static struct drawn d;
    uint32_t counts[SCENE_MAX_ITEMS + 1] = {0}, shown[CLASSES] = {0};
    world_make(&w);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        draw(&w, 1, r, &d);
        uint32_t labels = 0;
        for (uint32_t c = 0; c < CLASSES; c++) {
            assert_true(d.hot[c] <= 1);
            labels += d.hot[c];
            shown[c] += d.hot[c];
        }
        assert_int_equal(labels, d.n);
        counts[d.n]++;
        for (uint32_t i = 0; i < d.n; i++) {
            const struct scene_item *it = &d.items[i];
            assert_int_equal(d.hot[it->class_index], 1);
            assert_true(it->side >= SCENE_ITEM_MIN && it->side <= SCENE_ITEM_MAX);
            assert_true(it->x + it->side <= SCENE_SIDE && it->y + it->side <= SCENE_SIDE);
            assert_true(middle(&d, i) >= 60 + 9 * it->class_index);
        }
        /* A lone item is scaled to its whole box, and there is nothing else. */
        for (uint32_t p = 0; d.n == 1 && p < SCENE_SIDE * SCENE_SIDE; p++) {
            const struct scene_item *it = &d.items[0];
            const uint32_t x = p % SCENE_SIDE, y = p / SCENE_SIDE;
            const int inside =
                x >= it->x && x < it->x + it->side && y >= it->y && y < it->y + it->side;
            assert_int_equal(d.canvas[p], inside ? 60 + 9 * it->class_index : 0);
        }
    }
    for (uint32_t n = 1; n <= SCENE_MAX_ITEMS; n++)
        assert_in_range(counts[n], ROUNDS / 6, ROUNDS / 3);
    assert_int_equal(counts[0], 0);
    for (uint32_t c = 0; c < CLASSES; c++)
        assert_in_range(shown[c], ROUNDS / 16, ROUNDS / 5); /* 2.5 of 20 expected */
}

static uint32_t share(const struct scene_item *a, const struct scene_item *b)
{
    const uint32_t small = a->side < b->side ? a->side : b->side;
    uint32_t both = 0;
    for (uint32_t y = a->y; y < a->y + a->side; y++)
        for (uint32_t x = a->x; x < a->x + a->side; x++)
            both += x >= b->x && x < b->x + b->side && y >= b->y && y < b->y + b->side;
    return 100 * both / (small * small);
}

void test_scene_items_rarely_cover_each_other(void **state)
{
    (void)state;
    static struct world w;
    static struct drawn d;
    uint32_t crowded = 0, pairs = 0;
    world_make(&w);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        draw(&w, 2, r, &d);
        for (uint32_t i = 0; i < d.n; i++)
            for (uint32_t j = 0; j < i; j++, pairs++)
                crowded += share(&d.items[i], &d.items[j]) > SCENE_OVERLAP;
    }
    assert_true(pairs > ROUNDS);
    if (crowded * 100 >= pairs)
        fail_msg("%u of %u pairs", crowded, pairs);
}

void test_scene_depends_on_seed_and_number_only(void **state)
{
    (void)state;
    static struct world w;
    static struct drawn a, b;
    world_make(&w);
    draw(&w, 3, 7, &a);
    draw(&w, 3, 8, &b);
    assert_memory_not_equal(a.canvas, b.canvas, sizeof a.canvas);
    draw(&w, 3, 7, &b);
    assert_memory_equal(&a, &b, sizeof a);
    draw(&w, 4, 7, &b);
    assert_memory_not_equal(a.canvas, b.canvas, sizeof a.canvas);
}

/* No source image is in two splits, and none is lost. */
void test_scene_splits_share_no_image(void **state)
{
    (void)state;
    enum { N = 100 };
    const struct rng_root root = {.seed = 5};
    uint32_t train[N], valid[N], test[N], from, to, seen[N] = {0}, moved = 0;
    scene_divide(N, SCENE_TRAIN, &root, 1, train, &from, &to);
    assert_int_equal(to - from, N - N / SCENE_HELD);
    for (uint32_t i = from; i < to; i++)
        seen[train[i]]++;
    scene_divide(N, SCENE_VALIDATION, &root, 1, valid, &from, &to);
    assert_int_equal(to - from, N / SCENE_HELD);
    for (uint32_t i = from; i < to; i++)
        seen[valid[i]]++;
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(seen[i], 1);
        moved += train[i] != i;
    }
    assert_true(moved > N / 2);
    scene_divide(N, SCENE_TEST, &root, 1, test, &from, &to);
    assert_true(from == 0 && to == N);
    scene_divide(N, SCENE_TRAIN, &root, 0, test, &from, &to);
    assert_memory_not_equal(test, train, sizeof test);
}

void test_scene_halves_by_rounded_means(void **state)
{
    (void)state;
    const uint8_t in[16] = {0, 1, 255, 255, 1, 0, 255, 255, 10, 11, 0, 0, 12, 13, 0, 1};
    const uint8_t expected[4] = {1, 255, 12, 0};
    uint8_t out[4];
    scene_halve(in, 4, out);
    assert_memory_equal(out, expected, 4);
}

void test_scene_ink_square_is_centred(void **state)
{
    (void)state;
    /* A line of three pixels, one column wide, with a faint pixel that is no ink. */
    uint8_t in[36] = {0}, out[36];
    in[1 * 6 + 4] = 200;
    in[2 * 6 + 4] = 210;
    in[3 * 6 + 4] = 220;
    in[5 * 6 + 0] = SCENE_INK;
    uint32_t side = 0;
    scene_ink_square(in, 6, out, &side);
    const uint8_t expected[9] = {0, 200, 0, 0, 210, 0, 0, 220, 0};
    assert_int_equal(side, 3);
    assert_memory_equal(out, expected, 9);
    memset(in, 0, sizeof in);
    scene_ink_square(in, 6, out, &side);
    assert_int_equal(side, 6);
    assert_memory_equal(out, in, sizeof in);
}
