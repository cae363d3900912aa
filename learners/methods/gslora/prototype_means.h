/*
 * Class prototypes: the mean embedding (or mean margin-free logit vector) of every class over a
 * list of images, without augmentation.  Computed once from the base and stored with it.
 */
#ifndef LETHE_LEARNERS_PROTOTYPE_MEANS_H
#define LETHE_LEARNERS_PROTOTYPE_MEANS_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/methods/gslora/gslora_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

/* Arena bytes needed besides the outputs; all are given back. */
size_t prototype_means_plan(const struct vit_config *config, uint32_t threads);

/* What the means are taken of; everything is borrowed. */
struct prototype_means_job {
    const struct vit_config *config;
    const struct vit_weights *weights;
    const struct image_table *images;
    const uint32_t *list; /* [n] image numbers */
    uint32_t n;
    enum gslora_proto_space space;
};

/*
 * Overwrites means [K, C] (GSLORA_PROTO_EMBED) or [K, K] (GSLORA_PROTO_LOGITS) and counts [K]; a
 * class without images gets count 0 and a zero row.  Sums in double, in the order of the list.
 * INVALID_ARGUMENT for a bad table or list, NO_MEMORY if the arena is too small.
 */
enum status prototype_means_compute(const struct prototype_means_job *job,
                                    struct pool *pool,
                                    struct arena *arena,
                                    float *means,
                                    uint64_t *counts,
                                    struct fault *f) MUST_CHECK;

#endif
