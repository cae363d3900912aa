/*
 * What the learners of ridge regression share (ridge_learner.c: an owner's terms;
 * learners/methods/closed: a task's solution): a run from a learner's problem, the features that
 * answers read, and where a component comes from.
 */
#ifndef LETHE_LEARNERS_RIDGE_PARTS_H
#define LETHE_LEARNERS_RIDGE_PARTS_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/learner.h"
#include "learners/methods/ridge/ridge_map.h"
#include "learners/methods/ridge/ridge_router.h"
#include "learners/methods/ridge/ridge_run.h"

#include <stdint.h>

/* ------------------------------------------------------------------ a run */

/* Defaults and the problem's own options.  NOT_FOUND, INVALID_ARGUMENT: the option's name. */
enum status ridge_parts_options(const struct learner_problem *p,
                                struct ridge_options *ret_o,
                                struct fault *f) MUST_CHECK;
/* The task as a ridge run reads it, for terms of this owner; borrows all of both. */
struct ridge_problem ridge_parts_problem(const struct learner_problem *p, const char *owner);
/* One step and where the run stands then: a single epoch, and no losses.  CANCELLED. */
enum status ridge_parts_step(struct ridge_run *run,
                             struct learner_progress *ret_progress,
                             struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ answers */

/* Makes the rows that a solution reads from a forward pass of the trunk. */
struct ridge_features {
    struct ridge_map *map;
    float *rows; /* [n_max, P] */
};

/* Adds what ridge_parts_features takes of the arena. */
void ridge_parts_features_plan(struct arena_plan *a,
                               const struct ridge_router *r,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               uint32_t threads);
/* NO_MEMORY, and the errors of ridge_map_new; then the arena may have lost bytes: rewind it. */
enum status ridge_parts_features(const struct ridge_router *r,
                                 const struct learner_trunk *trunk,
                                 uint32_t n_max,
                                 const struct learner_tools *tools,
                                 struct ridge_features *ret_features,
                                 struct fault *f) MUST_CHECK;
/* What the trunk's pass has to show them. */
struct learner_watch ridge_parts_watch(const struct ridge_features *features);

/* ------------------------------------------------------------------ lineage */

/* Base, trunk and training data, as learner.lineage gives them; zero digests are left out. */
uint32_t ridge_parts_lineage(const struct ridge_origin *origin,
                             const struct digest *data,
                             struct learner_source *ret_list,
                             uint32_t max);

#endif
