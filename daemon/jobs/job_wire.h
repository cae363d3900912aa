/*
 * What lethed hands to lethe-worker and gets back: one job, as one sealed memory file, and one
 * result, as another.  Nothing here names a file, a key or a client.
 *
 * Control messages on the socket pair are datagrams (SOCK_SEQPACKET) of at most JOB_MESSAGE_MAX
 * bytes, a type byte first:
 *   daemon -> worker   'J' job: two descriptors are attached, base weights and job bundle
 *   worker -> daemon   'P' progress (job_progress_encode), at least every JOB_TICK_MS
 *                      'D' done: one descriptor is attached, the sealed result bundle
 *                      'R' ready for a job
 * A cancel is a SIGTERM, then a SIGKILL: a worker has no side effects.
 *
 * The base weights are a sealed memory file of raw float32 in vit_weights order, made once a base,
 * shared by all jobs and by the daemon's own served model.  The bundle is a little-endian record
 * (daemon/base/bytes.h) whose big arrays are aligned to 64 bytes; decoded structs borrow from it.
 * In a decoded spec the sets' pixels lie behind each other in the order of enum job_set_role, and
 * so do their labels: sets[0].pixels is one table of all rows.
 */
#ifndef LETHE_JOBS_JOB_WIRE_H
#define LETHE_JOBS_JOB_WIRE_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/learner.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define JOB_MESSAGE_MAX  4096
#define JOB_TICK_MS      1000
#define JOB_NAME_SIZE    64
#define JOB_KIND_SIZE    16
#define JOB_MAX_OPTIONS  64
#define JOB_MAX_ERASURES 1024
#define JOB_MAX_OWNERS   1024
#define JOB_MAX_PARTS    2048
#define JOB_MAX_TASKS    1024
#define JOB_MAX_MADE     512 /* components that one job makes */

enum job_kind {
    JOB_FORGET = 1,   /* train a delta, then measure the candidate */
    JOB_EVALUATE = 2, /* measure the version that the erasures describe */
    JOB_PREPARE = 3,  /* prototypes of the base from its training memory, and its first report */
    JOB_CHANGE = 4    /* run the tasks, drop what is to be dropped, then measure the candidate */
};

/* Who answers with which classes.  Owner 0 is the base. */
struct job_owner {
    char kind[JOB_KIND_SIZE]; /* "base", or the component's kind: "lane", "ridge", "expert" */
    char name[JOB_NAME_SIZE];
    uint32_t several; /* 1: its images have several labels each */
};

/* "base", or "KIND:NAME", as labels, reports and router terms name an owner. */
#define JOB_OWNER_TEXT_SIZE (JOB_KIND_SIZE + JOB_NAME_SIZE)
void job_owner_text(const struct job_owner *owner, char text[JOB_OWNER_TEXT_SIZE]);
/* Components of this kind take part in answers: lanes, experts, router terms. */
int job_kind_answers(const char *kind);
/*
 * Whether an owner stands for a stream: an expert of it, or the stream itself, which owns classes
 * that no expert has yet (kind "stream", during a job only).
 */
int job_owner_of_stream(const struct job_owner *owner, const char *stream);

/* A stored component that is measured with, continued or replaced. */
struct job_part {
    char kind[JOB_KIND_SIZE];
    char name[JOB_NAME_SIZE];
    struct digest digest;
    size_t size;
    const uint8_t *bytes;
    int dropped; /* the parent has it, the candidate does not */
    /*
     * The candidate has it, the parent does not: it came with the request.  Dropped as well:
     * neither has it, it is what a task is about.
     */
    int brought;
    int imported; /* something that it descends from came as a file: not all its data are here */
};

struct job_option {
    char name[32];
    char value[64];
};

/*
 * One run of a learner (learners/learner.h) on the images of one owner's classes, from the sets
 * JOB_SET_TASK_TRAIN and JOB_SET_TASK_VALIDATION.  Root and seed are those of the request that
 * first made the component, so that a run without some of the data is the run that never had them.
 */
