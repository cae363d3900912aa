/*
 * Frozen features (Xh, K and V of every block, see pathway.h) of training images, kept within a
 * budget.  An image that is kept is computed once; what it gives later is the same to the bit,
 * whether it comes from memory, from the kept block inputs X (a third of the memory; LN1, keys and
 * values are computed again) or from its pixels.  The form is chosen by the number of images:
 * everything if all fit, X if more than a third fits or not all, pixels for the rest.
 */
#ifndef LETHE_LEARNERS_FEATURE_CACHE_H
#define LETHE_LEARNERS_FEATURE_CACHE_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "learners/data/augment.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/methods/multilane/pathway.h"

struct feature_cache;

struct feature_cache_sizes {
    uint32_t n_images;   /* of the table */
    uint32_t n_kept;     /* images that will be asked for unchanged */
    size_t budget_bytes; /* for what is kept */
    uint32_t n_max;      /* images of one fetch */
};

/* Bytes of the features of one image. */
size_t feature_cache_image_bytes(const struct vit_config *c);

/* Arena bytes of feature_cache_new; SIZE_MAX: too large. */
size_t feature_cache_plan(const struct vit_config *c,
                          const struct feature_cache_sizes *sizes,
                          uint32_t threads);
enum status feature_cache_new(const struct vit_config *c,
                              const struct vit_weights *w,
                              const struct image_table *images,
                              const struct feature_cache_sizes *sizes,
                              struct pool *pool,
                              struct arena *arena,
                              struct feature_cache **ret_cache) MUST_CHECK;

/* How training images are changed in an epoch; such images are not kept. */
struct feature_change {
    struct augment_options options;
    struct rng_root root;
    uint32_t epoch;
};

/*
 * Features of images list[0 .. n-1]: ret_features [L, n] (block-major), valid until the next
 * fetch.  change NULL: images as they are.
 */
void feature_cache_fetch(struct feature_cache *x,
                         const uint32_t *list,
                         uint32_t n,
                         const struct feature_change *change,
                         struct pathway_features *ret_features);

/* For progress and tests: images kept, images computed from pixels so far. */
struct feature_cache_counts {
    uint32_t kept, capacity;
    int whole; /* 1: features are kept, 0: block inputs */
    uint64_t computed;
};
struct feature_cache_counts feature_cache_counts(const struct feature_cache *x);

#endif
