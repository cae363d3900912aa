/*
 * Answers of lanes (and the router that decides between them) on the images of a protocol: those of
 * learners/answer, as the daemon gives them, sorted into the protocol's columns.
 */
#ifndef LETHE_BENCH_SESSION_ANSWER_H
#define LETHE_BENCH_SESSION_ANSWER_H

#include "bench/multilane/protocol_set.h"
#include "bench/multilane/score_figures.h"
#include "learners/learner.h"

enum session_decision { SESSION_ROUTED, SESSION_RAW, SESSION_ROUTER };
#define SESSION_DECISIONS 3

const char *session_decision_name(enum session_decision d);
/* What the scores of a decision mean. */
enum score_link session_link(enum session_decision d, int several);

/* Owns its memory (session_scores_free).  Scores of classes not answered are -infinity. */
struct session_scores {
    uint32_t n;
    uint8_t *hot;                     /* [n, classes] */
    float *scores[SESSION_DECISIONS]; /* [n, classes] */
    uint32_t *owner; /* [n] task of the owner that the router believes most; with a router */
};

/* What answers: lanes, and the router's terms of each, or none. */
struct session_parts {
    const struct learner_part *parts; /* lanes named taskN; N counts from 1 */
    uint32_t n_parts;
};

/*
 * Answers the images of `part` that show a class of the first `tasks` tasks.  Without terms only
 * SESSION_RAW is answered, the others are NULL.  The errors of answer_new and answer_forward_new.
 */
enum status session_answer(const struct learner_trunk *trunk,
                           const struct session_parts *parts,
                           const struct protocol_set *set,
                           enum protocol_part part,
                           uint32_t tasks,
                           struct pool *pool,
                           struct session_scores *ret_scores,
                           struct fault *f) MUST_CHECK;
void session_scores_free(struct session_scores *s);

#endif
