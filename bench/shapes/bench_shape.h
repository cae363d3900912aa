/*
 * The sizes of networks that speed is measured on, with random weights: what a pass costs does not
 * depend on what the network has learned.
 */
#ifndef LETHE_BENCH_SHAPE_H
#define LETHE_BENCH_SHAPE_H

#include "learners/vit/vit.h"

#include <stdint.h>

struct bench_shape {
    const char *name;
    struct vit_config config;
    uint32_t batch; /* images of a training step */
};

/* "tiny28" (as models/vit-fashion), "face" (GS-LoRA++'s face network) or "vit-b16"; NULL: none. */
const struct bench_shape *bench_shape_get(const char *name);
/*
 * Random weights for it, one block of vit_weights_floats, owned by the caller (sysio_free); NULL:
 * no memory.
 */
float *bench_shape_weights(const struct bench_shape *shape);

#endif
