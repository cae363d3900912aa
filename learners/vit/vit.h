/*
 * Vision Transformer (Dosovitskiy et al. 2021, arXiv 2010.11929), pre-norm, class token: forward
 * and backward in float32 on memory that the caller gives.  No allocation after *_new, no files, no
 * clock.  Everything is a pure function of its inputs: the same bytes for any number of threads.
 *
 * Letters: B images, N tokens (patches + 1), C width, H heads, D = C/H, F hidden, K classes,
 * L blocks.  All tensors are row-major f32; a linear map stores its weight [out, in] and computes
 * y = x W^T + b.
 */
#ifndef LETHE_LEARNERS_VIT_H
#define LETHE_LEARNERS_VIT_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"

#include <stddef.h>
#include <stdint.h>

#define VIT_MAX_DEPTH   64
#define VIT_MAX_CLASSES 10000
#define VIT_MAX_RANK    64

enum vit_head { VIT_HEAD_LINEAR, VIT_HEAD_COSINE };

struct vit_config {
    uint32_t image_size; /* square, pixels */
    uint32_t channels;   /* 1 or 3 */
    uint32_t patch_size;
    uint32_t width;   /* C */
    uint32_t depth;   /* L */
    uint32_t heads;   /* H */
    uint32_t hidden;  /* F */
    uint32_t classes; /* K */
    float ln_eps;
    float attention_scale; /* tau, resolved: D^-0.5, or C^-0.5 for the Face Transformer */
    int qkv_bias;
    int head_bias;           /* linear head only */
    int class_position;      /* the class token has a position embedding */
    int patch_channels_last; /* patch vectors are (row, column, channel) instead of (c, r, c) */
    enum vit_head head;
    float head_scale;  /* kappa of the cosine head */
    float head_margin; /* m of the cosine head; used only where a loss asks for the margin */
};

/* Tokens per image, class token included. */
uint32_t vit_tokens(const struct vit_config *c);
/* INVALID_ARGUMENT naming the field if the sizes do not fit each other or exceed the limits. */
enum status vit_config_check(const struct vit_config *c, struct fault *f) MUST_CHECK;

/*
 * Pointer table over one weight set.  Pointers are borrowed; a served model shares all tensors with
 * the base except the folded FFN weights.  The gradient of a weight set has the same layout.
 */
struct vit_block {
    float *ln1_w, *ln1_b;   /* [C] */
    float *qkv_w, *qkv_b;   /* [3C, C], [3C] (b NULL without qkv bias) */
    float *proj_w, *proj_b; /* [C, C], [C] */
    float *ln2_w, *ln2_b;   /* [C] */
    float *fc1_w, *fc1_b;   /* [F, C], [F] */
    float *fc2_w, *fc2_b;   /* [C, F], [C] */
};

struct vit_weights {
    float *patch_w, *patch_b; /* [C, channels*P*P], [C] */
    float *cls;               /* [C] */
    float *pos;               /* [N, C]; row 0 is zero when class_position is 0 */
    struct vit_block blocks[VIT_MAX_DEPTH];
    float *norm_w, *norm_b; /* [C] */
    float *head_w, *head_b; /* [K, C], [K] (b NULL without head bias) */
};

/* Floats in one block that holds a whole weight set (SIZE_MAX on overflow). */
size_t vit_weights_floats(const struct vit_config *c);
/* Lays the table out over `block`, in the order of vit_params.def. */
void vit_weights_map(const struct vit_config *c, float *block, struct vit_weights *ret_w);

/* Visits every tensor in the order of vit_params.def: used by naming, counting, weight decay. */
struct vit_tensor {
    const char *kind;  /* name in vit_params.def, e.g. "qkv_w" */
    uint32_t block;    /* block number, 0 for tensors outside blocks */
    size_t offset;     /* in floats, from the start of the block */
    size_t rows, cols; /* [rows, cols]; vectors are [1, cols] */
    int decay;         /* 1: a matrix that weight decay applies to */
};
/* Number of tensors; fills at most `max` rows of `ret_list` (may be NULL with max 0). */
size_t vit_tensors(const struct vit_config *c, struct vit_tensor *ret_list, size_t max);

/*
 * Low-rank update of the two FFN maps of one block (Hu et al. 2021, arXiv 2106.09685):
 * W1' = W1 + s B1 A1, W2' = W2 + s B2 A2.
 */
struct vit_lora_block {
    float *a1; /* [r, C] */
    float *b1; /* [F, r] */
    float *a2; /* [r, F] */
    float *b2; /* [C, r] */
    int awake; /* 0: the term is skipped, in forward and backward */
};

struct vit_lora {
    uint32_t rank; /* 1 .. VIT_MAX_RANK */
    float scale;   /* s */
    struct vit_lora_block blocks[VIT_MAX_DEPTH];
};

/* out = W + s B A for one map; out may be w. [rows, cols], B [rows, r], A [r, cols]. */
void vit_lora_fold(const float *w,
                   const float *b,
                   const float *a,
                   float s,
                   size_t rows,
                   size_t cols,
                   uint32_t r,
                   float *out);

/*
 * A batch: workspace for up to n_max images.
 *   VIT_INFER       nothing is saved
 *   VIT_TRAIN_LORA  activations saved from block `first` on, for vit_backward_lora
 *   VIT_TRAIN_FULL  everything saved, for vit_backward_full
 */
enum vit_mode { VIT_INFER, VIT_TRAIN_LORA, VIT_TRAIN_FULL };

