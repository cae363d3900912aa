/*
 * Class prototypes of a base model: mean embedding of every class over its training images, [K, C],
 * and the number of images behind it (0: no prototype, the row is zero).  Stored beside the weights
 * as a safetensors file with the tensors "prototypes" (F32 [K, C]) and "counts" (I64 [K]).
 */
#ifndef LETHE_LEARNERS_PROTOTYPES_H
#define LETHE_LEARNERS_PROTOTYPES_H

#include "learners/vit/safetensors.h"

#include <stdint.h>

/* Fills prototypes [classes, width] and counts [classes]; errors name the tensor. */
enum status prototypes_read(const struct safetensors *s,
                            uint32_t classes,
                            uint32_t width,
                            float *prototypes,
                            int64_t *counts,
                            struct fault *f) MUST_CHECK;

/* Bytes of the file; written only if out is not NULL (then `size` must be that number). */
size_t prototypes_write(const float *prototypes,
                        const int64_t *counts,
                        uint32_t classes,
                        uint32_t width,
                        uint8_t *out,
                        size_t size);

#endif
