/*
 * One lane from several that were trained one after the other, each going on from the one before:
 * selectors and prompts of the last, and the head rows that each left.
 */
#ifndef LETHE_BENCH_LANE_COMPOSE_H
#define LETHE_BENCH_LANE_COMPOSE_H

#include "learners/learner.h"

/* Owns `bytes` (lane_compose_free); `part` points into it. */
struct lane_composed {
    struct learner_part part;
    void *bytes;
};

/* The errors of lane_decode; INVALID_ARGUMENT where the lanes' sizes differ. */
enum status lane_compose(const struct learner_part *parts,
                         uint32_t n,
                         const struct vit_config *config,
                         struct lane_composed *ret_composed,
                         struct fault *f) MUST_CHECK;
void lane_compose_free(struct lane_composed *c);

#endif
