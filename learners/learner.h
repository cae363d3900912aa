/*
 * What every learner is to the rest of lethe: one table of functions a method.  A learner turns
 * images of classes into a *component* (an erasure delta, a lane, an expert, a router) over a
 * frozen trunk, answers with it, and says what must happen to it when data are to be forgotten.
 *
 * Adding a learner is one folder learners/methods/NAME with a table `learner_NAME`, and one line in
 * learners/learners.def; docs/learners.md walks through an example.  Nothing here allocates, opens
 * files or reads a clock: memory comes from the caller's arena, as much as the plan says, and the
 * same problem gives the same bytes for any number of threads.
 */
#ifndef LETHE_LEARNERS_LEARNER_H
#define LETHE_LEARNERS_LEARNER_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"
#include "learners/math/pool.h"
#include "learners/vit/vit.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LEARNER_NAME_SIZE 64
#define LEARNER_PARTS     128 /* most components that one run makes or changes */

/* ------------------------------------------------------------------ what a learner works on */

/* The frozen network under every component: the base with all erasures folded in. */
struct learner_trunk {
    struct vit_config config;
    const struct vit_weights *weights;
    const char *const *labels;   /* [K] names of the base head's outputs */
    struct digest base;          /* the base model */
    struct digest state;         /* base and erasures: what `weights` are */
    struct digest preprocessing; /* how pictures become images */
};

/* A stored component; borrowed. */
struct learner_part {
    const char *kind; /* "erasure", "lane", "expert", "router", ... */
    const char *name; /* unique within its kind */
    const void *bytes;
    size_t size;
    struct digest digest;
};

struct learner_option {
    const char *name;
    const char *value;
};

/*
 * Rows of the problem's images.  A learner that erases keeps TRAIN and VALID and erases the FORGET
 * lists; one that learns uses TRAIN and VALID only.  VALID is disjoint from TRAIN and every choice
 * is made on it; empty: nothing is validated.
 */
enum learner_list { LEARNER_TRAIN, LEARNER_VALID, LEARNER_FORGET, LEARNER_FORGET_VALID };
#define LEARNER_LISTS 4

struct learner_rows {
    const uint32_t *rows;
    uint32_t n;
};

/* One run.  Everything is borrowed and unchanged while it lasts. */
struct learner_problem {
    struct learner_trunk trunk;
    struct request_id request; /* with `seed` the root of all random streams */
    uint64_t seed;
    const char *name;          /* of the component to be made */
    struct image_table images; /* labels index `classes` */
    const uint8_t *hot;   /* [images.n, n_classes], 1: the image has the class; NULL: one label */
    const uint64_t *keys; /* [images.n] keyed hash of each sample's id; NULL: none */
    uint32_t n_classes;
    const char *const *classes; /* names */
    struct learner_rows lists[LEARNER_LISTS];
    int samples;                      /* 1: FORGET holds single images whose classes stay alive */
    const float *prototypes;          /* [n_classes, C] class means on the base; NULL: none */
    const uint64_t *prototype_counts; /* [n_classes] */
    struct digest memory;             /* name of the lists in lineage */
    struct digest prototype_digest;
    const struct learner_part *parts; /* components that the run continues or starts from */
    uint32_t n_parts;
    const struct learner_option *options;
    uint32_t n_options;
    /*
     * For learners whose runs forget exactly by themselves (streams of experts): what is to go, or,
     * where a run learns, what was forgotten and must not be learned again.  NULL: nothing.
     */
    const struct learner_erasure *erasure;
};

struct learner_tools {
    struct pool *pool;
    struct arena *arena;      /* `plan` bytes must be free; what the run makes stays in it */
    const atomic_int *cancel; /* non-zero: the next step gives CANCELLED; NULL: never */
};

/* ------------------------------------------------------------------ a run */

/* Where a run stands after a step.  Values that a learner does not have are NaN. */
struct learner_progress {
    uint32_t epoch, epochs;
    uint32_t step, steps; /* of the whole run if it does not stop early */
    float loss;
    float loss_retain, loss_forget, loss_depth; /* parts of an erasure's loss */
    float acc_forget, acc_retain;               /* validation, erasure */
    float acc_valid; /* validation accuracy; several labels: right decisions */
    uint32_t n_groups;
    const float *group_norms; /* [n_groups], 0: a zero group; NULL: no groups */
    int done;                 /* no further step */
};

