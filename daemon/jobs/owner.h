/*
 * Whose a request or an upload is.  Requests of others are for those who answer for all of them
 * (privacy, auditor); everybody else sees and changes only what the same peer submitted. Cancelling
 * is for the submitter, and for an administrator, who says why.
 */
#ifndef LETHE_JOBS_OWNER_H
#define LETHE_JOBS_OWNER_H

#include "daemon/base/status.h"
#include "daemon/serve/call.h"
#include "storage/queue/queue.h"

#include <stdbool.h>

/* Identity of the submitter: what follows the role in a record's principal. */
const char *owner_of(const struct queue_record *record);
/* Whether this peer submitted it. */
bool owner_is(const struct call *call, const struct queue_record *record);
/* Whether this peer sees the requests of all. */
bool owner_sees_all(const struct call *call);
/* PERMISSION_DENIED: another client's request, and the peer does not see those. */
enum status owner_check_see(const struct call *call,
                            const struct queue_record *record,
                            struct fault *f) MUST_CHECK;
/* PERMISSION_DENIED: neither the submitter nor an administrator; INVALID_ARGUMENT (field "reason"):
 * an administrator who gives none. */
enum status owner_check_cancel(const struct call *call,
                               const struct queue_record *record,
                               const char *reason,
                               struct fault *f) MUST_CHECK;

#endif
