#include "learners/methods/gslora/prefix_cache.h"

#include "daemon/base/invariant.h"

#include <string.h>

/* Floats of an entry for block `block`. */
static size_t prefix_floats(const struct vit_config *c, uint32_t block)
{
    return block == c->depth ? c->width : (size_t)vit_tokens(c) * c->width;
}

/* Entries of each area within the limit: the small class rows come first. */
static void prefix_capacity(const struct vit_config *c,
                            const struct prefix_sizes *s,
                            uint32_t *ret_full,
                            uint32_t *ret_row)
{
    const size_t row = prefix_floats(c, c->depth) * sizeof(float);
    const size_t full = prefix_floats(c, 0) * sizeof(float);
    const size_t rows = s->limit_bytes / row;
    *ret_row = rows < s->n_used ? (uint32_t)rows : s->n_used;
    const size_t left = s->limit_bytes - *ret_row * row;
    *ret_full = left / full < s->n_used ? (uint32_t)(left / full) : s->n_used;
    if (c->depth == 1)
        *ret_full = 0;
}

void prefix_cache_plan(const struct vit_config *c,
                       const struct prefix_sizes *s,
                       struct arena_plan *p)
{
    uint32_t full, row;
    prefix_capacity(c, s, &full, &row);
    const size_t floats = prefix_floats(c, 0);
    const size_t pixels = (size_t)c->channels * c->image_size * c->image_size;
    arena_plan_add(p, full * floats, sizeof(float));
    arena_plan_add(p, row * (size_t)c->width, sizeof(float));
    arena_plan_add(p, s->n_images, sizeof(uint32_t));
    arena_plan_add(p, s->n_images, sizeof(uint32_t));
    arena_plan_add(p, s->n_images, 1);
    arena_plan_add(p, s->n_chunk * pixels, sizeof(float));
    arena_plan_add(p, s->n_chunk * floats, sizeof(float));
    arena_plan_add(p, s->n_max * floats, sizeof(float));
    arena_plan_add(p, s->n_max, sizeof(uint32_t));
    arena_plan_add(p, s->n_chunk, sizeof(float *));
}

static int prefix_area_new(
    size_t entry, uint32_t capacity, uint32_t n_images, struct arena *arena, struct prefix_area *a)
{
    *a = (struct prefix_area){.entry = entry, .capacity = capacity};
    a->data = arena_alloc(arena, capacity * entry, sizeof(float));
    a->slot = arena_alloc_zero(arena, n_images, sizeof(uint32_t));
    return a->data && a->slot;
}

int prefix_cache_new(const struct vit_config *config,
                     const struct prefix_sizes *s,
                     const struct vit_weights *weights,
                     const struct image_table *images,
                     struct vit_batch *batch,
                     struct arena *arena,
                     struct prefix_cache *ret_cache)
{
    uint32_t full, row;
    prefix_capacity(config, s, &full, &row);
    struct prefix_cache k = {.config = *config,
                             .weights = weights,
                             .images = images,
                             .batch = batch,
                             .n_chunk = s->n_chunk,
                             .n_max = s->n_max};
    const size_t floats = prefix_floats(config, 0);
    if (!prefix_area_new(floats, full, s->n_images, arena, &k.full) ||
        !prefix_area_new(config->width, row, s->n_images, arena, &k.row))
        return 0;
    k.level = arena_alloc_zero(arena, s->n_images, 1);
    k.pixels = arena_alloc(arena, s->n_chunk * images_floats(images), sizeof(float));
    k.chunk = arena_alloc(arena, s->n_chunk * floats, sizeof(float));
    k.spill = arena_alloc(arena, s->n_max * floats, sizeof(float));
    k.missing = arena_alloc(arena, s->n_max, sizeof(uint32_t));
    k.inputs = arena_alloc(arena, s->n_chunk, sizeof(float *));
    *ret_cache = k;
    return k.level && k.pixels && k.chunk && k.spill && k.missing && k.inputs;
}

