/*
 * A job: one queued request on its way through the worker.  This file turns the stored request and
 * the version that serves into what the worker is given (job_wire.h): where each class stands, the
 * earlier erasures with their deltas and relapse limits, replay memory and probe sets, prototypes,
 * and the method's options.  Everything that the spec borrows is owned by the job.  Core thread
 * only.
 */
#ifndef LETHE_JOBS_FORGET_JOB_H
#define LETHE_JOBS_FORGET_JOB_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/config/config.h"
#include "daemon/jobs/base_data.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/job_wire.h"
#include "daemon/jobs/task_keys.h"
#include "proto/wire.h"
#include "storage/store/store.h"

#include <stdint.h>

#define JOB_KIND_NONE          0
#define JOB_TEXT_KIND_FORGET   "forget"
#define JOB_TEXT_KIND_EVALUATE "evaluate"
#define JOB_TEXT_KIND_LEARN    "learn"
#define JOB_TEXT_KIND_STREAM   "stream"

struct imported;

/* Keys of all samples that were erased from one task so far, this request's among them. */
struct job_tombstones {
    char task[JOB_NAME_SIZE]; /* as version_data.h names it */
    struct digest *keys;      /* [n] ascending */
    size_t n;
};

struct job {
    int kind;                            /* enum job_kind; JOB_KIND_NONE: there is no job */
    struct queue_record record;          /* as of the last move */
    const struct wire_envelope *message; /* the request's payload, decoded */
    struct serving serving;              /* pointer that the candidate is measured against */
    struct digest parent_digest;         /* version that is changed or evaluated */
    struct version *parent;
    struct job_spec spec;
    struct base_sets sets;
    struct dataset *samples;   /* NULL: classes are forgotten */
    struct dataset *new_data;  /* training set of the task that is learned; NULL: none */
    struct imported *imported; /* component that came with the request (imported.h); NULL: none */
    struct job_class *classes;
    struct job_owner *owners;
    struct job_part *parts; /* bytes owned */
    struct job_task *tasks;
    struct job_erasure *erasures;      /* deltas owned */
    struct job_tombstones *tombstones; /* [n_tombstones] that this request adds to; keys owned */
    const char *stream;                /* that the request is about; NULL: none */
    char (*candidates)[JOB_NAME_SIZE]; /* classes that the request may bring to it */
    uint32_t n_candidates;
    uint64_t *erased_keys; /* behind spec.erased_keys */
    size_t n_tombstones;
    struct task_keys *keys; /* of the context; borrowed */
    int pending;            /* started in the store, not yet given to the worker */
    int has_progress;
    struct job_progress progress;
    void *message_memory;
    struct arena message_arena;
    void *prototypes; /* behind spec.prototypes, if they are not the base's */
};

/* What the builder needs besides the request. */
struct job_context {
    const struct config *config;
    struct store *store;
    const struct base_model *base;
    struct task_keys *keys; /* NULL: keys are computed anew for every job */
    uint32_t threads;
};

/*
 * Prepares the job of a queued record.  Draws the replay memory first if it was never drawn.
 * FAILED_PRECONDITION, NOT_FOUND: something that the request names has gone; NO_MEMORY; DATA_LOSS.
 * On failure *ret_job is empty.
 */
enum status job_build(const struct job_context *context,
                      const struct queue_record *record,
                      struct job *ret_job,
                      struct fault *f) MUST_CHECK;
/* Sets attempt and options of the record's parameter step; job->record has been moved. */
enum status
job_build_attempt(const struct job_context *context, struct job *job, struct fault *f) MUST_CHECK;
void job_clear(struct job *job);
/* The job of an erasure, whatever has to be done for it. */
int job_is_forget(const struct job *job);

/*
 * The method's options of a request: the configuration's, then the request's own, then those of
 * parameter step `step` that the request does not set itself.  INVALID_ARGUMENT, NOT_FOUND name
 * the option.
 */
enum status job_options(const struct config *config,
                        const struct wire_forget *forget,
                        uint32_t step,
                        struct job_option options[JOB_MAX_OPTIONS],
                        uint32_t *ret_n,
                        struct fault *f) MUST_CHECK;
/* Further settings that are tried after a failed gate. */
uint32_t job_parameter_steps(void);

/* Root seed of a request: its own, the configuration's, or one that follows from its id. */
uint64_t job_seed(const struct config *config, uint64_t asked, const struct request_id *id);

#endif
