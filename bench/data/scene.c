#include "bench/data/scene.h"

#include <string.h>

#include "client/dataset/resize.h"
#include "daemon/base/invariant.h"

/* Smallest and largest row and column with ink. */
struct box {
    uint32_t top, bottom, left, right;
};

static int find_ink(const uint8_t *in, uint32_t side, struct box *b)
{
    *b = (struct box){side, 0, side, 0};
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            if (in[y * side + x] <= SCENE_INK)
                continue;
            b->top = y < b->top ? y : b->top;
            b->bottom = y;
            b->left = x < b->left ? x : b->left;
            b->right = x > b->right ? x : b->right;
        }
    return b->top <= b->bottom;
}

void scene_ink_square(const uint8_t *in, uint32_t side, uint8_t *out, uint32_t *ret_side)
{
    struct box b;
    if (!find_ink(in, side, &b))
        b = (struct box){0, side - 1, 0, side - 1};
    const uint32_t height = b.bottom - b.top + 1, width = b.right - b.left + 1;
    const uint32_t s = height > width ? height : width;
    /* The box stands in the middle of the square; what is outside of the image is black. */
    const uint32_t down = (s - height) / 2, right = (s - width) / 2;
    memset(out, 0, (size_t)s * s);
    for (uint32_t y = 0; y < height; y++)
        memcpy(out + (size_t)(y + down) * s + right, in + (size_t)(b.top + y) * side + b.left,
               width);
    *ret_side = s;
}

static uint32_t shared_length(uint32_t a, uint32_t n_a, uint32_t b, uint32_t n_b)
{
    const uint32_t from = a > b ? a : b;
    const uint32_t to = a + n_a < b + n_b ? a + n_a : b + n_b;
    return to > from ? to - from : 0;
}

/* Per cent of the smaller item that the two share. */
static uint32_t overlap(const struct scene_item *a, const struct scene_item *b)
{
    const uint32_t side = a->side < b->side ? a->side : b->side;
    return 100 * shared_length(a->x, a->side, b->x, b->side) *
           shared_length(a->y, a->side, b->y, b->side) / (side * side);
}

static uint32_t worst_overlap(const struct scene_item *items, uint32_t n)
{
    uint32_t worst = 0;
    for (uint32_t i = 0; i + 1 < n; i++) {
        const uint32_t o = overlap(&items[i], &items[n - 1]);
        worst = o > worst ? o : worst;
    }
    return worst;
}

/* Scale and place of the last of n items: the first that is free enough, or the freest.  Where the
 * first half of the tries finds nothing, the item is drawn at its smallest. */
static void place_item(struct scene_item *items, uint32_t n, struct rng *rng)
{
    struct scene_item *it = &items[n - 1], best = {0};
    uint32_t best_overlap = UINT32_MAX;
    for (uint32_t t = 0; t < SCENE_TRIES && best_overlap > SCENE_OVERLAP; t++) {
        const uint32_t scales = t < SCENE_TRIES / 2 ? SCENE_ITEM_MAX - SCENE_ITEM_MIN + 1 : 1;
        it->side = SCENE_ITEM_MIN + (uint32_t)rng_below(rng, scales);
        it->x = (uint32_t)rng_below(rng, SCENE_SIDE - it->side + 1);
        it->y = (uint32_t)rng_below(rng, SCENE_SIDE - it->side + 1);
        const uint32_t o = worst_overlap(items, n);
        if (o < best_overlap) {
            best_overlap = o;
            best = *it;
        }
    }
    *it = best;
}

static uint32_t draw_class(const struct scene_sources *s, const uint8_t *hot, struct rng *rng)
{
    uint32_t c;
    do
        c = (uint32_t)rng_below(rng, s->classes);
    while (hot[c]);
    return c;
}

static enum status paint_item(const struct scene_sources *s,
                              const struct scene_item *it,
                              uint8_t *canvas,
                              struct fault *f)
{
    uint8_t square[SCENE_MAX_INPUT * SCENE_MAX_INPUT];
    uint8_t item[SCENE_ITEM_MAX * SCENE_ITEM_MAX];
    uint32_t side;
    scene_ink_square(s->pools[it->class_index].images[it->image], s->side, square, &side);
    TRY(resize_picture(square, (struct picture_size){side, side, 1}, RESAMPLE_BILINEAR, item,
                       it->side, it->side, f));
    for (uint32_t y = 0; y < it->side; y++)
        for (uint32_t x = 0; x < it->side; x++) {
            uint8_t *to = &canvas[(it->y + y) * SCENE_SIDE + it->x + x];
            const uint8_t from = item[y * it->side + x];
            *to = from > *to ? from : *to;
        }
    return STATUS_OK;
}

enum status scene_draw(const struct scene_sources *sources,
                       struct rng *rng,
                       uint8_t *canvas,
                       uint8_t *hot,
                       struct scene_item *items,
                       uint32_t *ret_items,
                       struct fault *f)
{
    INVARIANT(sources->classes >= SCENE_MAX_ITEMS && sources->side <= SCENE_MAX_INPUT);
    const uint32_t n = 1 + (uint32_t)rng_below(rng, SCENE_MAX_ITEMS);
    memset(canvas, 0, (size_t)SCENE_SIDE * SCENE_SIDE);
    memset(hot, 0, sources->classes);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t c = draw_class(sources, hot, rng);
        items[i].class_index = c;
        items[i].image = (uint32_t)rng_below(rng, sources->pools[c].n);
        place_item(items, i + 1, rng);
        TRY(paint_item(sources, &items[i], canvas, f));
        hot[c] = 1;
    }
    *ret_items = n;
    return STATUS_OK;
}

void scene_divide(uint32_t n,
                  enum scene_split split,
                  const struct rng_root *root,
                  uint32_t source,
                  uint32_t *order,
                  uint32_t *ret_from,
                  uint32_t *ret_to)
{
    const uint32_t held = n / SCENE_HELD;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    *ret_from = split == SCENE_TRAIN ? held : 0;
    *ret_to = split == SCENE_VALIDATION ? held : n;
    if (split == SCENE_TEST)
        return;
    struct rng rng;
    rng_init(&rng, root, "scenes/division", source);
    rng_shuffle(&rng, order, n);
}

void scene_halve(const uint8_t *in, uint32_t side, uint8_t *out)
{
    const uint32_t half = side / 2;
    for (uint32_t y = 0; y < half; y++)
        for (uint32_t x = 0; x < half; x++) {
            const uint8_t *p = in + (size_t)2 * y * side + (size_t)2 * x;
            out[y * half + x] = (uint8_t)((p[0] + p[1] + p[side] + p[side + 1] + 2) / 4);
        }
}
