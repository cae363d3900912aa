/*
 * The frozen network as lanes use it: single rows (the class rows of lanes, the selectors of one)
 * through one block's second half, forward and backward to the input only.  Bits of a row do not
 * depend on other rows in the forward pass (learners/math/thin.h).
 */
#ifndef LETHE_LEARNERS_LANE_ROWS_H
#define LETHE_LEARNERS_LANE_ROWS_H

#include "learners/vit/vit.h"

#include <stddef.h>

/* The frozen trunk; everything borrowed. */
struct lane_trunk {
    const struct vit_config *config;
    const struct vit_weights *weights;
};

/* What the forward pass leaves for the backward pass, [rows] or [rows, F]. */
struct lane_ffn_tape {
    float *mean, *rstd;
    float *z;
};

/* Scratch of both directions: [rows, C], [rows, F] and [rows, F]. */
struct lane_ffn_scratch {
    float *narrow, *wide, *act;
};

/* Overwrites next [rows, C] with u + fc2(gelu(fc1(LN2(u)))) of block l; next must not be u. */
void lane_rows_ffn(const struct lane_trunk *k,
                   size_t l,
                   size_t rows,
                   const float *u,
                   const struct lane_ffn_tape *tape,
                   const struct lane_ffn_scratch *t,
                   float *next);
/* Gradient d [rows, C] of next becomes that of u. */
void lane_rows_ffn_backward(const struct lane_trunk *k,
                            size_t l,
                            size_t rows,
                            const float *u,
                            const struct lane_ffn_tape *tape,
                            const struct lane_ffn_scratch *t,
                            float *d);

#endif
