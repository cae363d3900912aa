/*
 * What an expert of a stream learned from, found again among a job's images by the keys in its
 * ledger, and the router's terms that follow from it.
 */
#ifndef LETHE_WORKER_TERMS_H
#define LETHE_WORKER_TERMS_H

#include "daemon/base/status.h"
#include "daemon/worker/worker_job.h"

/* Rows in job->rows, valid until the next use of it; the rest is owned. */
struct worker_rows {
    uint64_t *keys; /* [n_keys] of the samples, ascending */
    size_t n_keys;
    int32_t *labels; /* [images.n] number among `classes`, of these rows */
    const char **classes;
    uint32_t n_classes;
    struct learner_rows train, valid; /* valid: the fifth that validates, by key */
};

/*
 * FAILED_PRECONDITION: some of the images are no longer there; then *ret_rows still wants
 * worker_rows_fini.
 */
enum status worker_rows_find(struct worker_job *job,
                             const struct learner_part *expert,
                             struct worker_rows *ret_rows,
                             struct fault *f) MUST_CHECK;
void worker_rows_fini(struct worker_rows *rows);

/* The terms "expert:NAME" are made, or go with an expert that is no more (size 0). */
enum status worker_terms_make(struct worker_job *job,
                              const struct learner_trunk *trunk,
                              const struct learner_part *expert,
                              struct fault *f) MUST_CHECK;
/*
 * The same of an expert of which a part came as a file: `terms` are those of `before`, and what it
 * has learned since then is counted and added.  Over a trunk that has moved the old sums are
 * carried over, for their images are not here.
 */
enum status worker_terms_extend(struct worker_job *job,
                                const struct learner_trunk *trunk,
                                const struct learner_part *expert,
                                const struct learner_part *before,
                                const struct learner_part *terms,
                                struct fault *f) MUST_CHECK;

#endif