struct vit_batch;

/* Bytes that vit_batch_new takes from its arena (SIZE_MAX: too large). */
size_t
vit_batch_plan(const struct vit_config *c, enum vit_mode mode, uint32_t n_max, uint32_t threads);
enum status vit_batch_new(const struct vit_config *c,
                          enum vit_mode mode,
                          uint32_t n_max,
                          struct pool *pool,
                          struct arena *arena,
                          struct vit_batch **ret_batch) MUST_CHECK;

/*
 * For batches (VIT_INFER) that are observed: memory for all blocks of one image, so that the
 * observer of a single image works beside the stream where the pool has a thread to spare, and not
 * in its way (the stream's thread does what is left in the end).  What is computed stays the same.
 * Plan: bytes for the arena, 0 where the pool has one thread.  NO_MEMORY.
 */
size_t vit_batch_watch_plan(const struct vit_config *c, uint32_t threads);
enum status vit_batch_watch(struct vit_batch *b, struct arena *arena) MUST_CHECK;

/*
 * Where an image enters the network.  `images[i]` is [channels, S, S], preprocessed.  With
 * `first` > 0 the images are ignored and `prefix[i]` holds the cached input of block `first`'s FFN
 * (the residual stream U after that block's attention, before its LN2; block numbers from 1):
 * [N, C], or only the class row [C] when first == L.
 *
 * With `kept` (VIT_TRAIN_FULL only) image i goes on with n_kept of its patches, each with its own
 * position, and N is n_kept + 1 throughout (PatchDropout, Liu et al. 2022, arXiv 2208.07220).  The
 * list must stay as it is until the backward pass.
 */
struct vit_input {
    uint32_t n;
    uint32_t first; /* 0: from pixels; l >= 1: from the cached U of block l */
    uint32_t n_kept;
    const uint16_t *kept; /* [n, n_kept] patch numbers from 0, no two alike; NULL: all patches */
    const float *const *images;
    const float *const *prefix;
};

/*
 * What an observer sees of one image in one block, just after the block's attention input was
 * computed: the normalised rows xh = LN1(X) and the rows of the fused query, key and value map.
 * Borrowed, valid during the call only.  In the last block only row 0 of q is computed.
 */
struct vit_observed {
    uint32_t image;         /* 0 .. n - 1 */
    uint32_t block;         /* 0 .. L - 1 */
    uint32_t thread;        /* of the pool, for the observer's own scratch */
    const float *x;         /* [N, C] the block's input X */
    const float *xh;        /* [N, C] */
    const float *q, *k, *v; /* [N, C] each, row stride ld */
    size_t ld;              /* 3C */
};
/*
 * Called on the pool thread that computed it, or, with vit_batch_watch and a single image, on any
 * other while the stream goes on.  The blocks of one image come in order and never at once.
 */
typedef void vit_observer(void *context, const struct vit_observed *o);

/* Results of a forward pass; any pointer may be NULL. */
struct vit_output {
    float *embeddings; /* [n, C]  e = LN_final(class token) */
    float *logits;     /* [n, K]  without margin */
    /* [n, L, 2, C]  at the input of every block: class token, and mean over the patch tokens;
     * zero for blocks up to `first`, whose input is not computed */
    float *taps;
    float *prefix;         /* U of block `prefix_block`: [n, N, C], or [n, C] when it is L */
    uint32_t prefix_block; /* 1..L; used when prefix is not NULL */
    /* VIT_INFER only; sees every image and block but those up to `first`; NULL: none */
    vit_observer *observer;
    void *observer_context;
};

/*
 * With only a prefix asked for, the pass stops there; with only an observer (and taps), after keys
 * and values of the last block.  Overwrites outputs.
 */
void vit_forward(struct vit_batch *b,
                 const struct vit_weights *w,
                 const struct vit_input *in,
                 const struct vit_output *out);

/*
 * What an observer saw of block l (from 0), again from the block's input x [N, C]: xh [N, C] and
 * qkv [N, 3C] (in the last block keys and values only), bit for bit.  stats: 2 N floats of scratch.
 */
void vit_observe_again(const struct vit_config *c,
                       const struct vit_weights *w,
                       uint32_t l,
                       const float *x,
                       float *xh,
                       float *qkv,
                       float *stats);

/* Gradients flowing in, any may be NULL: with respect to the last forward's outputs. */
struct vit_output_grad {
    const float *dlogits;     /* [n, K] (of the margin-free logits) */
    const float *dembeddings; /* [n, C], added to what comes through the head */
    const float *dtaps;       /* [n, L, 2, C] */
};

/*
 * Backward of the last vit_forward on this batch (mode VIT_TRAIN_LORA, `w` holding the folded
 * weights W' of the awake blocks).  Adds to grad->blocks[l] of awake blocks only; stops at the
 * first awake block's first FFN map.  grad has the shapes of lora.  No block before `first` may be
 * awake.
 */
void vit_backward_lora(struct vit_batch *b,
                       const struct vit_weights *w,
                       const struct vit_lora *lora,
                       const struct vit_output_grad *dout,
                       struct vit_lora *grad);

/*
 * The same for all weights (mode VIT_TRAIN_FULL, first == 0).  Adds to `grad`; without
 * class_position nothing is added to row 0 of pos.
 */
void vit_backward_full(struct vit_batch *b,
                       const struct vit_weights *w,
                       const struct vit_output_grad *dout,
                       struct vit_weights *grad);

#endif
