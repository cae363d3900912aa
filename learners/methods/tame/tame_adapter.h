/*
 * Expert kind `adapter` (tame.md 3.1): low-rank pairs on both FFN maps of the last blocks of a
 * frozen ViT, and a linear head of its own on the class token's embedding.  B = 0 and head = 0 at
 * birth, so a fresh expert's loss is ln C exactly; AdamW.
 *
 * Body: of each adapted block, from the first on, A1 [r, C], B1 [F, r], A2 [r, F], B2 [C, r].
 * An input is one picture, u8 [S, S, channels].  The frozen part before the first adapted FFN map
 * is computed once a batch, for all experts.  The trunk is borrowed and must not change while the
 * engine holds it (tame_adapter_kind.reset after it did).
 */
#ifndef LETHE_LEARNERS_TAME_ADAPTER_H
#define LETHE_LEARNERS_TAME_ADAPTER_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/methods/tame/tame_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>

struct tame_adapter; /* the engine */

struct tame_adapter_setup {
    struct vit_config config;
    const struct vit_weights *trunk; /* the base with all erasures folded in */
    struct tame_options options;     /* resolved: rank, scale, blocks, lr, batch_max, classes_max */
    float scale[3], shift[3];        /* x = scale * pixel + shift, see image_table */
    struct pool *pool;
};

/* What the kind will be with these settings. */
void tame_adapter_shape(const struct vit_config *c,
                        const struct tame_options *o,
                        struct tame_shape *ret_shape);
/* Arena bytes of the engine; SIZE_MAX: too large. */
size_t
tame_adapter_plan(const struct vit_config *c, const struct tame_options *o, uint32_t threads);
/* INVALID_ARGUMENT (a setting that the trunk does not have), NO_MEMORY; the arena is then as it
 * was. */
enum status tame_adapter_new(const struct tame_adapter_setup *setup,
                             struct arena *arena,
                             struct tame_adapter **ret_engine,
                             struct fault *f) MUST_CHECK;
extern const struct tame_kind tame_adapter_kind;

/* The pairs of an expert as a table over its vector v: 0 weights, 1, 2 moments. */
void tame_adapter_map(const struct tame_adapter *a,
                      const struct tame_weights *w,
                      uint32_t vector,
                      struct vit_lora *ret_lora);

#endif