#define LEARNER_EVENTS 256 /* most events of an outcome; the newest are kept */

/*
 * What a stream decided on one batch: a switch to another expert, a new expert, or, always the last
 * one, the run's last batch.  Names are empty where there is no expert; losses that were not
 * computed are NaN.
 */
struct learner_event {
    uint64_t batch;                 /* number in the stream, from 0 */
    char expert[LEARNER_NAME_SIZE]; /* active after it */
    char from[LEARNER_NAME_SIZE];   /* active before it */
    double loss, smoothed, threshold;
    int switched, created;
    /* samples of the batch; in the last event, those of the whole run */
    uint32_t offered, trained, reserved, tombstoned, held, quarantined;
};

/* How a finished run ended. */
struct learner_outcome {
    const char *text; /* e.g. "target met"; constant */
    int target_met;   /* validation targets of the learner's own: 1, 0, or -1: not validated */
    uint32_t groups_total, groups_zero;
    const struct learner_event *events; /* oldest first, in the run's arena; NULL: none */
    uint32_t n_events;
};

/* Each learner has its own; begin yours with a pointer to its table. */
struct learner_run;

/* ------------------------------------------------------------------ answering */

struct learner_model;
struct learner_forward;

/* What a learner wants to see of the frozen stream (struct vit_output); observer NULL: nothing. */
struct learner_watch {
    vit_observer *observer;
    void *context;
};

/* The frozen stream's answers on a batch, from one vit_forward; any pointer may be NULL. */
struct learner_stream {
    uint32_t n;
    const float *const *images; /* [n] as the trunk read them */
    const float *embeddings;    /* [n, C] */
    const float *taps;          /* [n, L, 2, C] */
    const float *logits;        /* [n, K] of the base head */
};

/* ------------------------------------------------------------------ lineage and erasure */

/* One thing a component was computed from. */
struct learner_source {
    char kind[16]; /* "dataset", "memory", "component", "version", "request" */
    char name[LEARNER_NAME_SIZE];
    struct digest digest; /* zero if it has none */
};

/* What is to be forgotten; the members that do not apply are empty. */
struct learner_erasure {
    const char *component;      /* the whole component of this name */
    const char *const *classes; /* classes of it */
    uint32_t n_classes;
    const uint64_t *keys; /* samples, ascending */
    uint32_t n_keys;
    const struct digest *sources; /* data sets or components that disappear */
    uint32_t n_sources;
};

/* What an exact erasure does to one component. */
enum learner_fate {
    LEARNER_UNAFFECTED, /* nothing of it descends from the data: it stays as it is, to the byte */
    LEARNER_DESTROY,    /* it holds nothing else */
    LEARNER_RETRAIN,    /* train it again from its own seed without the data */
    LEARNER_SUPPRESS    /* no exact way: the data are in weights that others share */
};

/* ------------------------------------------------------------------ the table */

struct learner {
    const char *name; /* folder below learners/methods */
    const char *kind; /* of the component that a run makes */
    const char *text; /* one line for people */

    /* Arena bytes of a run with this many threads; SIZE_MAX: invalid or too large. */
    size_t (*plan)(const struct learner_problem *p, uint32_t threads);
    /*
     * Checks the problem and sets the run up.  INVALID_ARGUMENT, NOT_FOUND (an option or a class),
     * FAILED_PRECONDITION (data missing), NO_MEMORY (less than the plan); then the arena is as it
     * was.
     */
    enum status (*init)(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f);
    /* One optimiser step, or one batch of a closed-form learner.  CANCELLED. */
    enum status (*step)(struct learner_run *run,
                        struct learner_progress *ret_progress,
                        struct fault *f);
    /*
     * After the last step: exact bytes of the components made or changed (at most LEARNER_PARTS;
     * the first is the one that the problem names), in the run's arena, and how the run ended.  A
     * component without bytes (NULL, 0) is no more.  `digest` is left to the caller.
     */
    enum status (*export)(struct learner_run *run,
                          struct learner_part ret_parts[LEARNER_PARTS],
                          uint32_t *ret_n,
                          struct learner_outcome *ret_outcome,
                          struct fault *f);

