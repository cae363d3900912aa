/*
 * Random changes of training images: horizontal flip, shift with padding, cutout, and mixing of
 * pairs.  Each image's changes depend on (root, epoch, image) alone: not on the batch, the thread
 * or what was drawn before.
 */
#ifndef LETHE_LEARNERS_AUGMENT_H
#define LETHE_LEARNERS_AUGMENT_H

#include "daemon/base/rng.h"
#include "learners/data/images.h"

#include <stdint.h>

struct augment_options {
    float flip;        /* probability of a horizontal flip */
    uint32_t shift;    /* largest shift in pixels, each axis, uniform; filled with black */
    uint32_t cutout;   /* side of the square that is blanked, 0: none */
    float cutout_rate; /* probability of it */
};

/*
 * Overwrites out [channels, size, size] with image i of the table, changed, in the model's scale.
 * The cutout square (centre uniform over the image, cut at its border) becomes zero in that scale,
 * that is the mean of the normalisation (DeVries and Taylor 2017, arXiv 1708.04552).
 */
void augment_load(const struct augment_options *o,
                  const struct image_table *t,
                  const struct rng_root *root,
                  uint32_t epoch,
                  uint32_t i,
                  float *out);

/*
 * Draws which n_kept of n patches image i goes on with in this epoch, ascending (PatchDropout, Liu
 * et al. 2022, arXiv 2208.07220).  Stream (root, "patches", epoch and image); n < 65536.
 */
void augment_patches(const struct rng_root *root,
                     uint32_t epoch,
                     uint32_t i,
                     uint32_t n,
                     uint32_t n_kept,
                     uint16_t *kept);

/*
 * Mixup (Zhang et al. 2017, arXiv 1710.09412): the weight lambda ~ Beta(alpha, alpha), folded to
 * [0.5, 1], of one step's batch; 1 for alpha <= 0.  Stream (root, "mixup", step).
 */
float augment_mix_weight(const struct rng_root *root, uint64_t step, float alpha);
/* a = lambda a + (1 - lambda) b over n floats. */
void augment_mix(float *a, const float *b, float lambda, size_t n);

#endif
