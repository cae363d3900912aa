/*
 * Patch embedding (Dosovitskiy et al. 2021, arXiv 2010.11929, eq. 1): an image [channels, S, S] is
 * cut into (S/P)^2 patches, row by row; each becomes a vector of channels P P floats, mapped
 * linearly to width C.  The vector's order is (channel, row, column), or (row, column, channel)
 * with channels_last (the Face Transformer).
 */
#ifndef LETHE_LEARNERS_PATCH_EMBED_H
#define LETHE_LEARNERS_PATCH_EMBED_H

#include <stddef.h>

struct patch_dims {
    size_t image_size, channels, patch_size;
    int channels_last;
};

size_t patch_count(const struct patch_dims *d);
/* Floats of one patch vector. */
size_t patch_length(const struct patch_dims *d);
/* Overwrites patches [patch_count, patch_length]; image [channels, S, S]. */
void patch_gather(const struct patch_dims *d, const float *image, float *patches);

#endif
