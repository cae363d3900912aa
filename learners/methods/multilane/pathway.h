/*
 * The pathway of a lane through the frozen network, in the factorised exact form (design: the
 * summaries' keys and values are A K and A V because the rows of A sum to 1, and only the class
 * token's query is needed).  For every block, with Xh, K, V of an image:
 *   A = softmax(Shat Xh^T / sqrt C) [S, N],  q, k, v = QKV(LN1(c)),  per head
 *   r = K_h q_h,  z = [PK_h q_h; k_h q_h; A r] tau,  a = softmax(z) = [a_P; a_c; a_S],
 *   o_h = PV_h^T a_P + a_c v_h + V_h^T (A^T a_S),  c <- c + proj(o),  c <- c + MLP(LN2(c));
 * then f = LN(c), n = f / |f|, logits W n + b.  The unit of work is a row: one image and one lane.
 * A row's bits depend on its image and its lane only, never on other rows (learners/math/thin.h).
 */
#ifndef LETHE_LEARNERS_PATHWAY_H
#define LETHE_LEARNERS_PATHWAY_H

#include "daemon/base/arena.h"
#include "learners/methods/multilane/lane.h"
#include "learners/methods/multilane/lane_rows.h"

/* A lane as the pathway reads it; borrowed. */
struct pathway_lane {
    const struct lane_options *options;
    uint32_t n_classes;
    struct lane_parameters p; /* selectors are not read */
    const float *shat;        /* [L, S, C], from selector_chain_forward */
};

/* What the frozen stream computed for one image in one block. */
struct pathway_features {
    const float *xh;    /* [N, C] */
    const float *k, *v; /* [N, C], row stride ld */
    size_t ld;
};

struct pathway_row {
    const struct pathway_lane *lane;
    struct pathway_features features; /* of the block at hand */
};

/* Sizes of a set of rows: bounds over its lanes. */
struct pathway_sizes {
    uint32_t rows, selectors, prompts;
};

/* Activations of one block for all rows; of a tape, or the same memory for every block. */
struct pathway_block {
    float *c;                   /* [rows, C] input */
    float *ln1_mean, *ln1_rstd; /* [rows] */
    float *qkv;                 /* [rows, 3C] */
    float *a_sel;               /* [rows, S, N], row stride thin_padded(N) */
    float *r;                   /* [rows, H, N], the same */
    float *a;                   /* [rows, H, K + 1 + S], row stride thin_padded(...) */
    float *u;                   /* [rows, C] */
    struct lane_ffn_tape ffn;
};

struct pathway;

/*
 * Memory for sets of up to sizes->rows rows; with `tape` every block's activations are kept for
 * the backward pass.  Arena bytes; SIZE_MAX: too large.
 */
size_t pathway_plan(const struct vit_config *c, const struct pathway_sizes *sizes, int tape);
enum status pathway_new(const struct vit_config *c,
                        const struct pathway_sizes *sizes,
                        int tape,
                        struct arena *arena,
                        struct pathway **ret_pathway) MUST_CHECK;

/*
 * Without tape: the rows' state between two blocks is c [rows, C] from now on (the caller's), so
 * that one set of memory can serve several images in turn.
 */
void pathway_attach(struct pathway *x, float *c);
/* Puts the first `rows` rows at the start; lanes may differ in size within the bounds. */
void pathway_start(struct pathway *x,
                   const struct lane_trunk *k,
                   uint32_t rows,
                   const struct pathway_lane *const *lanes);
/* Takes them through block l (from 0); blocks must come in order. */
void pathway_step(struct pathway *x,
                  const struct lane_trunk *k,
                  uint32_t l,
                  uint32_t rows,
                  const struct pathway_row *row);
/* After the last block: logits[i] [n of lane i] of row i. */
void pathway_finish(struct pathway *x,
                    const struct lane_trunk *k,
                    uint32_t rows,
                    const struct pathway_lane *const *lanes,
                    float *const *logits);

/* After pathway_finish: what the head reads, before it is brought to unit length; [C] of row i. */
const float *pathway_embedding(const struct pathway *x, uint32_t i);

/* Gradients of one lane, added to; shat [L, S, C] goes on into selector_chain_backward. */
struct pathway_gradient {
    float *shat, *prompts, *head_w, *head_b;
};

/*
 * Backward of the last pass over `rows` rows of one lane (made with `tape`): dz [rows, n] are the
 * gradients of the logits; features[l rows + i] those of row i in block l.  Adds to g in row order.
 * de [rows, C] are further gradients, of what pathway_embedding gives; NULL: none.
 */
void pathway_backward(struct pathway *x,
                      const struct lane_trunk *k,
                      uint32_t rows,
                      const struct pathway_lane *lane,
                      const struct pathway_features *features,
                      const float *dz,
                      const float *de,
                      const struct pathway_gradient *g);

#endif
