/*
 * Calls that wait for a request to reach a final state (long polls).  Owned by the core thread.
 * Every call here is finished: when the request is final, when its deadline comes, or at shutdown.
 */
#ifndef LETHE_JOBS_WAITERS_H
#define LETHE_JOBS_WAITERS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "daemon/serve/call.h"

#include <stdint.h>

struct waiters;

/* Finishes a waiting call from the stored record, whatever its state is. */
typedef void waiters_answer(struct core *core, struct call *call, const struct request_id *id);

enum status waiters_new(struct waiters **ret_waiters, struct fault *f) MUST_CHECK;
/* Fails what still waits with UNAVAILABLE. NULL allowed. */
void waiters_free(struct waiters *w);
/* Takes the call over; it is answered at once if there is no room. */
void waiters_add(struct waiters *w,
                 struct core *core,
                 struct call *call,
                 const struct request_id *id,
                 waiters_answer *answer);
/* The request is final: answers every call that waits for it. */
void waiters_wake(struct waiters *w, struct core *core, const struct request_id *id);
/* Answers calls whose deadline is near, with the state as it is. */
void waiters_expire(struct waiters *w, struct core *core, int64_t now_us);
/* Answers all. */
void waiters_flush(struct waiters *w, struct core *core);

#endif