    /* Arena bytes of import. */
    size_t (*import_plan)(const struct learner_part *part, const struct learner_trunk *trunk);
    /*
     * Reads a component made for this trunk.  BAD_FORMAT, FAILED_PRECONDITION (another base, other
     * sizes, another preprocessing), NO_MEMORY.  Borrows nothing from `part`.
     */
    enum status (*import)(const struct learner_part *part,
                          const struct learner_trunk *trunk,
                          struct arena *arena,
                          struct learner_model **ret_model,
                          struct fault *f);

    /*
     * For a kind whose components answer together only, as a router's terms do (NULL: each answers
     * for itself): reads all of them into one model, once a version.  `parts` are all that the
     * version has, at least one of this kind among them; other kinds are passed over.  What is
     * costly and the same for every image, such as solving for weights, belongs here and not in
     * forward_new.  The model's labels are OWNER 0x1f CLASS, OWNER being "base", "lane:NAME" or
     * "expert:NAME", and the softmax of its logits is how far it believes each; a logit of 0
     * says nothing about its label, a higher one speaks for it.  join_plan gives
     * the bytes of tools->arena, which keeps the model, and in *ret_scratch those of `scratch`,
     * which is needed during the call only.  The errors of import.  Borrows nothing from the parts.
     */
    size_t (*join_plan)(const struct learner_part *parts,
                        uint32_t n_parts,
                        const struct learner_trunk *trunk,
                        uint32_t threads,
                        size_t *ret_scratch);
    enum status (*join)(const struct learner_part *parts,
                        uint32_t n_parts,
                        const struct learner_trunk *trunk,
                        const struct learner_tools *tools,
                        struct arena *scratch,
                        struct learner_model **ret_model,
                        struct fault *f);

    /*
     * Answers of several components of this kind on a batch of at most n_max images.  The frozen
     * stream runs once for everybody, with the `watch` of every learner called on each block; then
     * `forward` gives the logits.  logits[m] is [n, labels of model m].  A logit
     * depends on its image, the trunk and its own component alone, to the bit.
     */
    size_t (*forward_plan)(struct learner_model *const *models,
                           uint32_t n_models,
                           const struct learner_trunk *trunk,
                           uint32_t n_max,
                           uint32_t threads);
    enum status (*forward_new)(struct learner_model *const *models,
                               uint32_t n_models,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               const struct learner_tools *tools,
                               struct learner_forward **ret_forward,
                               struct fault *f);
    struct learner_watch (*watch)(struct learner_forward *forward);
    void (*forward)(struct learner_forward *forward,
                    const struct learner_stream *stream,
                    float *const *logits);

    /* Names of the labels that a model answers with; borrowed from it. */
    uint32_t (*labels)(const struct learner_model *model, const char *const **ret_names);
    /*
     * For images with several labels: the label is present where the sigmoid of its logit is above
     * this.  Negative: an image has one label.  The member may be NULL: one label always.
     */
    float (*threshold)(const struct learner_model *model, uint32_t label);
    /* Fills at most `max` rows; returns how many there are. */
    uint32_t (*lineage)(const struct learner_model *model,
                        struct learner_source *ret_list,
                        uint32_t max);
    enum learner_fate (*erase)(const struct learner_model *model,
                               const struct learner_erasure *erasure);
};

#define LEARNER(name) extern const struct learner learner_##name;
#include "learners/learners.def"
#undef LEARNER

/* The learners of learners.def, in its order. */
size_t learner_count(void);
const struct learner *learner_at(size_t i);
/* By folder name, or by kind of component; NULL: there is none. */
const struct learner *learner_find(const char *name);
const struct learner *learner_of_kind(const char *kind);
/*
 * An expert of a stream is called STREAM.K, K its number: the length of STREAM in such a name, 0 if
 * it is none.
 */
size_t learner_stream_length(const char *expert);
/* Value of an option of the problem; NULL: not given. */
const char *learner_option(const struct learner_problem *p, const char *name);
/* A run's place, with everything that is measured NaN, no groups and not done. */
struct learner_progress
learner_progress_at(uint32_t epoch, uint32_t epochs, uint32_t step, uint32_t steps);
/* Copies those of rows [n] that have a digest, at most `max` of them; returns how many there are.
 */
uint32_t learner_sources(const struct learner_source *rows,
                         size_t n,
                         struct learner_source *ret_list,
                         uint32_t max);

#endif
