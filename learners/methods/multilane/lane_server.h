/*
 * Answers of any set of lanes on a batch of images in one frozen pass: the server watches the
 * stream (vit_observer), takes all its lanes through each block as the stream reaches it, on the
 * thread that computed it, and keeps nothing of the image but the lanes' class rows.  A lane's
 * logits are the same to the bit alone or with others, in any order, batch or number of threads.
 */
#ifndef LETHE_LEARNERS_LANE_SERVER_H
#define LETHE_LEARNERS_LANE_SERVER_H

#include "daemon/base/arena.h"
#include "learners/methods/multilane/lane_ready.h"
#include "learners/vit/vit.h"

struct lane_server;

/* Bounds of a set of lanes. */
struct lane_server_sizes {
    uint32_t n_lanes;
    uint32_t selectors, prompts; /* the most of a lane */
    size_t n_logits;             /* classes of all lanes together */
};
/* Adds a lane to the bounds. */
void lane_server_count(struct lane_server_sizes *s, const struct pathway_lane *lane);

/* Arena bytes for such lanes on batches of n_max images; SIZE_MAX: too large. */
size_t lane_server_plan(const struct vit_config *c,
                        const struct lane_server_sizes *sizes,
                        uint32_t n_max,
                        uint32_t threads);
/*
 * The trunk's tables and the lanes are borrowed; `state` names the trunk's weights.
 * FAILED_PRECONDITION naming both states if a lane was made ready for another one; NO_MEMORY.
 */
enum status lane_server_new(const struct lane_trunk *trunk,
                            const struct digest *state,
                            const struct lane_ready *const *lanes,
                            uint32_t n_lanes,
                            uint32_t n_max,
                            uint32_t threads,
                            struct arena *arena,
                            struct lane_server **ret_server,
                            struct fault *f) MUST_CHECK;

/* Give it to vit_forward with the server as context; the pool must have `threads` threads. */
void lane_server_observe(void *server, const struct vit_observed *o);
/* After the pass: overwrites logits[i] [n, classes of lane i] for the n images. */
void lane_server_read(const struct lane_server *x, uint32_t n, float *const *logits);

#endif
