/*
 * Loss of one GS-LoRA++ step and its gradient with respect to logits, embeddings and, for
 * depth=layers, the class and mean tokens at the block inputs (arXiv 2501.09705, with lethe's bound
 * and depth term):
 *   L = 1/B_r sum_r CE(z^m, y) + beta 1/B_f sum_f max(0, BND - CE(z, y))
 *     + w_f 1/B_f sum_f max(0, BND_pro - KL) + w_r 1/B_r sum_r KL + w_d SW2^2(forget, retained)
 *     + w_k 1/B_r sum_r |e - e0|^2 / C
 *   KL = KL(softmax(mu_y / T) || softmax(e / T)) over the embedding (or logit) dimensions.
 * e0 is the embedding before the request: the depth term moves the erased images among the retained
 * ones, and these are to stay, also where no training image tells.
 * z^m carries the margin of a cosine head; the hinge's CE is margin-free unless hinge_margin is
 * set. The group penalty is not part of it (active_set.h).
 */
#ifndef LETHE_LEARNERS_LOSS_H
#define LETHE_LEARNERS_LOSS_H

#include "daemon/base/arena.h"
#include "learners/methods/gslora/depth.h"
#include "learners/methods/gslora/depth_seek.h"
#include "learners/methods/gslora/gslora_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

/* What stays the same over a request; made once. */
struct loss_terms {
    const struct gslora_options *options; /* resolved */
    uint32_t classes, width, depth;       /* K, C, L */
    float margin;                         /* kappa m, 0 for a linear head */
    uint32_t proto_width;                 /* P = C or K */
    float *proto;                         /* [K, P] softmax(mu / T) */
    uint32_t n_max;
    float *losses, *weights; /* [n_max] */
    float *targets;          /* [n_max, P] */
    float *scaled;           /* [n_max, P] e / T or z / T */
    struct depth_seek *seek; /* NULL: no seeking directions; the run's own */
};

/* One batch: n_retain retained images, then n_forget forget images.  Borrowed. */
struct loss_batch {
    uint32_t n_retain, n_forget;
    double share_retain, share_forget; /* divisors B_r and B_f; 0: n_retain and n_forget */
    double share_depth;                /* factor on the depth term; 0: 1 */
    const uint32_t *labels;            /* [n] */
    const float *logits;               /* [n, K] */
    const float *embeddings;           /* [n, C] */
    const float *anchors;              /* [n_retain, C] e0; NULL: no such term */
    const float *taps;                 /* [n, L, 2, C]; depth=layers only */
    uint32_t first_tap; /* first block (from 1) whose input depends on the low-rank matrices */
    float *dlogits;     /* [n, K], added to */
    float *dembeddings; /* [n, C], added to */
    float *dtaps;       /* [n, L, 2, C], added to */
};

struct loss_values {
    double total, retain, forget, push, pull, depth, keep;
};

void loss_plan(const struct vit_config *c,
               const struct gslora_options *o,
               uint32_t n_max,
               struct arena_plan *p);
/* prototypes [K, P], zero rows where a class has none.  False if the arena is exhausted. */
int loss_new(const struct vit_config *c,
             const struct gslora_options *o,
             const float *prototypes,
             uint32_t n_max,
             struct arena *arena,
             struct loss_terms *ret_terms);

/*
 * beta is the hinge's weight now; depth may be NULL (no depth term) and must have been drawn for
 * these n_forget and n_retain rows.  With gradient pointers NULL only the values are computed.
 */
void loss_compute(const struct loss_terms *t,
                  const struct loss_batch *b,
                  double beta,
                  struct depth *depth,
                  struct loss_values *ret_values);

#endif
