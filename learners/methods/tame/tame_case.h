/*
 * What a run of the learner is about, before any memory is taken: options as text become an action
 * and settings, parts become one stream with its experts, and all of it is checked and counted, so
 * that plan and init agree.
 */
#ifndef LETHE_LEARNERS_TAME_CASE_H
#define LETHE_LEARNERS_TAME_CASE_H

#include "daemon/base/status.h"
#include "learners/learner.h"
#include "learners/methods/tame/tame_options.h"
#include "learners/methods/tame/tame_roll.h"
#include "learners/methods/tame/tame_stream.h"
#include "learners/methods/tame/tame_survey.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_LEARNER_BATCH 64 /* images a batch where nobody says */

enum tame_action { TAME_OPEN, TAME_PUSH, TAME_CLOSE, TAME_ERASE, TAME_REFIT, TAME_IMPORT };

/* An expert of the stream; `survey` points into the part's bytes. */
struct tame_case_expert {
    const struct learner_part *part;
    struct tame_expert_head head;
    struct tame_survey survey;
};

struct tame_case {
    enum tame_action action;
    uint32_t batch; /* of this run */
    int probe;
    const char *chosen; /* option `experts`, NULL: all */
    struct tame_options options;
    const struct learner_part *stream; /* NULL: a new one */
    struct tame_head head;
    uint32_t n_experts;
    const struct learner_part *incoming; /* TAME_IMPORT: the expert that joins */
    /* counted, for plans */
    uint32_t n_batches;
    size_t incoming_names; /* bytes of its classes in a record */
    uint32_t roll_rows, roll_pushes;
    struct tame_setup room; /* options and rooms only */
    size_t parts_bytes;     /* most that an export takes */
};

/* Every check that needs no memory: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, BAD_FORMAT,
 * ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
enum status tame_case_read(const struct learner_problem *p,
                           struct tame_case *ret_case,
                           struct fault *f) MUST_CHECK;
/* Expert i < n_experts of the case, in the stream's order.  The errors of the above. */
enum status tame_case_expert(const struct learner_problem *p,
                             const struct tame_case *c,
                             uint32_t i,
                             struct tame_case_expert *ret_expert,
                             struct fault *f) MUST_CHECK;
/* The expert that joins.  BAD_FORMAT. */
enum status tame_case_incoming(const struct tame_case *c,
                               struct tame_case_expert *ret_expert,
                               struct fault *f) MUST_CHECK;
/* Whether the expert `name` is in the comma separated list. */
int tame_case_lists(const char *list, const char *name);

#endif
