/* State of a set of pathways; shared by pathway.c and pathway_backward.c. */
#ifndef LETHE_LEARNERS_PATHWAY_INTERNAL_H
#define LETHE_LEARNERS_PATHWAY_INTERNAL_H

#include "learners/methods/multilane/pathway.h"

#define PATHWAY_MAGIC    0x50415448u
#define PATHWAY_MIN_NORM 1e-12f /* of a feature, where it is divided by */

/* Sizes of the model, widened. */
struct pathway_dims {
    size_t tokens, width, hidden, heads, head, depth;
    size_t row, slots; /* row strides of what has N and K + 1 + S columns */
};

/* The end of the pathway. */
struct pathway_end {
    float *c;           /* [rows, C] after the last block */
    float *mean, *rstd; /* [rows] of the final norm */
    float *f;           /* [rows, C] normed */
    float *n;           /* [rows, C] of unit length, or f again */
    float *inverse;     /* [rows] 1 / max(|f|, 1e-12) */
};

struct pathway {
    uint32_t magic;
    int tape;
    struct pathway_dims d;
    struct pathway_sizes bounds;
    struct pathway_block blocks[VIT_MAX_DEPTH];
    struct pathway_end end;
    struct lane_ffn_scratch ffn;
    float *o;      /* [rows, C] heads; backward: their gradient */
    float *w;      /* [rows, H, N] weights of the tokens */
    float *dc;     /* [rows, C]; this and the following for the backward pass only */
    float *dqkv;   /* [rows, 3C] */
    float *da;     /* [K + 1 + S] */
    float *da_sel; /* [S, N] */
    float *dw;     /* [N] */
};

/* One row's part of a block. */
struct pathway_view {
    size_t n, s, k; /* tokens that the selectors see, S, K (0 in blocks without) */
    const float *xh, *keys, *values;
    size_t ld;
    const float *prompt_k, *prompt_v; /* [H, K, D] */
    float *q;                         /* [3C] query, key, value */
    float *a_sel, *r, *a;
};

struct pathway_view pathway_view_of(const struct pathway *x,
                                    const struct pathway_lane *lane,
                                    const struct pathway_features *features,
                                    size_t l,
                                    size_t row);

#endif