struct job_task {
    char learner[32];
    char name[JOB_NAME_SIZE]; /* of the component */
    uint32_t owner;
    struct request_id root;
    uint64_t seed;
    int carried; /* 1: nothing is run; the owner's router terms are carried over to the new trunk */
    /*
     * 1: nothing is trained anew: in the component as it is, the owner's classes FORGET_NOW, or its
     * images in JOB_SET_SAMPLES, are suppressed (GS-LoRA++; mode fast).  Root and seed are still
     * the component's own; the run's random streams are keyed by the job's request and seed.
     */
    int suppress;
    int only_if_worse; /* 1: a refit, done if the owner lost more than the limit on the new trunk */
    uint32_t first, n; /* stream: rows of TASK_TRAIN that are pushed, in the order of the stream */
    uint32_t erased_first, n_erased; /* stream: samples to forget, or not to learn: erased_keys */
    uint32_t n_options;
    struct job_option options[JOB_MAX_OPTIONS];
};

/* Where a class stands in this job: index into spec.erasures for classes erased earlier. */
enum job_class_status { JOB_CLASS_LIVE, JOB_CLASS_FORGET_NOW, JOB_CLASS_ERASED, JOB_CLASS_MISSING };

struct job_class {
    char name[JOB_NAME_SIZE];
    enum job_class_status status;
    uint32_t erasure; /* JOB_CLASS_ERASED: which entry of erasures[] */
    uint32_t owner;   /* which entry of owners[]; the base's classes come first */
    uint32_t fresh;   /* 1: the request brings it; the parent has no such class */
};

/*
 * An earlier erasure, oldest first: its delta and what the relapse sweep needs.  An erasure that
 * destroyed or retrained components has no delta.
 */
struct job_erasure {
    struct request_id request;
    struct digest digest; /* of the delta */
    const uint8_t *delta; /* learners/methods/gslora/delta.h record; NULL: none */
    size_t delta_size;    /* 0: none */
    double relapse_limit; /* upper end of its accuracy when it committed, plus the tolerance */
    double ncm_then;      /* its prototype recovery when it committed; NaN: unknown */
    int recheckable;      /* 0: its probes are gone; listed as not_recheckable */
};

/* A set of images of one size, u8 [n, H, W, C], with labels that index spec.classes. */
enum job_set_role {
    JOB_SET_MEMORY_TRAIN,      /* replay memory of the live classes, and of those to forget */
    JOB_SET_MEMORY_VALIDATION, /* disjoint from the above; every choice is made on it */
    JOB_SET_TEST,              /* fixed stratified part of the test split; the report only */
    JOB_SET_SAMPLES,           /* forget --samples: the items themselves */
    JOB_SET_TASK_TRAIN,        /* images of lanes and experts that the tasks train on */
    JOB_SET_TASK_VALIDATION,   /* disjoint from them */
    JOB_SET_REFERENCE,         /* classes never taught to this base; labels 0..n_reference-1 */
    JOB_SETS
};

/* A further label of an image, of the same owner as its first. */
struct job_label {
    uint32_t row, class;
};

struct job_set {
    uint32_t n;
    const uint8_t *pixels; /* [n, H, W, C] */
    const int32_t *labels; /* [n] the first label of each */
    uint32_t n_more;
    const struct job_label *more; /* [n_more] ascending by row, then class */
    struct digest digest; /* of the data set's content and the row numbers: cited in reports */
};

struct job_spec {
    enum job_kind kind;
    struct request_id request;
    struct digest base;
    uint64_t seed;
    uint32_t attempt;
    uint32_t threads;
    uint64_t memory_max; /* bytes that the worker may plan for */
    struct vit_config config;
    float mean[3], std[3];           /* pixel p becomes (p/255 - mean) / std, per channel */
    uint32_t n_classes;              /* of all owners; the first config.classes are the base's */
    const struct job_class *classes; /* [n_classes] */
    uint32_t n_owners;
    const struct job_owner *owners;
    uint32_t n_parts;
    const struct job_part *parts; /* lanes, experts, routers, streams of the parent; no erasures */
    uint32_t n_tasks;
    const struct job_task *tasks;
    uint32_t learned; /* owner that the request teaches; 0: none */
    /*
     * Of streams: the keyed hash of each row of TASK_TRAIN (0: of no stream); keys of samples to
     * which tasks refer, ascending within each task; and an expert to be forgotten ("": none).
     */
    const uint64_t *task_keys; /* [sets[JOB_SET_TASK_TRAIN].n]; NULL: there are no streams */
    uint32_t n_erased_keys;
    const uint64_t *erased_keys;
    char erased_expert[JOB_NAME_SIZE];
    uint32_t unmeasured; /* 1: nothing will be kept, so nothing is measured */
    struct digest preprocessing;
    struct digest trunk; /* state of the parent's trunk: base and erasures */
    uint32_t n_erasures;
    const struct job_erasure *erasures;
    const float
        *prototypes; /* [K, C] of the base's classes, NULL: the worker computes and returns them */
    const uint64_t *prototype_counts; /* [K] */
    struct digest memory_digest;
    struct digest prototype_digest;
    struct job_set sets[JOB_SETS];
    struct gate_limits limits;
    uint32_t reference_taught; /* classes that left JOB_SET_REFERENCE: they were learned since */
    uint32_t n_options;
    struct job_option options[JOB_MAX_OPTIONS];
};

