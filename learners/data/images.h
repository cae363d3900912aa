/*
 * A table of raw pictures as the learners see them: 8-bit pixels and labels, borrowed from the
 * caller, and the affine map that turns a pixel into the model's float input.  No decoding here.
 */
#ifndef LETHE_LEARNERS_IMAGES_H
#define LETHE_LEARNERS_IMAGES_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define IMAGES_MAX_CHANNELS 3

struct image_table {
    const uint8_t *pixels; /* [n, size, size, channels] */
    const int32_t *labels; /* [n] */
    uint32_t n;
    uint32_t size; /* square, pixels */
    uint32_t channels;
    /* x = scale * pixel + shift, per channel; (1/255 - mean) / std is scale 1/(255 std), shift
     * -mean/std */
    float scale[IMAGES_MAX_CHANNELS];
    float shift[IMAGES_MAX_CHANNELS];
};

/* Floats of one image as the model reads it. */
size_t images_floats(const struct image_table *t);

/* What a model reads. */
struct image_shape {
    uint32_t size;
    uint32_t channels;
    uint32_t classes;
};

/* INVALID_ARGUMENT unless the table fits the model, pointers are there and labels are in 0..K-1. */
enum status images_check(const struct image_table *t,
                         const struct image_shape *model,
                         struct fault *f) MUST_CHECK;

/* INVALID_ARGUMENT, naming `field`, if an index is not below t->n. */
enum status images_check_list(const struct image_table *t,
                              const uint32_t *list,
                              uint32_t n,
                              const char *field,
                              struct fault *f) MUST_CHECK;

/* Overwrites out [channels, size, size] with image i (i < n is the caller's duty). */
void images_load(const struct image_table *t, uint32_t i, float *out);

#endif
