/* The decoders behind picture.h, one a library.  Only for client/dataset. */
#ifndef LETHE_CLIENT_PICTURE_INTERNAL_H
#define LETHE_CLIENT_PICTURE_INTERNAL_H

#include "client/dataset/picture.h"

/* Checks the size and takes memory for the pixels. */
enum status picture_new(uint32_t height,
                        uint32_t width,
                        uint32_t channels,
                        struct picture *ret_picture,
                        struct fault *f) MUST_CHECK;
enum status png_picture_decode(const uint8_t *bytes,
                               size_t n,
                               struct picture *ret_picture,
                               struct fault *f) MUST_CHECK;
enum status jpeg_picture_decode(const uint8_t *bytes,
                                size_t n,
                                struct picture *ret_picture,
                                struct fault *f) MUST_CHECK;

#endif
