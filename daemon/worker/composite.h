/*
 * Answers of a whole version inside a job: base, lanes, experts and router (learners/answer), with
 * one column for each of the job's classes.  Memory is its own; it lives while the job measures.
 */
#ifndef LETHE_WORKER_COMPOSITE_H
#define LETHE_WORKER_COMPOSITE_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

#include <stdint.h>

struct composite;

enum composite_side { COMPOSITE_PARENT, COMPOSITE_CANDIDATE };

/* For at most n_max images a run.  Errors of answer_new; NO_MEMORY, RESOURCE_EXHAUSTED. */
enum status composite_new(struct worker_job *job,
                          enum composite_side side,
                          uint32_t n_max,
                          struct composite **ret_composite,
                          struct fault *f) MUST_CHECK;
/* NULL allowed. */
void composite_free(struct composite *c);

/*
 * Overwrites what is not NULL.  A class that nobody answers any more has -INFINITY.
 *   served [n, classes]     the decision that the service takes by default: routed
 *   raw [n, classes]        all owners' logits side by side
 *   present [n, classes]    1: a label of the served answer (answer_probabilities)
 *   embeddings [n, C], taps [n, L, 2, C]
 */
struct composite_output {
    float *served, *raw, *embeddings, *taps;
    uint8_t *present;
};
void composite_run(struct composite *c,
                   uint32_t n,
                   const float *const *images,
                   const struct composite_output *out);

/*
 * Share of rows whose own label is the largest raw logit of this part's labels, with the part on
 * the given trunk; of the rows' labels, where they have several: those above which no label ranks
 * that the row has not.  rows index job->images; their labels are classes of `owner`.
 */
enum status composite_part_accuracy(struct worker_job *job,
                                    const struct learner_trunk *trunk,
                                    const struct job_part *part,
                                    const uint32_t *rows,
                                    uint32_t n_rows,
                                    double *ret_accuracy,
                                    struct fault *f) MUST_CHECK;

#endif
