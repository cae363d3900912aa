/*
 * GS-LoRA++: erases classes from a frozen ViT by group-sparse low-rank updates of its FFN maps.
 * Zhao et al., CVPR 2024 (arXiv 2403.11530) and arXiv 2501.09705; lethe's own parts are the exact
 * proximal group step, the per-sample hinge bound to ln K, prototypes of the base, the depth term
 * and the cached prefix.  One call trains one delta.  Pure computation on the caller's memory; the
 * same bytes for any number of threads.
 */
#ifndef LETHE_LEARNERS_GSLORA_H
#define LETHE_LEARNERS_GSLORA_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/methods/gslora/delta.h"
#include "learners/methods/gslora/gslora_options.h"
#include "learners/vit/vit.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Index lists into `images`; training and validation parts must be disjoint. */
struct gslora_lists {
    const uint32_t *train;
    const uint32_t *valid;
    uint32_t n_train;
    uint32_t n_valid; /* 0 for both sets: nothing is validated */
};

/*
 * One request.  Everything is borrowed and unchanged during the run.  A class erased earlier, or
 * kept without images ("missing"), is simply in no list.
 */
struct gslora_problem {
    struct vit_config config;
    const struct vit_weights *weights; /* W_eff: the base with all earlier deltas folded in */
    const float *prototypes;           /* [K, C], or [K, K] mean logits with proto_space logits */
    const uint64_t *prototype_counts;  /* [K]; 0: the class has none */
    struct image_table images;
    struct gslora_lists forget; /* every class in it is erased now */
    struct gslora_lists retain; /* no class of `forget` may be in it, unless samples is set */
    int samples;                /* 1: single images are erased, their classes stay alive */
    struct delta_origin origin; /* seed and request key all random streams */
};

enum gslora_outcome {
    GSLORA_TARGET_MET,     /* stopped early: validation targets held twice */
    GSLORA_BEST_H,         /* ran to the end; the best snapshot meets the targets */
    GSLORA_TARGET_NOT_MET, /* ran to the end; the snapshot with the best H, a target is missed */
    GSLORA_ALL_ZERO,       /* every group fell asleep: the penalty is too large */
    GSLORA_NOT_VALIDATED   /* no validation images (few-shot): the last state */
};
/* "target met", "best H", "target not met", "all groups zero", "not validated". */
const char *gslora_outcome_text(enum gslora_outcome outcome);

/* Validation figures, arg-max over all outputs (lowest index on a tie), without margin; in [0,1].
 */
struct gslora_figures {
    uint32_t step;
    double acc_forget;
    double acc_retain;
    double h;     /* 2 Acc_r Drop / (Acc_r + Drop), Drop against the start of this request */
    double depth; /* sliced Wasserstein-2 distance, squared, of forget to retained embeddings */
    uint32_t n_forget;
    uint32_t n_retain;
};

/* After every step.  Pointers live during the call. */
struct gslora_progress {
    uint32_t epoch, epochs;
    uint32_t step, steps; /* of the whole run, if it does not stop early */
    float lr, beta;
    float loss, loss_retain, loss_forget, loss_push, loss_pull, loss_depth;
    uint32_t n_groups;
    const float *group_norms;             /* [n_groups]; 0: asleep */
    uint32_t first_awake;                 /* l0, from 1 */
    int validated;                        /* *figures was measured at this step */
    const struct gslora_figures *figures; /* the last measured; NULL: none yet */
};
typedef void gslora_observer(void *context, const struct gslora_progress *p);

/* What a run works with. */
struct gslora_tools {
    struct pool *pool;
    struct arena *arena;       /* the result stays in it; gslora_plan bytes must be free */
    gslora_observer *observer; /* NULL: none */
    void *observer_context;
    const atomic_int *cancel; /* non-zero: stop with CANCELLED at the next step; NULL: never */
};

struct gslora_result {
    struct delta delta; /* borrows from the arena */
    enum gslora_outcome outcome;
    uint32_t groups_total, groups_zero;
    uint32_t steps;               /* done */
    uint32_t snapshot_step;       /* the step that the delta was taken from */
    uint32_t sleeps, wakes;       /* events */
    struct gslora_figures before; /* n = 0: not validated */
    struct gslora_figures after;
    uint32_t n_history;
    const struct gslora_figures *history; /* every validation, oldest first */
};

/* Arena bytes of a run; SIZE_MAX if the sizes do not fit into memory or are invalid. */
size_t
gslora_plan(const struct gslora_problem *p, const struct gslora_options *o, uint32_t threads);

/*
 * Sets a run up: checks, prefixes, first state.  problem and tools must live as long as the run.
 * Errors as gslora_run; then the arena is rewound.
 */
struct gslora_run;
enum status gslora_start(const struct gslora_problem *p,
                         const struct gslora_options *o,
                         const struct gslora_tools *tools,
                         struct gslora_run **ret_run,
                         struct fault *f) MUST_CHECK;
/* One optimiser step with its validation and wake check.  CANCELLED; *ret_done: no further step. */
enum status gslora_next(struct gslora_run *run, int *ret_done, struct fault *f) MUST_CHECK;
/* The result; the run's own memory goes back to the arena and the run is gone. */
void gslora_finish(struct gslora_run *run, struct gslora_result *ret_result);

/*
 * All of it: trains the delta.  INVALID_ARGUMENT (bad option, label or list), FAILED_PRECONDITION
 * (no forget or no retained images, prototypes missing), NO_MEMORY (arena smaller than the plan),
 * CANCELLED. On failure the result is untouched and the arena is rewound.
 */
enum status gslora_run(const struct gslora_problem *p,
                       const struct gslora_options *o,
                       const struct gslora_tools *tools,
                       struct gslora_result *ret_result,
                       struct fault *f) MUST_CHECK;

#endif
