/*
 * A delta: what one forget request adds to the model.  For every block whose group is not zero, the
 * low-rank matrices A1 [r, C], B1 [F, r], A2 [r, F], B2 [C, r] of its two FFN maps, and a header
 * that says from what, for whom and with which settings it was trained.
 *
 * Record (little-endian, daemon/base/bytes.h; one way to write it, strict to read):
 *   "LDELTA1\n", u32 version, digests of base, parent, memory, prototypes (32 bytes each),
 *   request id (16), u64 seed, u32 L C F K r, f32 s, options (gslora_options_put),
 *   u32 n and n class numbers erased (ascending), u32 n and n class numbers trained with
 * (ascending), u32 n and n block numbers present (ascending), then for each A1 B1 A2 B2 as f32.
 */
#ifndef LETHE_LEARNERS_DELTA_H
#define LETHE_LEARNERS_DELTA_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/gslora/gslora_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define DELTA_VERSION    1
#define DELTA_MAX_DELTAS 1024

/* Where a delta comes from; the caller's digests are only carried. */
struct delta_origin {
    struct digest base;       /* the frozen base model */
    struct digest parent;     /* trunk it was trained on: base and erasures, without any time */
    struct digest memory;     /* replay memory */
    struct digest prototypes; /* prototypes of the base */
    struct request_id request;
    uint64_t seed;
};

/* Borrows its arrays (from the arena of a run or of a decode). */
struct delta {
    struct delta_origin origin;
    uint32_t depth, width, hidden, classes;
    struct gslora_options options; /* resolved */
    uint32_t n_erased;
    const uint32_t *erased; /* class numbers, ascending */
    uint32_t n_trained_with;
    const uint32_t *trained_with; /* retained classes whose images were used, ascending */
    struct vit_lora lora;         /* awake != 0: the block is part of the delta */
};

/* Number of blocks whose group is not zero. */
uint32_t delta_blocks(const struct delta *d);
/* First block (from 1) that the delta changes; depth + 1 if it changes none. */
uint32_t delta_first_block(const struct delta *d);

/*
 * L2 norm of each block's group [depth], over its A1, B1, A2 and B2 as they are recorded; 0 for a
 * block that the delta does not change.
 */
void delta_group_norms(const struct delta *d, float *ret_norms);

/* Floats of one block's group, n_g = 2 r (C + F). */
size_t delta_group_floats(uint32_t width, uint32_t hidden, uint32_t rank);

size_t delta_encoded_size(const struct delta *d);
/* Writes exactly delta_encoded_size bytes. */
void delta_encode(const struct delta *d, void *to, size_t size);
/*
 * Reads a record for a model of this configuration; matrices and lists come from the arena.
 * BAD_FORMAT for anything but the exact form (also non-finite numbers), FAILED_PRECONDITION if it
 * was made for other sizes, NO_MEMORY.
 */
enum status delta_decode(const void *bytes,
                         size_t size,
                         const struct vit_config *config,
                         struct arena *arena,
                         struct delta *ret_delta,
                         struct fault *f) MUST_CHECK;
/* Arena bytes that decoding a record of `size` bytes can take. */
size_t delta_decode_plan(size_t size);

/*
 * Folded FFN weights: for every block, fc1_w and fc2_w of `out` become those of `base` plus
 * s B A of every delta in list order.  Always from the base, so that a list gives the same bytes
 * whatever was folded before.  `out` must own its fc1_w and fc2_w and may share the rest.
 */
void delta_fold(const struct vit_config *config,
                const struct vit_weights *base,
                const struct delta *deltas,
                uint32_t n,
                struct vit_weights *out);
/* Floats of the FFN matrices of all blocks, for a model that shares the rest with the base. */
size_t delta_fold_floats(const struct vit_config *config);
/* *out: the base's table with fc1_w and fc2_w of every block pointing into memory [fold floats]. */
void delta_fold_map(const struct vit_config *config,
                    const struct vit_weights *base,
                    float *memory,
                    struct vit_weights *ret_out);

/*
 * Export for PEFT (Hugging Face's adapter layout for its ViT): all deltas as one adapter whose rank
 * is the sum of their ranks; exact, as B A of the concatenation is the sum of the products.  Each
 * delta's factor s_k is brought into B, so that lora_alpha / r is 1.
 */
uint32_t delta_peft_rank(const struct delta *deltas, uint32_t n);
/* Text of adapter_config.json with its NUL into text; returns its length, or SIZE_MAX: too short.
 */
size_t delta_peft_config(const struct delta *deltas, uint32_t n, char *text, size_t size);

#define DELTA_NAME_SIZE 96
struct delta_tensor {
    char name[DELTA_NAME_SIZE]; /* base_model.model.vit.encoder.layer.{i}...lora_{A,B}.weight */
    uint32_t rows, cols;
};
/* Number of tensors of adapter_model.safetensors, in block order. */
uint32_t delta_peft_tensors(const struct delta *deltas, uint32_t n);
/* Tensor i: name and shape; with out not NULL its values [rows, cols]. */
void delta_peft_tensor(
    const struct delta *deltas, uint32_t n, uint32_t i, struct delta_tensor *ret_t, float *out);

#endif
