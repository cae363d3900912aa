/*
 * From a call to a durable request: the steps that all requests share.  Core thread only.
 */
#ifndef LETHE_JOBS_SUBMIT_H
#define LETHE_JOBS_SUBMIT_H

#include "daemon/base/status.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/core.h"
#include "daemon/serve/call.h"

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
/* 1 if a request of this id is on record; ALREADY_EXISTS: the id was used for something else. */
enum status
submit_known(struct core *core, const struct request_id *id, int *ret, struct fault *f) MUST_CHECK;
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
