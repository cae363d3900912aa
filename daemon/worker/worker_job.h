/*
 * One job inside lethe-worker: memory, thread pool, weights, and the steps of each kind of job.
 * Everything is a pure function of the spec and the base weights; progress goes out through a
 * callback.  One thread drives it; the pool's threads only compute.
 */
#ifndef LETHE_WORKER_WORKER_JOB_H
#define LETHE_WORKER_WORKER_JOB_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/jobs/job_wire.h"
#include "learners/data/images.h"
#include "learners/learner.h"
#include "learners/methods/gslora/delta.h"

#include <stddef.h>
#include <stdint.h>

typedef void worker_progress(void *context, const struct job_progress *p);

struct worker_job {
    struct job_spec spec; /* borrows from the bundle */
    struct pool *pool;
    struct arena arena; /* everything that lives as long as the job */
    void *memory;       /* the arena's block */
    struct arena setup; /* the arena of everything before measuring, which has a block of its own */
    void *measure_memory;
    size_t claimed;    /* bytes of all the job's big blocks, at most spec.memory_max */
    void *list_memory; /* behind the spec's lists */
    struct arena lists;
    uint32_t *rows; /* index lists of a forget job; needed before the arena can be planned */
    struct image_table images; /* all rows of all sets */
    int32_t *base_labels;      /* [images.n] labels as the base's head knows them: others' are 0 */
    uint32_t first_row[JOB_SETS];
    struct vit_weights base;      /* read-only map of the base's memory file */
    struct vit_weights parent;    /* base with all erasures folded in */
    struct vit_weights candidate; /* with the delta that this job made; else the parent */
    struct digest candidate_trunk;
    uint32_t n_deltas;    /* of the parent */
    struct delta *deltas; /* [n_deltas + 1], the last one is the delta just made */
    uint32_t made_delta;  /* 1: it is there */
    const char **labels;  /* [config.classes] names of the base's classes */
    uint32_t n_made;
    struct job_made made[JOB_MAX_MADE]; /* bytes owned */
    struct learner_outcome outcome;     /* of the request's own run */
    struct learner_event *events;       /* what a stream decided; owned */
    uint32_t n_events;
    /* Once a stream has run, what it made of classes, owners and labels: behind those of the spec.
     */
    struct job_class *classes;
    struct job_owner *owners;
    int32_t *own_labels;
    uint64_t *keys; /* [images.n] of streams' samples */
    worker_progress *progress;
    void *progress_context;
    struct job_progress last; /* what was sent last; fields carry over */
    int64_t told_us;          /* when */
    int64_t started_us;
};

/*
 * Runs one job.  `base` are the raw weights (borrowed), `bundle` the encoded spec.  On return
 * *ret_result is filled (also for a failed job: its status and fault), borrowing from *job; call
 * worker_job_fini after it was encoded.
 */
void worker_job_run(struct worker_job *job,
                    const void *base,
                    size_t base_size,
                    const void *bundle,
                    size_t bundle_size,
                    worker_progress *progress,
                    void *progress_context,
                    struct job_result *ret_result);
void worker_job_fini(struct worker_job *job);

/* Sends progress of a phase; carries over what the caller did not set. */
void worker_job_tell(struct worker_job *job, const char *phase, uint32_t step, uint32_t steps);

/* The same with an estimate of the time left, in seconds; negative: unknown. */
void worker_job_tell_left(
    struct worker_job *job, const char *phase, uint32_t step, uint32_t steps, float seconds_left);

/*
 * Every block that a job takes beside its arena counts against the one limit of memory:
 * RESOURCE_EXHAUSTED (field worker_memory_max) if it would be passed.
 */
enum status worker_job_claim(struct worker_job *job,
                             size_t bytes,
                             const char *what,
                             struct fault *f) MUST_CHECK;
void worker_job_release(struct worker_job *job, size_t bytes);

/* A component is changed in place of being trained anew. */
int worker_job_suppresses(const struct worker_job *job);
/*
 * The table that the base's learners may see: every set but the reference, whose labels count for
 * themselves.  Images of other owners are in it, in no list, with label 0.
 */
struct image_table worker_base_images(const struct worker_job *job);
/* Row of a set as an index into job->images. */
uint32_t worker_job_row(const struct worker_job *job, enum job_set_role role, uint32_t i);

/* Calls `add` for each label of image i of a set, ascending by class. */
typedef void worker_label(void *context, uint32_t i, uint32_t class);
void worker_job_labels(const struct job_set *set, worker_label *add, void *context);
/* Whether an image (a row of job->images, not of the reference) shows the class. */
int worker_job_shows(const struct worker_job *job, uint32_t row, uint32_t class);

#endif
