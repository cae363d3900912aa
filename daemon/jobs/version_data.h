/*
 * What a job needs of a version besides its base: the owners of its labels, where each class
 * stands, the components that answer (lanes, experts, routers), the tasks' images, and the
 * tombstones of erased samples.  Everything lands in the job, which owns it.  Core thread only.
 *
 * Component kinds in manifests: "lane", "ridge" (a task learned by the closed form alone) and
 * "expert" are owners; "stream" is what a stream needs to go on, its experts are called STREAM.K;
 * "router" NAME is an owner's terms of the router ("base" or "lane:NAME", "expert:NAME");
 * "tombstones" NAME lists keys of samples that were erased from that task: "LTOMBST1" | u32 n | n
 * keys of 32 bytes, ascending.
 */
#ifndef LETHE_JOBS_VERSION_DATA_H
#define LETHE_JOBS_VERSION_DATA_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"
#include "daemon/jobs/task_data.h"
#include "learners/methods/tame/tame_learner.h"

#define VERSION_KIND_LANE       "lane"
#define VERSION_KIND_RIDGE      "ridge"
#define VERSION_KIND_EXPERT     "expert"
#define VERSION_KIND_ROUTER     "router"
#define VERSION_KIND_STREAM     "stream"
#define VERSION_KIND_TOMBSTONES "tombstones"

/* Name of the tombstones of the base's own samples; no task can be called so. */
#define VERSION_ERASED_BASE ":base"

/* Kind of lineage: the file that a component came in. */
#define VERSION_SOURCE_FILE "file"

/* Kind of lineage: the component of the same name from which this one was made by suppression. */
#define VERSION_SOURCE_COMPONENT "component"

/*
 * Owners and classes of job->parent, in the order of its labels, with room for `more` classes of
 * one further owner.  Classes are LIVE or ERASED; the caller marks what the request changes.
 * DATA_LOSS if the labels are not those of the base and of the components.
 */
enum status version_data_classes(const struct base_model *base,
                                 struct job *job,
                                 uint32_t more,
                                 struct fault *f) MUST_CHECK;
/* Adds an owner with its classes, alive; there must be room. */
enum status version_data_add_owner(struct job *job,
                                   const char *kind,
                                   const char *name,
                                   const char *const *classes,
                                   uint32_t n_classes,
                                   uint32_t *ret_owner,
                                   struct fault *f) MUST_CHECK;
/* The component of this kind is a task of its own: a lane, or one of the closed form. */
int version_data_is_task(const char *kind);
/* Room that version_data_parts leaves for components that the request itself brings. */
#define VERSION_DATA_MORE_PARTS 2
/* Whether an owner ("KIND:NAME") is an expert of this stream. */
int version_data_of_stream(const char *owner, const char *stream);
/* Whether both are experts of one stream. */
int version_data_same_stream(const char *a, const char *b);
/* Whether a stream of the version has the class although no expert learned it: in held batches. */
enum status version_data_waits(struct kv_txn *txn,
                               const struct version *v,
                               const char *class_name,
                               int *ret_waits,
                               struct fault *f) MUST_CHECK;
/* The same of one stream's record. */
enum status version_data_record_waits(const void *record,
                                      size_t size,
                                      const char *class_name,
                                      int *ret_waits,
                                      struct fault *f) MUST_CHECK;
/* Head of a stream's record.  NOT_FOUND: the version has no such stream. */
enum status version_data_stream_info(struct kv_txn *txn,
                                     const struct version *v,
                                     const char *stream,
                                     struct tame_learner_info *ret_info,
                                     struct fault *f) MUST_CHECK;
/* Lanes, experts, routers and streams of job->parent into job->parts. */
enum status version_data_parts(struct kv_txn *txn, struct job *job, struct fault *f) MUST_CHECK;
/* Name of the data set that a component of a version was trained on; NULL: none. */
const char *version_data_dataset(const struct version *v, const char *kind, const char *name);
/* Name of the data set that an owner was, or is to be, trained on; NULL: it has none any more. */
const char *version_data_source(const struct job *job, uint32_t owner);
/* A component that came as a file: its data are not here, so it cannot be trained again. */
int version_data_is_imported(const struct version *v, const char *kind, const char *name);
/* "KIND:NAME", as a label names its owner, into its two fields.  DATA_LOSS: it is none. */
enum status
version_data_owner(const char *text, struct job_owner *ret_o, struct fault *f) MUST_CHECK;
/* The same of "KIND:NAME", as a label names its owner. */
int version_data_owner_is_imported(const struct version *v, const char *owner);
/*
 * Appends the images of one owner (not the base).  One that was imported has no data of its own:
 * FAILED_PRECONDITION if it is to be trained on them; test images may be another data set's
 * (task_test.h).
 */
enum status version_data_images(struct kv_txn *txn,
                                const struct base_model *base,
                                uint32_t test_per_class,
                                uint32_t owner,
                                enum task_use use,
                                struct job *job,
                                struct fault *f) MUST_CHECK;
/* The request erases these samples of a task: earlier ones and they join job->tombstones.  `task`
 * may be VERSION_ERASED_BASE. */
enum status version_data_erase(struct kv_txn *txn,
                               struct job *job,
                               const char *task,
                               const struct digest *keys,
                               size_t n,
                               struct fault *f) MUST_CHECK;
/* What the request erases of a task; NULL: nothing. */
const struct job_tombstones *version_data_erasing(const struct job *job, const char *task);
/* Keys that a task must not see: those of earlier requests, and this one's; sysio_free. */
enum status version_data_erased(struct kv_txn *txn,
                                const struct job *job,
                                const char *task,
                                struct digest **ret_keys,
                                size_t *ret_n,
                                struct fault *f) MUST_CHECK;
/* The record of tombstones; sysio_free; NULL: no memory. */
uint8_t *version_data_encode_tombstones(const struct job_tombstones *t, size_t *ret_size);
/* Keys erased from a task so far; sysio_free. */
enum status version_data_tombstones(struct kv_txn *txn,
                                    const struct version *v,
                                    const char *task,
                                    struct digest **ret_keys,
                                    size_t *ret_n,
                                    struct fault *f) MUST_CHECK;

#endif
