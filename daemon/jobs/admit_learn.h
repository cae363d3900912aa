/*
 * Admission of a learn request, against the labels of the version that serves and the imported
 * data, before it is recorded and again when its turn has come.
 *
 * | what                                                  | code                | field   |
 * | no task name, a malformed or too long one             | INVALID_ARGUMENT    | task    |
 * | a task of that name was learned already               | ALREADY_EXISTS      | task    |
 * | no such data set of role train                        | NOT_FOUND           | data    |
 * | images of another size, a test set of other labelling | INVALID_ARGUMENT    | data    |
 * | a class without images, fewer than two classes        | INVALID_ARGUMENT    | data    |
 * | several labels an image: an image without any         | INVALID_ARGUMENT    | data    |
 * | a label that the model has already                    | ALREADY_EXISTS      | data    |
 * | a label that was forgotten                            | FAILED_PRECONDITION | data    |
 * | a method that is none, ridge on several labels        | INVALID_ARGUMENT    | method  |
 * | floor outside 0..1                                    | INVALID_ARGUMENT    | floor   |
 * | unknown option, bad value                             | NOT_FOUND / INVALID_ARGUMENT | its name
 * | no training data of the base                          | FAILED_PRECONDITION | data    |
 */
#ifndef LETHE_JOBS_ADMIT_LEARN_H
#define LETHE_JOBS_ADMIT_LEARN_H

#include "daemon/base/status.h"
#include "daemon/jobs/admit.h"

/* Longest name of a task: it is part of owners' and router terms' names. */
#define ADMIT_TASK_NAME_MAX 47

/* What every request that brings labels has to pass; `field` is named in errors. */
enum status admit_learn_name(const char *name, const char *field, struct fault *f) MUST_CHECK;
/* ALREADY_EXISTS: a task or stream of this name was learned, whether it is still there or not. */
enum status admit_learn_name_is_free(const struct version *serving,
                                     const char *name,
                                     const char *field,
                                     struct fault *f) MUST_CHECK;
enum status admit_learn_label_is_free(const struct version *serving,
                                      const char *name,
                                      const char *field,
                                      struct fault *f) MUST_CHECK;
/* FAILED_PRECONDITION, field "data": no data with which a version can be measured. */
enum status
admit_learn_base(struct kv_txn *txn, const struct base_model *base, struct fault *f) MUST_CHECK;

/* The task is learned by the closed form alone. */
int admit_learn_is_ridge(const struct wire_learn *m);

/* ret_plan may be NULL. */
enum status admit_learn(struct kv_txn *txn,
                        const struct job_context *context,
                        const struct wire_learn *m,
                        const struct version *serving,
                        struct admit_plan *ret_plan,
                        struct fault *f) MUST_CHECK;

#endif
