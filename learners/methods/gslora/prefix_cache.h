/*
 * Cached prefixes: for every image the residual stream U at the FFN of the first awake block l0
 * (its input before LN2).  All groups before l0 are asleep and the weights are frozen, so U is
 * constant over the request; training and validation start from it.  Images enter the cache when
 * they are first asked for.  Entries are [N, C], or [C] (class token only) at l0 = L.  Images
 * beyond the memory limit are computed again each time: the values do not depend on what is cached.
 *
 * When l0 grows, an entry is carried forward from its own block; when l0 shrinks, entries of later
 * blocks are dropped.  Memory only, given back with the arena: never stored.
 */
#ifndef LETHE_LEARNERS_PREFIX_CACHE_H
#define LETHE_LEARNERS_PREFIX_CACHE_H

#include "daemon/base/arena.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

/* Fixed number of entries of one size. */
struct prefix_area {
    float *data;
    size_t entry; /* floats */
    uint32_t capacity;
    uint32_t used;
    uint32_t *slot; /* [n_images] slot + 1; 0: none */
};

struct prefix_cache {
    struct vit_config config;
    const struct vit_weights *weights; /* W_eff, immutable during the request */
    const struct image_table *images;
    struct vit_batch *batch; /* VIT_INFER, up to n_chunk images */
    uint32_t n_chunk;
    uint32_t n_max;          /* most images of one fetch */
    struct prefix_area full; /* [N, C] */
    struct prefix_area row;  /* [C], for block L */
    uint8_t *level;          /* [n_images] block that the full entry belongs to; 0: none */
    float *pixels;           /* [n_chunk, channels, S, S] */
    float *chunk;            /* [n_chunk, N, C] results of one forward pass */
    float *spill;            /* [n_max, N, C] entries without a slot, until the next fetch */
    uint32_t *missing;       /* [n_max] */
    const float **inputs;    /* [n_chunk] */
    uint64_t n_computed;     /* prefixes computed so far, for tests and reports */
};

struct prefix_sizes {
    uint32_t n_images; /* of the table */
    uint32_t n_used;   /* most different images that will be asked for */
    uint32_t n_chunk;
    uint32_t n_max;
    size_t limit_bytes; /* of cached entries */
};

void prefix_cache_plan(const struct vit_config *config,
                       const struct prefix_sizes *sizes,
                       struct arena_plan *p);
/* False if the arena is exhausted.  `batch` is borrowed: mode VIT_INFER, n_chunk images. */
int prefix_cache_new(const struct vit_config *config,
                     const struct prefix_sizes *sizes,
                     const struct vit_weights *weights,
                     const struct image_table *images,
                     struct vit_batch *batch,
                     struct arena *arena,
                     struct prefix_cache *ret_cache);

/*
 * U of block `block` (1..L) for n images (n <= n_max, indices below n_images): out[i] points to an
 * entry, valid until the next fetch or drop.
 */
void prefix_cache_fetch(struct prefix_cache *cache,
                        uint32_t block,
                        const uint32_t *list,
                        uint32_t n,
                        const float **out);

/* Forgets everything that lies behind block `block`: for a group that woke up. */
void prefix_cache_drop_after(struct prefix_cache *cache, uint32_t block);

#endif
