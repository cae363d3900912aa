#include "learners/nn/patch_embed.h"

#include <string.h>

size_t patch_count(const struct patch_dims *d)
{
    size_t side = d->image_size / d->patch_size;
    return side * side;
}

size_t patch_length(const struct patch_dims *d)
{
    return d->channels * d->patch_size * d->patch_size;
}

/* One patch whose top left pixel is at `image` (first channel). */
static void patch_gather_planar(const struct patch_dims *d, const float *image, float *out)
{
    const size_t p = d->patch_size, plane = d->image_size * d->image_size;
    for (size_t c = 0; c < d->channels; c++)
        for (size_t y = 0; y < p; y++)
            memcpy(out + (c * p + y) * p, image + c * plane + y * d->image_size, p * sizeof *out);
}

static void patch_gather_packed(const struct patch_dims *d, const float *image, float *out)
{
    const size_t p = d->patch_size, plane = d->image_size * d->image_size;
    for (size_t y = 0; y < p; y++)
        for (size_t x = 0; x < p; x++)
            for (size_t c = 0; c < d->channels; c++)
                *out++ = image[c * plane + y * d->image_size + x];
}

void patch_gather(const struct patch_dims *d, const float *image, float *patches)
{
    const size_t side = d->image_size / d->patch_size, length = patch_length(d);
    for (size_t i = 0; i < side * side; i++) {
        const float *corner =
            image + i / side * d->patch_size * d->image_size + i % side * d->patch_size;
        if (d->channels_last)
            patch_gather_packed(d, corner, patches + i * length);
        else
            patch_gather_planar(d, corner, patches + i * length);
    }
}
