/*
 * An expert of a TAME stream (Zhu et al. 2024, arXiv 2210.03869) as the detector and the stream see
 * it: a flat vector of weights with its moments, and the table of the kind that computes with them.
 * The stream knows nothing of networks, a kind knows nothing of streams.
 *
 * Weight vector of an expert with C classes, f32:
 *   [body | head weights [C, width] | head biases [C]]
 * `body` and `width` come from the kind's shape.  Moments have the same layout.  Because the last
 * layer is the tail of the vector, an expert gets a class by new zero rows, whatever its kind.
 *
 * A kind works with an engine: its workspace, its frozen trunk, its settings.  One stream owns an
 * engine at a time; `reset` is called when a stream takes it over.  The order of calls is
 *   load, forward, [tame_expert_grow,] step       a training pass
 *   load, forward, forward, ...                   losses of several experts on one batch
 * and `step` belongs to the last forward on the same expert.  No call can fail: sizes are checked
 * when the engine is made.  Results do not depend on the number of threads.
 */
#ifndef LETHE_LEARNERS_TAME_EXPERT_H
#define LETHE_LEARNERS_TAME_EXPERT_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_UNKNOWN     UINT32_MAX /* target of a sample whose class the expert does not have */
#define TAME_VECTORS_MAX 3          /* weights and at most two moments */
#define TAME_MAX_CLASSES 4096       /* of one expert */
#define TAME_MAX_BATCH   65536

/* What a kind is with this engine. */
struct tame_shape {
    size_t input_bytes;     /* of one sample; what they mean is the kind's business */
    size_t body;            /* floats before the last layer */
    size_t head_width;      /* inputs of the last layer */
    uint32_t vectors;       /* 1 + moments of the optimiser: 2 for momentum, 3 for AdamW */
    uint32_t batch_max;     /* samples of a load */
    uint32_t feature_width; /* of the frozen features that a selector may use; 0: none */
    int sigmoid;            /* the loss is taken on sigmoid(logits) (tame.md 3.1, parity) */
};

/* An expert's numbers.  v[0] weights, v[1..] moments; each has room for classes_max classes. */
struct tame_weights {
    float *v[TAME_VECTORS_MAX];
    uint32_t classes, classes_max; /* C_e */
    uint64_t seed;
    uint64_t steps;    /* optimiser steps done, `it` */
    uint64_t revision; /* changes with the numbers; engines compare it before they re-use a fold */
};

struct tame_kind {
    const char *name; /* "adapter", "conv"; at most 15 bytes */

    void (*shape)(const void *engine, struct tame_shape *ret_shape);
    /* Forgets what was loaded or folded for an earlier owner. */
    void (*reset)(void *engine);
    /*
     * Weights of a fresh expert, a function of w->seed and w->classes alone.  The vectors are zero
     * before the call; a kind without start values for its last layer leaves that at zero.
     */
    void (*init)(void *engine, struct tame_weights *w);
    /* Makes n samples (1 .. batch_max) the current batch.  The inputs are read during the call. */
    void (*load)(void *engine, uint32_t n, const uint8_t *const *inputs);
    /* Overwrites logits [n, w->classes] of the current batch.  `train`: a step may follow. */
    void (*forward)(void *engine, const struct tame_weights *w, int train, float *logits);
    /*
     * Backward from dlogits [n, w->classes] and one optimiser step, number w->steps (from 1,
     * counted by the caller).  w may have got zero rows since the forward; their logits were 0.
     */
    void (*step)(void *engine, struct tame_weights *w, const float *dlogits);
    /* Overwrites features [n, feature_width] of the current batch: frozen trunk, no expert.  NULL
     * if there are none. */
    void (*features)(void *engine, float *features);
};

/* ------------------------------------------------------------------ the numbers of an expert */

/* Floats of one vector with this many classes; SIZE_MAX on overflow. */
size_t tame_expert_floats(const struct tame_shape *s, uint32_t classes);
/* Floats of an expert's memory: all vectors at classes_max. */
size_t tame_expert_memory(const struct tame_shape *s, uint32_t classes_max);
/* Lays the vectors out over `memory`; no number is read or written. */
void tame_expert_map(const struct tame_shape *s,
                     uint32_t classes_max,
                     float *memory,
                     struct tame_weights *ret_w);
/* A fresh expert: vectors zeroed, then the kind's start values; steps = 0. */
void tame_expert_start(const struct tame_kind *kind,
                       void *engine,
                       const struct tame_shape *s,
                       uint64_t seed,
                       uint32_t classes,
                       struct tame_weights *w);
/* New zero rows until there are `classes` (<= classes_max); existing numbers keep their values. */
void tame_expert_grow(const struct tame_shape *s, uint32_t classes, struct tame_weights *w);

/* Record: u32 classes, u64 seed, u64 steps, then every vector as f32; without gaps. */
void tame_expert_put(const struct tame_shape *s,
                     const struct tame_weights *w,
                     struct byte_writer *to);
/* Strict: BAD_FORMAT for impossible counts, numbers that are not finite, or a short record. */
enum status tame_expert_get(const struct tame_shape *s,
                            struct byte_reader *from,
                            struct tame_weights *w,
                            struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ loss */

/* Loss of a sample whose class the expert does not have: L_unk = 2 ln max(C, 2). */
double tame_expert_unknown_loss(uint32_t classes);
/*
 * Softmax cross-entropy of every sample, f32; with shape.sigmoid on sigmoid(logits).  targets [n]
 * are rows of the expert, or TAME_UNKNOWN.  z [n, classes].  Overwrites losses [n].  Returns the
 * mean, summed in sample order in double.
 */
double tame_expert_loss(const struct tame_shape *s,
                        uint32_t n,
                        uint32_t classes,
                        const float *z,
                        const uint32_t *targets,
                        float *losses);
/*
 * Gradient of the mean: overwrites dz [n, classes].  z as for the loss, but with the final number
 * of classes; every target is a row.
 */
void tame_expert_gradient(const struct tame_shape *s,
                          uint32_t n,
                          uint32_t classes,
                          const float *z,
                          const uint32_t *targets,
                          float *dz);
/* Re-lays logits [n, from] as [n, to] in place (room for n * to), zeros in the new columns. */
void tame_expert_widen(uint32_t n, uint32_t from, uint32_t to, float *z);

#endif
