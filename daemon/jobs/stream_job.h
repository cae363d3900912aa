/*
 * What requests change in streams: the job of opening, feeding or closing one, and what an erasure
 * does to each.  A stream's experts train as one: one task of the learner "tame" a stream, which
 * says itself which experts it makes, changes or destroys.  Which class belongs to which expert is
 * known when it has run; until then classes that no expert has yet are owned by the stream.
 *
 *   open, push, close     the task with that action
 *   forget, a class of it or samples, or one expert      action erase
 *   forget, the whole stream                             stream, experts and their terms are
 * dropped forget, base classes                                 action refit: experts that the new
 * trunk harms are trained again, all get their windows anew, and so do all terms
 */
#ifndef LETHE_JOBS_STREAM_JOB_H
#define LETHE_JOBS_STREAM_JOB_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

int stream_job_is(const struct job *job);
/* A push that asks the detector only: nothing is learned, no version comes of it. */
int stream_job_probes(const struct job *job);

/* Before the classes are laid out: data set and new classes of a stream request. */
enum status stream_job_open(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/* The task and images of a stream request. */
enum status stream_job_plan(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            struct fault *f) MUST_CHECK;
/*
 * Classes of a forget request that only wait in held batches of streams: they are classes of the
 * job, owned by their stream, so that they are erased as all others and stay forgotten.  After the
 * parts were read.
 */
enum status stream_job_add_waiting(struct job *job, struct fault *f) MUST_CHECK;
/* The tasks and images of every stream in an erasure; `on_base`: the trunk moves. */
enum status stream_job_forget(struct kv_txn *txn,
                              const struct job_context *c,
                              struct job *job,
                              int on_base,
                              struct fault *f) MUST_CHECK;
/* The task by which the expert that came with the request joins a stream. */
enum status stream_job_import(struct kv_txn *txn,
                              struct job *job,
                              const char *stream,
                              struct fault *f) MUST_CHECK;
/* Test images of every stream but `except` (NULL: of all). */
enum status stream_job_test(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            const char *except,
                            struct fault *f) MUST_CHECK;

/*
 * The stream's samples that a request wants erased, once it is known that they are a stream's: they
 * and earlier ones become tombstones.  NOT_FOUND: none of them was ever pushed.
 */
enum status stream_job_erase_samples(struct kv_txn *txn,
                                     struct job *job,
                                     const struct job_owner *owner,
                                     struct fault *f) MUST_CHECK;

/*
 * The expert that owns a class after the job, from the stream's record in `made` (the job's own if
 * it made none): "NAME.K".  Empty: no expert has it.
 */
enum status stream_job_owner(const struct job *job,
                             const struct job_result *result,
                             const char *stream,
                             const char *label,
                             char ret_expert[JOB_NAME_SIZE],
                             struct fault *f) MUST_CHECK;

#endif
