/* Answers about one request, from its stored record and the running job.  Core thread. */
#ifndef LETHE_JOBS_REQUEST_VIEW_H
#define LETHE_JOBS_REQUEST_VIEW_H

#include "daemon/jobs/core_internal.h"

/* Answers with the request as this record says it is. */
void request_view_answer(struct core *core, struct call *call, const struct queue_record *record);
/* The same to whoever handed it in, with the receipt of its acceptance. */
void request_view_acknowledge(struct core *core,
                              struct call *call,
                              const struct queue_record *record);
/* As request_view_answer from the store, by id; fits waiters_add. */
void request_view_answer_id(struct core *core, struct call *call, const struct request_id *id);
/* The report of an evaluation that has ended, its error, or DEADLINE_EXCEEDED; fits waiters_add. */
void request_view_answer_report(struct core *core, struct call *call, const struct request_id *id);

#endif