/* Whether image `row` of a set has the class, as its first label or a further one. */
int job_set_has(const struct job_set *set, uint32_t row, uint32_t class);

/* A component that the job made; without bytes it is one that is no more. */
struct job_made {
    char kind[JOB_KIND_SIZE];
    char name[JOB_NAME_SIZE];
    const uint8_t *bytes;
    size_t size;
    uint32_t groups_total, groups_zero;
};

/* What comes back.  Pointers borrow from the result bundle. */
struct job_result {
    struct request_id request;
    enum status status; /* STATUS_OK: the rest is there */
    struct fault fault;
    uint32_t n_made;
    struct job_made made[JOB_MAX_MADE]; /* JOB_FORGET: the delta first */
    const float *prototypes;            /* if they were missing: [K, C] and [K] */
    const uint64_t *prototype_counts;
    uint32_t n_events; /* what a stream decided; 0: it is about no stream */
    const struct learner_event *events;
    const uint8_t *report; /* learners/eval/eval_report.h record, gate verdicts included */
    size_t report_size;
    char kernel[32]; /* BLAS kernel name */
    uint32_t threads;
    double seconds;
};

/* Progress of the running job; the fields of the wire's Progress message. */
struct job_progress {
    char phase[16]; /* prepare | train | evaluate */
    uint32_t epoch, epochs, step, steps;
    float loss, loss_retain, loss_forget, loss_depth;
    float acc_forget, acc_retain; /* validation; negative: not measured yet */
    float acc_valid;              /* the same of what is learned */
    uint32_t n_groups;
    float group_norms[VIT_MAX_DEPTH];
    float seconds_left; /* negative: unknown */
};

/* Bytes that the encoded spec or result takes; then writes it.  `size` must be what was planned. */
size_t job_spec_plan(const struct job_spec *spec);
void job_spec_encode(const struct job_spec *spec, void *to, size_t size);
/* Borrows from `bytes`; lists come from the arena.  BAD_FORMAT names the field. */
enum status job_spec_decode(const void *bytes,
                            size_t size,
                            struct arena *arena,
                            struct job_spec *ret_spec,
                            struct fault *f) MUST_CHECK;

size_t job_result_plan(const struct job_result *result, const struct vit_config *config);
void job_result_encode(const struct job_result *result,
                       const struct vit_config *config,
                       void *to,
                       size_t size);
enum status job_result_decode(const void *bytes,
                              size_t size,
                              const struct vit_config *config,
                              struct job_result *ret_result,
                              struct fault *f) MUST_CHECK;

size_t job_progress_encode(const struct job_progress *p, void *to, size_t size);
enum status
job_progress_decode(const void *bytes, size_t size, struct job_progress *ret_p) MUST_CHECK;

/* Sealed memory file: create with content, or map one that was received (seals are checked). */
enum status job_memory_create(
    const char *name, size_t size, int *ret_fd, void **ret_map, struct fault *f) MUST_CHECK;
/* Unmaps nothing; adds F_SEAL_WRITE|SHRINK|GROW|SEAL after the writable map was dropped. */
enum status job_memory_seal(int fd, void *map, size_t size, struct fault *f) MUST_CHECK;
enum status
job_memory_map(int fd, const void **ret_map, size_t *ret_size, struct fault *f) MUST_CHECK;

/* One datagram with up to two descriptors; received descriptors are close-on-exec. */
enum status job_send(int socket, const void *bytes, size_t n, const int *fds, size_t n_fds);
/* UNAVAILABLE: the peer is gone.  *ret_n is the length, *ret_n_fds the number of descriptors. */
enum status
job_receive(int socket, void *bytes, size_t size, size_t *ret_n, int fds[2], size_t *ret_n_fds);

#endif
