/* State of one GS-LoRA++ run; shared by the files of this folder only. */
#ifndef LETHE_LEARNERS_GSLORA_INTERNAL_H
#define LETHE_LEARNERS_GSLORA_INTERNAL_H

#include "learners/methods/gslora/active_set.h"
#include "learners/methods/gslora/depth.h"
#include "learners/methods/gslora/gslora.h"
#include "learners/methods/gslora/loss.h"
#include "learners/methods/gslora/prefix_cache.h"

#define GSLORA_CHUNK         64  /* images of one inference pass */
#define GSLORA_DEPTH_SAMPLES 512 /* most validation images behind the depth figure */
#define GSLORA_HISTORY       256 /* most validations kept */

/* A list that is passed through again and again, reshuffled from stream (name, cycle) each time. */
struct gslora_cycle {
    const char *name;
    uint32_t *list;  /* [n] as given */
    uint32_t *items; /* [n] in the order of this cycle */
    uint32_t n, at;
    uint64_t cycle;
};

/* Everything with one row an image of a training batch: retained first, then forget. */
struct gslora_batch {
    uint32_t n_max;
    uint32_t n_retain, n_forget;
    uint32_t *list;          /* [n_max] image numbers */
    uint32_t *labels;        /* [n_max] */
    float *pixels;           /* [n_max, channels, S, S]; only without cache and for wake checks */
    const float **inputs;    /* [n_max] */
    float *logits, *dlogits; /* [n_max, K] */
    float *embeddings, *dembeddings; /* [n_max, C] */
    float *taps, *dtaps;             /* [n_max, L, 2, C]; NULL unless depth=layers */
};

/* Embeddings of the retained training images before the request, computed when first asked for. */
struct gslora_anchors {
    uint32_t *slot; /* [images.n] row + 1; 0: none yet */
    float *rows;    /* [retain.n_train, C] */
    uint32_t used;
    float *batch; /* [n_max, C] those of one batch, in its order; NULL: the term is off */
};

/* What validation works with. */
struct gslora_validation {
    uint32_t *forget, *retain; /* image numbers */
    uint32_t n_forget, n_retain;
    float *logits;     /* [GSLORA_CHUNK, K] */
    float *embeddings; /* [n_forget + n_retain, C] */
    float *pixels;     /* [GSLORA_CHUNK, channels, S, S]; without cache */
    struct depth depth;
    struct gslora_figures *history; /* [GSLORA_HISTORY], part of the result */
    uint32_t n_history;
    uint32_t stride; /* every stride-th validation is kept */
    uint32_t done;
};

/* What outlives the run's own memory. */
struct gslora_outputs {
    uint8_t *mark;    /* [K] */
    uint32_t *erased; /* [K] */
    uint32_t *kept;   /* [K] */
    float *theta;     /* [L, n_g] */
    struct gslora_figures *history;
};

enum gslora_end {
    GSLORA_END_NONE, /* not yet, or with the last step */
    GSLORA_END_STOPPED,
    GSLORA_END_ALL_ZERO,
    GSLORA_END_CANCELLED
};

/* A retired run leaves its memory to the arena's owner; nothing here is freed singly. */
struct gslora_run {
    const struct gslora_problem *problem;
    const struct gslora_tools *tools;
    struct gslora_options options; /* resolved */
    struct rng_root root;

    struct gslora_cycle retain, forget;
    uint32_t *counts;  /* [K] scratch */
    uint32_t *scratch; /* [longest list] */
    struct active_set set;
    struct vit_weights folded; /* W' */
    float *fold_memory;
    struct vit_batch *train;
    struct vit_batch *infer;
    struct prefix_cache cache;
    struct gslora_batch batch;
    struct loss_terms terms;
    struct depth depth;
    struct depth_seek seek; /* behind terms.seek */
    struct gslora_anchors anchors;
    const float *prototypes; /* the problem's, or recomputed */

    struct gslora_validation validation;
    float *best_theta; /* snapshot, [L n_g] and [L] */
    uint8_t *best_awake;
    int has_best;
    struct gslora_figures best, before, last;
    uint32_t held; /* consecutive validations that met the targets */

    uint32_t epoch, step, steps_per_epoch;
    uint32_t epoch_step; /* steps of this epoch done */
    enum gslora_end end;
    struct gslora_outputs outputs;
    struct arena_mark kept; /* the arena's state once the run's own memory is given back */
    uint32_t penalty_steps; /* group steps done */
    double beta;
};

/* gslora.c */
double gslora_h_mean(double acc_retain, double drop);

/* gslora_new.c: allocation and its plan. */
void gslora_run_plan(const struct gslora_problem *p,
                     const struct gslora_options *o,
                     uint32_t threads,
                     struct arena_plan *plan);
enum status gslora_run_new(struct gslora_run *run, struct arena *arena, struct fault *f) MUST_CHECK;

/* gslora_step.c */
void gslora_cycle_restart(struct gslora_cycle *c, const struct rng_root *root, uint64_t cycle);
/* Takes n items (n <= c->n), beginning the next cycle where one ends. */
void gslora_cycle_take(struct gslora_cycle *c,
                       const struct rng_root *root,
                       uint32_t n,
                       uint32_t *out);
/* One optimiser step on the batch's images; *ret_values is the loss before the update. */
void gslora_step(struct gslora_run *run, float lr, int penalty, struct loss_values *ret_values);
/* Wakes groups whose pressure exceeds the penalty; returns how many. */
uint32_t gslora_wake_check(struct gslora_run *run);

/* gslora_validate.c */
/* Embeddings [n, C] of at most GSLORA_CHUNK images under weights w; frozen before block l0. */
void gslora_infer(struct gslora_run *run,
                  const struct vit_weights *w,
                  uint32_t l0,
                  const uint32_t *list,
                  uint32_t n,
                  float *embeddings);
/* Measures the current weights; the first call measures the frozen ones as well (run->before). */
void gslora_validate(struct gslora_run *run);
int gslora_targets_met(const struct gslora_run *run, const struct gslora_figures *x);

#endif
