/*
 * From a call to a durable request: the steps that all requests share.  Core thread only.
 */
#ifndef LETHE_JOBS_SUBMIT_H
#define LETHE_JOBS_SUBMIT_H

#include "daemon/base/status.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/core.h"
#include "daemon/jobs/forget_job.h"
#include "daemon/jobs/served.h"
#include "daemon/serve/call.h"

/* Admits a call and makes its request durable; one for each kind, in handlers_*.c. */
typedef enum status submit_function(struct core *core,
                                    struct call *call,
                                    struct queue_record *ret_record,
                                    struct fault *f);
/* Runs it and answers the call: with the record, or with the error and when to try again. */
void submit_answer(struct core *core, struct call *call, submit_function *submit);

/* Whether a message may become a request now, and room for it (submit_reserve). */
typedef enum status submit_admit(struct core *core, const struct wire_envelope *m, struct fault *f);
/* The whole way of a request that is kept as it arrived: made, admitted if it is new, recorded. */
enum status submit_message(struct core *core,
                           struct call *call,
                           const char *kind,
                           submit_admit *admit,
                           struct queue_record *ret_record,
                           struct fault *f) MUST_CHECK;

/* What a request is admitted against: the version that serves and the store, as they are now. */
struct submit_view {
    struct job_context context;
    struct served *serving;
    struct kv_txn *txn;
};
enum status
submit_view_begin(struct core *core, struct submit_view *ret_view, struct fault *f) MUST_CHECK;
/*
 * Ends the view.  `admitted` is what looking at it gave: if that is OK, keeps room for `plan` as
 * submit_reserve does.
 */
enum status submit_view_end(struct core *core,
                            struct submit_view *view,
                            enum status admitted,
                            const struct admit_plan *plan,
                            struct fault *f) MUST_CHECK;

/* What arrived, as it is kept: without what a repeat may change.  Lives in the call's arena. */
enum status submit_make(const struct core *core,
                        struct call *call,
                        const char *kind,
                        char principal[QUEUE_PRINCIPAL_SIZE],
                        struct queue_submission *ret_submission,
                        struct fault *f) MUST_CHECK;
/* The same of `m`, which stands for what arrived with some of its defaults filled in. */
enum status submit_make_of(const struct core *core,
                           struct call *call,
                           const struct wire_envelope *m,
                           const char *kind,
                           char principal[QUEUE_PRINCIPAL_SIZE],
                           struct queue_submission *ret_submission,
                           struct fault *f) MUST_CHECK;
/*
 * 1 if a request of this id is on record; ALREADY_EXISTS: the id was used for something else;
 * RESOURCE_EXHAUSTED: it is new, and its client has as many open ones as it may have.
 */
enum status submit_known(struct core *core,
                         const struct queue_submission *s,
                         int *ret,
                         struct fault *f) MUST_CHECK;
/* Room for this request and for closing everything that was promised before. */
enum status
submit_reserve(struct core *core, const struct admit_plan *plan, struct fault *f) MUST_CHECK;
/*
 * Records a submission together with its first move.  A repeat of a known request changes nothing
 * and gives the record as it is; ALREADY_EXISTS: the id was used for something else.
 */
enum status submit_record(struct core *core,
                          const struct queue_submission *s,
                          enum request_event event,
                          const struct request_id *duplicate_of,
                          struct queue_record *ret_record,
                          struct fault *f) MUST_CHECK;
/* The same of a request that brings a file: both are stored in one change. */
enum status submit_record_file(struct core *core,
                               const struct queue_submission *s,
                               const struct store_blob *file,
                               struct queue_record *ret_record,
                               struct fault *f) MUST_CHECK;

#endif
