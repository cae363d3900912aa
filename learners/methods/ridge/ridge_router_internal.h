/* What the files of the router share: its lists in an arena. */
#ifndef LETHE_LEARNERS_RIDGE_ROUTER_INTERNAL_H
#define LETHE_LEARNERS_RIDGE_ROUTER_INTERNAL_H

#include "learners/methods/ridge/ridge_router.h"

/* Sizes in *r are given; allocates lists, names and weights.  -1: no room. */
int ridge_router_allocate(struct ridge_router *r, struct arena *arena);
void ridge_router_plan_lists(struct arena_plan *p, const struct ridge_router *r);

#endif
