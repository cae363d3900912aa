/*
 * Multi-label scenes: one to four items of different classes at random places and scales on a dark
 * canvas; the label set of a scene is the classes in it.  An item is the square around the ink of
 * its source image, so that scales mean the same for all sources.  Pure functions of their inputs
 * and the random stream; integers throughout, so the same bytes on every machine.
 */
#ifndef LETHE_BENCH_SCENE_H
#define LETHE_BENCH_SCENE_H

#include "daemon/base/rng.h"
#include "daemon/base/status.h"

#include <stdint.h>

#define SCENE_SIDE      56u /* of the canvas, pixels */
#define SCENE_MAX_ITEMS 4u
#define SCENE_ITEM_MIN  18u /* side of an item on the canvas, pixels */
#define SCENE_ITEM_MAX  30u
#define SCENE_INK       32u  /* a brighter pixel belongs to the item */
#define SCENE_OVERLAP   20u  /* per cent of the smaller of two items that may be shared */
#define SCENE_TRIES     256u /* places that are tried before the least crowded one is taken */
#define SCENE_MAX_INPUT 64u  /* side of a source image */
#define SCENE_HELD      6u   /* one in so many training images makes validation scenes */

enum scene_split { SCENE_TRAIN, SCENE_VALIDATION, SCENE_TEST, SCENE_SPLITS };

/* Source images of one class, u8 [side,side] each, light on dark. */
struct scene_pool {
    const uint8_t **images;
    uint32_t n;
};

struct scene_sources {
    const struct scene_pool *pools; /* [classes], none empty */
    uint32_t classes;               /* at least SCENE_MAX_ITEMS */
    uint32_t side;                  /* at most SCENE_MAX_INPUT */
};

/* One item as it was placed. */
struct scene_item {
    uint32_t class_index, image;
    uint32_t x, y, side; /* on the canvas */
};

/*
 * Draws a scene: canvas [SCENE_SIDE,SCENE_SIDE], hot [classes] 0 or 1, items
 * [SCENE_MAX_ITEMS]; all overwritten.  Overlapping items add as light does: the brighter wins.
 * Errors: those of resize_picture.
 */
enum status scene_draw(const struct scene_sources *sources,
                       struct rng *rng,
                       uint8_t *canvas,
                       uint8_t *hot,
                       struct scene_item *items,
                       uint32_t *ret_items,
                       struct fault *f) MUST_CHECK;

/*
 * Which of a source's n images make the scenes of a split: order[*ret_from .. *ret_to - 1].  For
 * test these are the images of the source's test file, all of them; its training file is divided by
 * the seed and the source's number.  order [n] is overwritten.
 */
void scene_divide(uint32_t n,
                  enum scene_split split,
                  const struct rng_root *root,
                  uint32_t source,
                  uint32_t *order,
                  uint32_t *ret_from,
                  uint32_t *ret_to);

/* out [side/2,side/2] = rounded means of 2x2 pixels of in [side,side], side even. */
void scene_halve(const uint8_t *in, uint32_t side, uint8_t *out);

/* The square around the pixels of in [side,side] above SCENE_INK, centred on them, black where it
 * leaves the image: out [*ret_side,*ret_side], at most side.  The whole image if there is no ink.
 */
void scene_ink_square(const uint8_t *in, uint32_t side, uint8_t *out, uint32_t *ret_side);

#endif
