/*
 * Request ids of calls that change something without becoming a stored request (cancel, rollback,
 * pin, data sets): the same id must mean the same payload.  Their effects are the same when they
 * are done again, so a repeat is simply carried out; what must be refused is an id that comes with
 * another payload.  The last REPEATS_MAX ids are remembered while the daemon runs.  Core thread.
 */
#ifndef LETHE_JOBS_REPEATS_H
#define LETHE_JOBS_REPEATS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#define REPEATS_MAX 4096

struct repeats;

enum status repeats_new(struct repeats **ret_repeats, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void repeats_free(struct repeats *r);
/* ALREADY_EXISTS (field "request_id") if the id was used with another payload; else remembers it.
 */
enum status repeats_check(struct repeats *r,
                          const struct request_id *id,
                          const struct digest *payload,
                          struct fault *f) MUST_CHECK;
/* The id was used by such a call. */
int repeats_known(const struct repeats *r, const struct request_id *id);

#endif
