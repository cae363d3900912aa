/*
 * Admission: checks of a forget request against the model and the data before it is recorded, and
 * again when its turn has come.  Errors carry code, field and limit; they name classes of the model
 * (public knowledge of its users), never subjects or payload.
 *
 * | what                                             | code                 | field   |
 * | nothing to forget, class given twice             | INVALID_ARGUMENT     | classes |
 * | classes together with samples                    | INVALID_ARGUMENT     | samples |
 * | a label that does not exist                      | NOT_FOUND            | classes |
 * | a class already forgotten (names the request)    | FAILED_PRECONDITION  | classes |
 * | all classes that are left                        | INVALID_ARGUMENT     | classes |
 * | task: no lane of that name                       | NOT_FOUND            | task    |
 * | subject: nothing that was learned carries it     | NOT_FOUND            | subject |
 * | subject: all of it was forgotten before          | FAILED_PRECONDITION  | subject |
 * | exact on data of the base                        | FAILED_PRECONDITION  | mode    |
 * | some, not all of a lane that came as a file      | FAILED_PRECONDITION  | classes, samples |
 * | data set unknown / other size / foreign labels   | NOT_FOUND / INVALID_ARGUMENT | samples |
 * | unknown option, bad value                        | NOT_FOUND / INVALID_ARGUMENT | its name |
 * | no training data of the base                     | FAILED_PRECONDITION  | data    |
 * | plan over worker_memory_max                      | RESOURCE_EXHAUSTED   | worker_memory_max |
 * | due date in the past                             | INVALID_ARGUMENT     | due_at  |
 */
#ifndef LETHE_JOBS_ADMIT_H
#define LETHE_JOBS_ADMIT_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

struct admit_plan {
    uint64_t memory_bytes; /* of the worker */
    uint64_t store_bytes;  /* that closing the request may write */
};

/* Against the labels of `serving`.  ret_plan may be NULL: then no plan is made. */
enum status admit_forget(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct wire_forget *m,
                         const struct version *serving,
                         struct admit_plan *ret_plan,
                         struct fault *f) MUST_CHECK;

/* The data set that a request names for its samples, checked; datasets_free. */
enum status admit_samples(struct kv_txn *txn,
                          const struct base_model *base,
                          const struct version *serving,
                          const char *name,
                          struct dataset **ret_dataset,
                          struct fault *f) MUST_CHECK;

/* "", "serving", a number, a digest or a prefix of 8 digits and more; NOT_FOUND, INVALID_ARGUMENT
 * (field "version"). */
enum status admit_resolve(struct kv_txn *txn,
                          const char *text,
                          struct digest *ret_digest,
                          struct fault *f) MUST_CHECK;

/* Same subject, scope and purpose: the later one is a duplicate of the earlier. */
int admit_same_scope(const struct wire_forget *a, const struct wire_forget *b);

/*
 * Whether a request in mode exact follows one in mode fast: the class was forgotten already, but
 * its component was only changed and is now to be trained anew without it.
 */
int admit_raises(const struct version *serving, const struct wire_forget *m, const char *name);

#endif
