/*
 * The router: ridge regression from features to the classes of several owners, solved in closed
 * form from their terms (after RanPAC, arXiv 2307.02251, eq. 9: W = (G + lambda I)^-1 C), and the
 * choice of the owner that should answer.
 *
 *   G = sum w_t G_t, C = sum w_t C_t, over the terms alive in the order (owner name, class name),
 * in double; targets are 1 for an image's classes and 0 for every other class.  The constant
 * feature is not penalised; lambda is relative to the mean of the other diagonal elements.  w_t is
 * 1 (plain) or makes every class weigh the same (balanced).
 *
 * Penalty.  Every term carries the same sums of held-out images, so the held-out squared error of
 * any solution W is known exactly, sum v_t (tr W'G_t W - 2 tr W'C_t + n_t): each task votes on the
 * grid of penalties through its own sums, and a task that is forgotten takes its vote with it.  The
 * least penalty within lambda_slack of the best error is taken; then, with `refit`, the held-out
 * images join the fit.
 *
 * The solution is a function of the set of terms: adding a task adds its terms, and without a term
 * it is bit-identical to never having seen its images, in whatever order tasks came and went.
 */
#ifndef LETHE_LEARNERS_RIDGE_ROUTER_H
#define LETHE_LEARNERS_RIDGE_ROUTER_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"
#include "learners/methods/ridge/ridge_options.h"
#include "learners/methods/ridge/ridge_terms.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_ROUTER_VERSION  2
#define RIDGE_ROUTER_GRID     9    /* penalties 1e-4 .. 1, half a decade apart */
#define RIDGE_ROUTER_FALLBACK 0.03 /* lambda where nobody holds out images */
#define RIDGE_ROUTER_OWNERS   10000u

/* How the penalty of one group of owners was chosen (all of them, or one with contrast=owner). */
struct ridge_choice {
    double lambda;
    int voted;                       /* 0: given, or nobody holds out images */
    double error[RIDGE_ROUTER_GRID]; /* held-out squared error an image; NaN: not voted */
};

/* Borrows everything from the arena of a solve or a decode. */
struct ridge_router {
    struct ridge_origin origin; /* base, state, preprocessing; the rest is zero */
    struct ridge_options options;
    size_t width; /* P */
    uint32_t n_owners, n_classes;
    char (*owners)[RIDGE_TERMS_OWNER_SIZE]; /* [n_owners] ascending */
    struct digest *terms;                   /* [n_owners] of the records solved; zero: not told */
    char (*classes)[RIDGE_TERMS_NAME_SIZE]; /* [n_classes] by owner, then by name */
    uint32_t *owner_of;                     /* [n_classes] ascending */
    uint32_t n_choices;
    struct ridge_choice *choices; /* [n_choices] 1, or n_owners with contrast=owner */
    double *shares;  /* [n_classes] of the fitted images, weighted: the mean score of these */
    double *weights; /* [n_classes, P] */
};

/* One owner's terms as a solve takes them. */
struct ridge_source {
    const struct ridge_terms *terms;
    struct digest digest; /* of its record; only carried */
};

/* What a solve works with. */
struct ridge_memory {
    struct pool *pool;
    struct arena *arena;   /* the router stays in it */
    struct arena *scratch; /* as it was when the solve is done; may be the same */
};

/* Penalty i of the grid. */
double ridge_router_lambda(uint32_t i);

/*
 * Bytes that a solve of these sizes keeps in its arena, and in *ret_scratch those it needs while it
 * works; SIZE_MAX: too large.
 */
struct ridge_router_sizes {
    size_t width;
    uint32_t n_owners, n_classes;
};
size_t ridge_router_plan(const struct ridge_router_sizes *sizes, size_t *ret_scratch);
/*
 * Solves the terms of n >= 1 owners, in any order.  `o` may differ from the options in the records
 * where features do not depend on them.  `scratch` may be the same arena.  FAILED_PRECONDITION
 * (other features, base, trunk or preprocessing; a system that has no solution), ALREADY_EXISTS (an
 * owner twice), NO_MEMORY.
 */
enum status ridge_router_solve(const struct ridge_source *sources,
                               uint32_t n,
                               const struct ridge_options *o,
                               const struct ridge_memory *memory,
                               struct ridge_router *ret_router,
                               struct fault *f) MUST_CHECK;

/*
 * Scores [n, n_classes] of feature rows [n, P]; about the probability of the class.  A score's bits
 * depend on its row and the router, not on the batch or the threads.
 */
void ridge_router_scores(
    const struct ridge_router *r, const float *rows, uint32_t n, struct pool *pool, float *scores);
/* What the owners [n, n_owners] make of the scores, by options.rule. */
void ridge_router_owner_scores(const struct ridge_router *r,
                               const float *scores,
                               uint32_t n,
                               float *owner_scores);
/* Number of the best owner of each image; the first by name on a tie. */
void ridge_router_choose(const struct ridge_router *r,
                         const float *owner_scores,
                         uint32_t n,
                         uint32_t *ret_owners);

/*
 * Record of a solved router, a cache that can be computed again (little-endian, strict):
 *   "LROUTE1\n", u32 version, digests of base, state, preprocessing, options, u32 P, u32 owners,
 * u32 classes, for each owner its name, the digest of its terms' record and u32 classes, for each
 *   class its name, u32 choices, for each f64 lambda, u8 voted and f64 errors (only if voted), then
 *   shares and weights as f64.
 */
size_t ridge_router_encoded_size(const struct ridge_router *r);
void ridge_router_encode(const struct ridge_router *r, void *to, size_t size);
enum status ridge_router_decode(const void *bytes,
                                size_t size,
                                struct arena *arena,
                                struct ridge_router *ret_router,
                                struct fault *f) MUST_CHECK;
size_t ridge_router_decode_plan(const void *bytes, size_t size);
/* Whether it was solved from exactly these records; zero digests never match. */
int ridge_router_is_of(const struct ridge_router *r,
                       const struct ridge_source *sources,
                       uint32_t n);

#endif
