/*
 * The groups of one request: group l holds A1, B1, A2, B2 of block l, is updated by AdamW and then
 * shrunk by the proximal step of the group penalty alpha sum_l |theta_l|.  A group whose factor is
 * 0 falls asleep: B = 0, A back to its first draw A0, moments cleared, left out of forward,
 * backward and update.  It wakes when the wake check finds that its penalty no longer holds it
 * down.
 */
#ifndef LETHE_LEARNERS_ACTIVE_SET_H
#define LETHE_LEARNERS_ACTIVE_SET_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "learners/methods/gslora/gslora_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

struct active_set {
    uint32_t depth, width, hidden, rank;
    size_t group; /* floats of one group, n_g = 2 r (C + F) */
    float init_scale;
    struct rng_root root;
    struct vit_lora lora;            /* pointers into theta */
    struct vit_lora grad;            /* pointers into gradient */
    struct vit_lora part_grad;       /* pointers into part */
    float *theta, *gradient, *m, *v; /* [L, n_g] each */
    float *part;                     /* [L, n_g] gradient of one part of a check set */
    float *asleep_v;       /* [L, n_g] second moments (bias-corrected) at falling asleep */
    uint32_t *group_steps; /* [L] updates since the group (re)started */
    float *norms;          /* [L] |theta_l|, 0 asleep */
    uint8_t *has_v;        /* [L] asleep_v was measured */
    uint32_t sleeps, wakes;
};

void active_set_plan(const struct vit_config *c, uint32_t rank, struct arena_plan *p);
/*
 * Every group at (A0, B = 0); awake are all of them or, the last start_blocks.
 * False if the arena is exhausted.
 */
int active_set_new(const struct vit_config *c,
                   const struct gslora_options *o,
                   const struct rng_root *root,
                   struct arena *arena,
                   struct active_set *ret_set);

/* First awake block from 1; depth + 1 if all sleep. */
uint32_t active_set_first(const struct active_set *s);
uint32_t active_set_awake(const struct active_set *s);

/* fc1_w and fc2_w of awake blocks in `out` become W + s B A (memory: delta_fold_map's order);
 * those of sleeping blocks point to the frozen weights. */
void active_set_fold(const struct active_set *s,
                     const struct vit_weights *frozen,
                     float *memory,
                     struct vit_weights *out);

void active_set_clear_gradient(struct active_set *s);
/*
 * One update at learning rate lr; with `penalty` the group step follows (or, sparse=subgradient,
 * the penalty's gradient is added first).  Returns the number of groups that fell asleep.
 */
uint32_t
active_set_update(struct active_set *s, const struct gslora_options *o, float lr, int penalty);

/*
 * For groups that have not trained yet, a wake check estimates the second moments itself, from the
 * gradients of its n_parts parts: clear, then begin and end each part, whose backward pass adds to
 * part_grad.  Ending a part adds it to the gradient and to the moments.
 */
void active_set_clear_moments(struct active_set *s);
void active_set_begin_part(struct active_set *s); /* clears part_grad */
void active_set_end_part(struct active_set *s, uint32_t n_parts);

/*
 * Wake check for sleeping group l after a backward pass at the dormant point (A0, B = 0): the
 * preconditioned norm of the gradient of B1 and B2, to be compared with alpha.
 */
double active_set_pressure(const struct active_set *s, const struct gslora_options *o, uint32_t l);
/* Group l (from 0) is awake again at (A0, 0). */
void active_set_wake(struct active_set *s, uint32_t l);

/* Snapshot of theta and of which groups are awake: [L n_g] floats and [L] bytes. */
void active_set_save(const struct active_set *s, float *theta, uint8_t *awake);
void active_set_restore(struct active_set *s, const float *theta, const uint8_t *awake);

#endif
