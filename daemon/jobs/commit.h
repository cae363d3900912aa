/*
 * The end of a job: what the worker returned becomes one durable change of the store, or nothing.
 *
 * COMMITTED: delta, relapse record, prototypes, report document, manifest, replay memory without
 * the erased classes, serving pointer (compare-and-swap from the parent that was measured) and
 * request state, all in one store_commit.  The served version is folded beforehand, so that a swap
 * that is durable can always be served.
 */
#ifndef LETHE_JOBS_COMMIT_H
#define LETHE_JOBS_COMMIT_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"
#include "daemon/jobs/gate.h"
#include "daemon/jobs/served.h"

struct commit_context {
    const struct base_model *base;
    struct store *store;
    const struct config *config;
    int64_t now_us;
    const char *actor; /* who asked for a move (store_change); NULL: the daemon itself */
};

/*
 * Commits the candidate of a forget job.  *ret_served is the new serving version, to be published.
 * ABORTED: the serving pointer moved since the parent was measured; nothing was changed.
 */
enum status commit_candidate(const struct commit_context *c,
                             const struct job *job,
                             const struct job_result *result,
                             const struct gate *gate,
                             struct queue_record *ret_record,
                             struct served **ret_served,
                             struct fault *f) MUST_CHECK;
/*
 * Ends or moves a request that leaves the version as it is, with the report kept when there is one:
 * REJECT (reason of the gate), DRY_RUN_DONE, COMMIT of an evaluation (version after = the one that
 * was measured), RETRY, GIVE_UP, NEXT_STEP, OVERTAKEN, GONE, CANCEL.
 */
enum status commit_move(const struct commit_context *c,
                        const struct job *job,
                        enum request_event event,
                        const struct gate *gate,
                        const struct queue_error *error,
                        struct queue_record *ret_record,
                        struct fault *f) MUST_CHECK;

/* A request's error from a status and its explanation. */
struct queue_error commit_error(enum status code, const struct fault *f);

#endif