/* Entry of an image at this block, or NULL. */
static float *prefix_find(const struct prefix_cache *k, uint32_t block, uint32_t image)
{
    if (block == k->config.depth) {
        const uint32_t slot = k->row.slot[image];
        return slot ? k->row.data + (slot - 1) * k->row.entry : NULL;
    }
    if (k->level[image] != block)
        return NULL;
    return k->full.data + (k->full.slot[image] - 1) * k->full.entry;
}

/* Block that an image can be carried on from: its full entry's, or 0 for its pixels. */
static uint32_t prefix_source(const struct prefix_cache *k, uint32_t block, uint32_t image)
{
    return k->level[image] < block ? k->level[image] : 0;
}

/* Room for a new entry: an old or a free slot, or NULL when the area is full. */
static float *prefix_take_slot(struct prefix_area *a, uint32_t image)
{
    if (a->slot[image] == 0) {
        if (a->used == a->capacity)
            return NULL;
        a->slot[image] = ++a->used;
    }
    return a->data + (a->slot[image] - 1) * a->entry;
}

static const float *prefix_store(
    struct prefix_cache *k, uint32_t block, uint32_t image, const float *value, float *spill)
{
    const int last = block == k->config.depth;
    struct prefix_area *a = last ? &k->row : &k->full;
    float *to = prefix_take_slot(a, image);
    if (to && !last)
        k->level[image] = (uint8_t)block;
    if (!to)
        to = spill;
    memcpy(to, value, a->entry * sizeof *to);
    return to;
}

/* Computes the prefixes of list[at[0..n-1]], all carried on from block `from`. */
static void prefix_compute(struct prefix_cache *k,
                           uint32_t block,
                           uint32_t from,
                           const uint32_t *list,
                           const uint32_t *at,
                           uint32_t n,
                           const float **out)
{
    const size_t pixels = images_floats(k->images);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t image = list[at[i]];
        if (from == 0) {
            images_load(k->images, image, k->pixels + i * pixels);
            k->inputs[i] = k->pixels + i * pixels;
        } else {
            k->inputs[i] = prefix_find(k, from, image);
        }
    }
    const struct vit_input in = {.n = n,
                                 .first = from,
                                 .images = from ? NULL : k->inputs,
                                 .prefix = from ? k->inputs : NULL};
    const struct vit_output result = {.prefix = k->chunk, .prefix_block = block};
    vit_forward(k->batch, k->weights, &in, &result);
    const size_t floats = prefix_floats(&k->config, block);
    for (uint32_t i = 0; i < n; i++)
        out[at[i]] = prefix_store(k, block, list[at[i]], k->chunk + i * floats,
                                  k->spill + at[i] * prefix_floats(&k->config, 0));
    k->n_computed += n;
}

void prefix_cache_fetch(
    struct prefix_cache *k, uint32_t block, const uint32_t *list, uint32_t n, const float **out)
{
    INVARIANT(block >= 1 && block <= k->config.depth && n <= k->n_max);
    for (uint32_t i = 0; i < n; i++)
        out[i] = prefix_find(k, block, list[i]);
    for (uint32_t start = 0; start < n;) {
        if (out[start]) {
            start++;
            continue;
        }
        /* one chunk: images without an entry that are carried on from the same block */
        const uint32_t from = prefix_source(k, block, list[start]);
        uint32_t found = 0;
        for (uint32_t i = start; i < n && found < k->n_chunk; i++)
            if (!out[i] && prefix_source(k, block, list[i]) == from)
                k->missing[found++] = i;
        prefix_compute(k, block, from, list, k->missing, found, out);
    }
}

void prefix_cache_drop_after(struct prefix_cache *k, uint32_t block)
{
    const uint32_t n = k->images->n;
    for (uint32_t i = 0; i < n; i++)
        if (k->level[i] > block)
            k->level[i] = 0;
    if (block < k->config.depth) {
        memset(k->row.slot, 0, n * sizeof *k->row.slot);
        k->row.used = 0;
    }
}
