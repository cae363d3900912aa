/*
 * Inside of the ViT engine: the batch, its shards and where their activations lie.
 *
 * A batch is cut into shards of `shard_images` images (a function of the config alone).  The
 * forward pass computes every image with products of its own (M = N rows, or one class row), so an
 * image's bits do not depend on its neighbours; only VIT_TRAIN_FULL, which needs no such promise,
 * uses products over a shard's rows, as does the backward pass.  Gradients are summed per lane
 * (shard s belongs to lane s mod lanes, in increasing order), then over lanes in order: the same
 * bytes for any number of threads.
 */
#ifndef LETHE_LEARNERS_VIT_INTERNAL_H
#define LETHE_LEARNERS_VIT_INTERNAL_H

#include "learners/nn/attention.h"
#include "learners/nn/head.h"
#include "learners/nn/layernorm.h"
#include "learners/vit/vit.h"

#include <stdatomic.h>

#define VIT_BATCH_MAGIC   0x56495442u
#define VIT_BLOCK_TENSORS 12
#define VIT_MAX_TENSORS   (8 + VIT_BLOCK_TENSORS * VIT_MAX_DEPTH)

/* Sizes of a config, widened; `tokens` is that of the last forward where patches are dropped. */
struct vit_dims {
    size_t tokens, width, hidden, heads, classes, depth, patch_length;
};

/*
 * Activations of one block.  In the last block only the class row goes through query, projection
 * and FFN, so there R ("rows") is 1 instead of N.
 */
struct vit_saved {
    float *x;                   /* [n, N, C] input */
    float *ln1_mean, *ln1_rstd; /* [n, N] */
    float *qkv;                 /* [n, N, 3C] */
    float *p;                   /* [n, H, R, N] attention probabilities */
    float *o;                   /* [n, R, C] heads, concatenated */
    float *u;                   /* [n, R, C] residual stream after attention */
    float *ln2_mean, *ln2_rstd; /* [n, R] */
    float *z;                   /* [n, R, F] before GELU */
};

/* One thread's own memory; nothing in it outlives a work item. */
struct vit_scratch {
    struct vit_saved
        own;  /* where a block keeps nothing: x and u of a shard, the rest of an image */
    float *h; /* [N, C] normalised rows of one image (FULL: of a shard) */
    float *a; /* [N, F] after GELU, the same; also one image's patches */
    /* backward, over the rows of a shard (n N) */
    float *grad;     /* [rows, C] gradient of the residual stream */
    float *grad_row; /* [n, C] the same where it has class rows only */
    float *narrow;   /* [rows, C] */
    float *norm;     /* [rows, C] */
    float *wide;     /* [rows, F] */
    float *act;      /* [rows, F] */
    float *dqkv;     /* [rows, 3C] */
    float *dp;       /* [H, N, N] */
    float *thin;     /* [rows, VIT_MAX_RANK] */
    float *head;     /* for head_backward */
};

/*
 * One image's observed rows in all blocks.  The stream writes block l, then sets `ready` to l + 1.
 * Whoever has time and gets hold of `showing` shows the block `shown` and counts it up: a thread of
 * its own while the stream goes on, and the stream's thread when it has nothing else to do.
 */
struct vit_aside {
    atomic_uint ready, shown;
    atomic_uint showing; /* 1: a thread is at it */
    float *x, *xh;       /* [L, N, C] */
    float *qkv;          /* [L, N, 3C] */
};

struct vit_batch {
    uint32_t magic;
    enum vit_mode mode;
    struct vit_config c;
    struct vit_dims d;
    struct pool *pool;
    uint32_t n_max;
    uint32_t shard_images;
    uint32_t lanes;
    struct vit_saved saved[VIT_MAX_DEPTH]; /* over n_max images; NULL: the thread's own is used */
    float *patches;                        /* [n_max, N, patch_length], rows 0 zero; FULL only */
    float *last;                           /* [n_max, C] class rows after the last block */
    float *last_mean, *last_rstd;          /* [n_max] */
    float *embeddings;                     /* [n_max, C] */
    float *inverse_norms;                  /* [K], cosine head only */
    struct vit_scratch *scratch;           /* [threads] */
    float *lane_memory;                    /* [lanes, lane_floats] gradients */
    size_t lane_floats;
    struct vit_aside *aside; /* NULL: observers work on the stream's threads */
    /* what the last forward did */
    uint32_t n;
    uint32_t first;
    const uint16_t *kept; /* [n, d.tokens - 1], borrowed; NULL: all */
};

/* Images at .. at + n - 1, one work item. */
struct vit_shard {
    size_t at, n;
};

uint32_t vit_shard_count(const struct vit_batch *b);
struct vit_shard vit_shard_of(const struct vit_batch *b, uint32_t s);
/* Patch number behind token r (r >= 1) of image i of the batch. */
size_t vit_patch_of(const struct vit_batch *b, size_t i, size_t r);
/* R of block l (from 0). */
size_t vit_block_rows(const struct vit_batch *b, size_t l);
/* Activations of image i of the shard (i from 0) in block l. */
struct vit_saved vit_saved_at(const struct vit_batch *b,
                              const struct vit_scratch *t,
                              size_t l,
                              const struct vit_shard *s,
                              size_t i);
struct attention_dims vit_attention_dims(const struct vit_batch *b, size_t l);
struct head_dims vit_head_dims(const struct vit_batch *b, size_t n);

/* Floats of one patch vector. */
size_t vit_patch_length(const struct vit_config *c);
/* Pointers of a table in the order of vit_params.def; returns their number. */
size_t vit_weights_list(const struct vit_config *c,
                        const struct vit_weights *w,
                        float *list[VIT_MAX_TENSORS]);

#endif
