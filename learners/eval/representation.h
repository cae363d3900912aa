/*
 * Representation probes: does a feature space still separate a class that the head no longer
 * names?  Prototype recovery (nearest mean from k support images) here, the ridge probe in
 * ridge_probe.h; for erased classes and, as the yardstick, for reference classes that were never
 * taught (evaluation.md, section 7).  Works on any feature matrix: the final class token, or the
 * tokens of a block.
 *
 * Images of a class are split by their order: even ones fit the ridge probe, odd ones test it.  So
 * that erased and reference classes are compared at the same n, each uses its first `n_use` images.
 * Features f32 [n,width], row-major, borrowed, finite.  Sums in double, fixed order.
 */
#ifndef LETHE_LEARNERS_REPRESENTATION_H
#define LETHE_LEARNERS_REPRESENTATION_H

#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"

#include <stddef.h>
#include <stdint.h>

#define REPRESENTATION_SUPPORT 5
#define REPRESENTATION_DRAWS   20

/* Feature rows with labels below n_labels. */
struct representation_rows {
    const float *x;
    const uint32_t *labels;
    uint32_t n;
    uint32_t n_labels;
};

struct representation_options {
    uint32_t support; /* k */
    uint32_t draws;
    uint32_t n_use;       /* images a class, 0: all; a class with fewer is left out */
    struct rng_root root; /* stream "eval_support", index stream_base + label */
    uint64_t stream_base;
};

struct representation_ncm {
    struct eval_value accuracy; /* mean over draws and classes; n = query images of one draw */
    double min;                 /* over the draws, mean over classes; NaN if absent */
    double max;
    uint32_t n_classes;
};

/* The live classes of one feature space: prototypes and the sums of the ridge probe. */
struct representation;

/*
 * Sums up the live classes' rows; the result and its arrays live in `arena`.  With fewer fit rows
 * than features the rows are kept instead (dual form).  NO_MEMORY; at least one row is needed.
 */
enum status representation_prepare(const struct representation_rows *live,
                                   uint32_t width,
                                   struct arena *arena,
                                   struct representation **ret_live) MUST_CHECK;
size_t representation_prepare_plan(uint32_t n, uint32_t n_labels, uint32_t width);

/*
 * The n_use that both groups can give: the smallest image count over all classes with at least
 * 2 * support images, in `a` and `b` (b may be NULL); 0 if there is no such class.
 */
uint32_t representation_common(const struct representation_rows *a,
                               const struct representation_rows *b,
                               uint32_t support);

/*
 * Prototype recovery (attack of arXiv 2506.01318): mean of k L2-normalised support features; a
 * query image counts as recovered if that mean is nearer (Euclidean) than every live class' mean of
 * L2-normalised features.  A tie is no recovery.
 */
enum status representation_ncm_run(const struct representation *live,
                                   const struct representation_rows *question,
                                   const struct representation_options *options,
                                   struct arena *scratch,
                                   struct representation_ncm *ret_ncm) MUST_CHECK;

/* Scratch for one run on n_question rows. */
size_t representation_ncm_plan(uint32_t n_question, uint32_t width, uint32_t draws);

#endif
