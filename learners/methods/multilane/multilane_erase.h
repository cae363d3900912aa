/*
 * Forgetting inside a lane without training it anew (mode fast): GS-LoRA++ on its selectors and
 * prompts (gslora/suppress.h).  The groups are the selectors and the prompts of each block; the
 * head does not move and keeps the row of an erased class, so that what is left of the class can be
 * measured.  The new lane names the old one as its parent: it descends from it.
 *
 * Lanes with one label an image only: the hinge is on the cross-entropy.
 */
#ifndef LETHE_LEARNERS_MULTILANE_ERASE_H
#define LETHE_LEARNERS_MULTILANE_ERASE_H

#include "learners/learner.h"
#include "learners/methods/multilane/lane.h"

struct multilane_erase;

/* Whether a problem asks for this: it has images to forget. */
int multilane_erase_is(const struct learner_problem *p);
/* Bytes of a run's arena; SIZE_MAX: too large, or no lane to change. */
size_t multilane_erase_plan(const struct learner_problem *p, uint32_t threads);
/*
 * The lane is the part of the problem's name; its classes are found by their names.
 * FAILED_PRECONDITION (no such lane, several labels, a class it has not), INVALID_ARGUMENT,
 * NOT_FOUND (an option), NO_MEMORY.  After a failure the arena is as it was.
 */
enum status multilane_erase_new(const struct learner_problem *p,
                                const struct learner_tools *tools,
                                struct multilane_erase **ret_erase,
                                struct fault *f) MUST_CHECK;
enum status multilane_erase_step(struct multilane_erase *x,
                                 struct learner_progress *ret_progress,
                                 struct fault *f) MUST_CHECK;
/* After the last step; borrows from the arena. */
void multilane_erase_result(struct multilane_erase *x,
                            struct lane *ret_lane,
                            struct learner_outcome *ret_outcome);

#endif
