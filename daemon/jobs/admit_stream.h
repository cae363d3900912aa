/*
 * Admission of stream requests, against the labels and streams of the version that serves and the
 * imported data, before they are recorded and again when their turn has come.
 *
 * | what                                                  | code                | field   |
 * | no name, a malformed or too long one, one like NAME.1 | INVALID_ARGUMENT    | name    |
 * | a stream, or a task, of that name is or was there     | ALREADY_EXISTS      | name    |
 * | push, close: no such stream                           | NOT_FOUND           | name    |
 * | push, close: the stream is closed                     | FAILED_PRECONDITION | name    |
 * | another kind of expert than adapter                   | INVALID_ARGUMENT    | expert  |
 * | unknown option, bad value                             | NOT_FOUND / INVALID_ARGUMENT | its name
 * | more images a batch than the stream takes             | INVALID_ARGUMENT    | batch   |
 * | no such data set of role train                        | NOT_FOUND           | data    |
 * | images of another size, several labels an image, none | INVALID_ARGUMENT    | data    |
 * | a label that the base, a task or another stream has   | ALREADY_EXISTS      | data    |
 * | a label that was forgotten                            | FAILED_PRECONDITION | data    |
 * | no training data of the base                          | FAILED_PRECONDITION | data    |
 */
#ifndef LETHE_JOBS_ADMIT_STREAM_H
#define LETHE_JOBS_ADMIT_STREAM_H

#include "daemon/base/status.h"
#include "daemon/jobs/admit.h"

/* The stream that a stream request is about. */
const char *admit_stream_name(const struct wire_envelope *m);

/*
 * `opening`: an accepted request will open the stream; then it need not be there yet.  ret_plan may
 * be NULL.
 */
enum status admit_stream(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct wire_envelope *m,
                         const struct version *serving,
                         int opening,
                         struct admit_plan *ret_plan,
                         struct fault *f) MUST_CHECK;

#endif
