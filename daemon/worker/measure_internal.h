/*
 * What the files of a measurement share; for measure*.c only.
 *   measure_groups.c    which images are measured
 *   measure_pass.c      forward passes over them
 *   measure_several.c   images with several labels
 *   measure.c           what learners/eval sees, the report
 */
#ifndef LETHE_WORKER_MEASURE_INTERNAL_H
#define LETHE_WORKER_MEASURE_INTERNAL_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/worker/composite.h"
#include "daemon/worker/measure.h"
#include "learners/eval/evaluate.h"
#include "learners/methods/gslora/delta.h"

#include <stddef.h>
#include <stdint.h>

/* The probe images, group behind group; every group is one eval_set. */
enum group { G_FORGET, G_RETAIN, G_LEARNED, G_MEMBERS, G_UNSEEN, G_REFERENCE, G_ERASED };

struct groups {
    uint32_t *rows;                                  /* NULL while counting */
    uint32_t *classes;                               /* the label that each row stands for */
    uint32_t n;                                      /* rows so far */
    uint32_t first[G_ERASED + JOB_MAX_ERASURES + 1]; /* group g: first[g] .. first[g+1]-1 */
};

/* What the forward passes leave behind, for every row of the groups. */
struct answers {
    float *logits;    /* [n, K] candidate */
    float *before;    /* [n, K] parent; NULL: the version itself is measured */
    float *raw;       /* [n, K] candidate, decision raw; NULL: the base answers alone */
    uint8_t *present; /* [n, K] labels of the candidate's served answer; NULL with raw */
    float *base;      /* [n of G_FORGET, K] original base; NULL: it is the parent, or no D_f */
    float *path;      /* [n of G_FORGET, K] the candidate's base alone; NULL: it is all there is */
    float *features;  /* [n, C] candidate */
    float *blocks;    /* [L * 2][n, C] class token and mean token at the input of every block */
};

struct measure {
    struct worker_job *job;
    const struct delta *trained; /* the delta just made; NULL: none */
    struct groups groups;
    struct answers answers;
    struct vit_batch *batch;
    struct composite *parent, *candidate; /* NULL: the base answers alone */
    float *base_rows;                     /* [CHUNK, base classes] */
    uint32_t first; /* first block that the delta changes, from 1; L + 1: none */
    struct eval_path path;
    float *images, *prefix, *taps;
    const float **image_rows, **prefix_rows;
    uint32_t passes, done; /* chunks, for progress */
};

/* ------------------------------------------------------------------ measure_groups.c */

/* The request teaches this class. */
int measure_is_learned(const struct worker_job *job, uint32_t c);
/* Finds the groups' sizes, and with g->rows their rows. */
void measure_groups_fill(const struct worker_job *job, struct groups *g);
uint32_t measure_groups_size(const struct groups *g, uint32_t group);

/* ------------------------------------------------------------------ measure_pass.c */

/* Rows n, outputs k (of the base alone: k_base), width c and the other sizes of the arrays. */
struct measure_sizes {
    size_t n, k, c, tokens, depth, pixels, n_forget;
    size_t k_base;
};

struct measure_sizes measure_sizes_of(const struct worker_job *job, const struct groups *g);

/* More than the base answers. */
int measure_is_composite(const struct worker_job *job);
/* The candidate is not the parent. */
int measure_is_change(const struct worker_job *job);

/* Adds what measure_pass_new takes of the arena. */
void measure_pass_plan(const struct worker_job *job, const struct groups *g, struct arena_plan *p);
/* Memory for the groups' rows, the answers and the passes. */
enum status measure_pass_new(struct measure *m, struct fault *f) MUST_CHECK;
/* Fills the answers: one pass over the rows of all groups. */
void measure_pass_run(struct measure *m);

/* ------------------------------------------------------------------ measure_several.c */

/* "base" or "KIND:NAME" of a class, in the job's arena. */
const char *measure_owner_name(struct measure *m, uint32_t c);

/*
 * Owners whose images have several labels: bounds of their sizes into in->several [n_owners] and
 * in->n_several, and what measure_several_fill takes of the arena.
 */
void measure_several_plan(const struct worker_job *job,
                          struct arena_plan *p,
                          struct eval_inputs *in);
/* Their scores, from the rows as the models gave them. */
enum status
measure_several_fill(struct measure *m, struct eval_inputs *in, struct fault *f) MUST_CHECK;
/* From then on a row stands for one label of its image: the others are no wrong answers. */
void measure_several_mask(struct measure *m);

#endif
