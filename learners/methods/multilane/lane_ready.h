/*
 * A lane made ready for one state of the trunk's weights: its record's numbers and the selectors of
 * every block (Shat), which depend on those weights.  On another state it must not be used and is
 * made again from the lane.  Immutable; any thread may read it.
 */
#ifndef LETHE_LEARNERS_LANE_READY_H
#define LETHE_LEARNERS_LANE_READY_H

#include "daemon/base/arena.h"
#include "learners/methods/multilane/pathway.h"

struct lane_ready {
    const struct lane *lane; /* borrowed */
    struct digest state;     /* of the weights that shat was computed with */
    struct pathway_lane view;
};

/* Arena bytes of lane_ready_new; SIZE_MAX: too large. */
size_t lane_ready_plan(const struct vit_config *c, const struct lane_options *o);
/* Computes Shat; the lane must stay as it is.  NO_MEMORY. */
enum status lane_ready_new(const struct lane *lane,
                           const struct lane_trunk *trunk,
                           const struct digest *state,
                           struct arena *arena,
                           struct lane_ready **ret_ready) MUST_CHECK;
/* FAILED_PRECONDITION naming both states if it was made for another one. */
enum status lane_ready_check(const struct lane_ready *x,
                             const struct digest *state,
                             struct fault *f) MUST_CHECK;

#endif
