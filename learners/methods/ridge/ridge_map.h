/*
 * From the frozen trunk to the features of the router: whole numbers, so that sums over images are
 * exact.
 *
 * Sources.  For every block first_block..last_block its input X [N, C] gives the means of its patch
 * rows over regions x regions windows and, with `tokens`, the class row and the mean over all
 * patches (the class row of block 1 is the same for every image and left out); with `tokens` the
 * final embedding is the last.  Each vector v [C] becomes (v - mean v) / sqrt(var v + eps): a scale
 * that depends on the image alone.  Constants measured on a task's data would make every other
 * task's numbers descend from it; constants of the base need its data, and centring by synthetic
 * images gained nothing in trials.  Then round(16 v), at most 127 in size.  R numbers in all.
 *
 * Random features (after RanPAC, McDonnell et al. 2023, arXiv 2307.02251, eq. 5: relu(x W) with a
 * frozen random W).  W has entries +-1: random signs and places, a Walsh-Hadamard transform of the
 * next power of two, D of its outputs, more such rounds if D is larger.  O(R log R) an image and no
 * matrix to keep; as good as independent entries in trials.  Feature j = round(32 relu(sum) / (16
 * sqrt R)), at most 255.  Signs, places and picks follow from the base's digest alone.
 *
 * A row is [D random features, R raw ones if asked for, 1]: P = D + R + 1 whole numbers, stored as
 * f32, in units of 1/32.  All of it is exact arithmetic but the normalisation of each vector, which
 * is done in f32 in fixed order: a row's bits depend on its image and the trunk, on nothing else.
 */
#ifndef LETHE_LEARNERS_RIDGE_MAP_H
#define LETHE_LEARNERS_RIDGE_MAP_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"
#include "learners/methods/ridge/ridge_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_MAP_UNIT        32         /* a feature of 1.0 as a whole number */
#define RIDGE_MAP_LEVELS      255        /* largest size of a feature */
#define RIDGE_MAP_MAX_SOURCES (1u << 20) /* R */

struct ridge_map;

/* Numbers a row has, P; 0 if options and sizes do not fit each other. */
size_t ridge_map_width_of(const struct vit_config *c, const struct ridge_options *o);

/* Arena bytes of a map for batches of n_max images (SIZE_MAX: invalid or too large). */
size_t ridge_map_plan(const struct vit_config *c,
                      const struct ridge_options *o,
                      uint32_t n_max,
                      uint32_t threads);
/*
 * INVALID_ARGUMENT naming the option that does not fit the model, NO_MEMORY.  The pool is borrowed
 * for the life of the map.
 */
enum status ridge_map_new(const struct vit_config *c,
                          const struct ridge_options *o,
                          const struct digest *base,
                          uint32_t n_max,
                          struct pool *pool,
                          struct arena *arena,
                          struct ridge_map **ret_map,
                          struct fault *f) MUST_CHECK;

size_t ridge_map_width(const struct ridge_map *m);
size_t ridge_map_sources(const struct ridge_map *m);
/* Whether the final embedding is read. */
int ridge_map_reads_embedding(const struct ridge_map *m);

/*
 * To be given to vit_forward as its observer, with the map as context: gathers the sources of the
 * batch's images in the map.
 */
void ridge_map_observe(void *map, const struct vit_observed *o);
/*
 * Rows of the n images observed last; embeddings [n, C] of the same images, or NULL if they are not
 * read.  Overwrites rows [n, P].  The same bits for any batch and number of threads.
 */
void ridge_map_rows(struct ridge_map *m, uint32_t n, const float *embeddings, float *rows);

#endif
