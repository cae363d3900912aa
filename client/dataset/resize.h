/*
 * Resizing of u8 pictures as Pillow does it: separable convolution with the filter's support
 * widened by the scale (antialiasing), coefficients rounded to 22 fractional bits, each pass
 * rounded and clipped to u8, horizontal pass first.  The results are equal to Pillow's bit for bit
 * (tests/parity/dataset).  Pictures are [H,W,C], C 1 or 3.
 */
#ifndef LETHE_CLIENT_RESIZE_H
#define LETHE_CLIENT_RESIZE_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Numbers as in Pillow and in `resample` of preprocessor_config.json. */
enum resample {
    RESAMPLE_NEAREST = 0,
    RESAMPLE_LANCZOS = 1,
    RESAMPLE_BILINEAR = 2,
    RESAMPLE_BICUBIC = 3,
    RESAMPLE_BOX = 4,
    RESAMPLE_HAMMING = 5
};

/* How a picture becomes the network's input: resize, then centre crop. */
struct preparation {
    uint32_t size;     /* side of the result */
    uint32_t channels; /* 1 or 3 */
    uint32_t resize;   /* side before the crop; equal to size: no crop */
    int keep_aspect;   /* 1: the shorter side becomes `resize`; 0: both do */
    enum resample resample;
};

struct picture_size {
    uint32_t height, width, channels;
};

/*
 * Resizes `in` to `out` [out_height, out_width, channels]; scratch is taken and given back.
 * INVALID_ARGUMENT for a side of 0 or over 65535 or an unknown filter; NO_MEMORY.
 */
enum status resize_picture(const uint8_t *in,
                           struct picture_size in_size,
                           enum resample filter,
                           uint8_t *out,
                           uint32_t out_height,
                           uint32_t out_width,
                           struct fault *f) MUST_CHECK;

/* Grey from RGB with Pillow's integer weights (ITU-R 601-2), or RGB from grey; n pixels. */
void picture_convert(
    const uint8_t *in, uint32_t in_channels, uint8_t *out, uint32_t out_channels, size_t n);

/*
 * Channels, size and crop of `p` applied to one picture: out [size, size, channels].  The crop is
 * centred as torchvision centres it; where the picture is smaller, black is added.
 */
enum status picture_prepare(const uint8_t *in,
                            struct picture_size in_size,
                            const struct preparation *p,
                            uint8_t *out,
                            struct fault *f) MUST_CHECK;

#endif
