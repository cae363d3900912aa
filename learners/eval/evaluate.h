/*
 * Retention evaluation of one candidate: arrays in, report out.  The network is not run here: the
 * caller makes one forward pass over the probe sets and hands over logits and embeddings.
 * Pure function of its inputs: sums in double and in fixed order, bootstrap and support draws from
 * named streams of the given seed, one thread; the same inputs give the same bytes.
 * Metrics and formulas: evaluation.md, sections 2, 3, 6, 7; gslora.md, section 2.
 */
#ifndef LETHE_LEARNERS_EVALUATE_H
#define LETHE_LEARNERS_EVALUATE_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/gate_check.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Answers on one probe set.  All arrays are borrowed and row-major.  n = 0: the set does not exist,
 * and what depends on it is reported as not measured.
 * K outputs = in->n_outputs; C = in->width.  A logit may be -INFINITY (the output does not exist on
 * that path), never NaN or +INFINITY, and each row needs one finite logit.
 */
struct eval_set {
    uint32_t n;
    const uint32_t *labels;     /* [n], 0..K-1; in `reference`: 0..n_reference_classes-1 */
    const float *logits;        /* [n,K], candidate; NULL: only features are given */
    const float *logits_before; /* [n,K], parent version on the same images; NULL: unknown */
    const float *features;      /* [n,C], candidate's final-norm class token; NULL: none */
    struct digest digest;       /* name of the set; zero if none */
    const float *logits_raw;    /* [n,K], candidate under the decision raw; NULL: `logits` */
};

/* D_f along one more path (a lane, an expert). */
struct eval_path {
    const char *name;
    const float *logits; /* [forget.n,K] */
};

/*
 * Images of an owner that gives them several labels.  They are in `retain` or `learned` as well,
 * there once for each live class that they show, with the logits of their other classes -INFINITY.
 */
struct eval_several {
    const char *owner;
    uint32_t n; /* each shows one of the classes at least */
    uint32_t n_classes;
    const uint32_t *classes;    /* [n_classes] outputs; live */
    const uint8_t *hot;         /* [n, n_classes] 0 or 1 */
    const float *scores;        /* [n, n_classes] candidate; rising with the probability, no NaN */
    const float *scores_before; /* parent; NULL: unknown */
    const float *scores_raw;    /* candidate under the decision raw; NULL: `scores` */
    const uint8_t *answered;    /* [n, n_classes] labels that are served, 0 or 1; NULL: unknown */
    int learned;                /* the owner is the task of this EVAL_KIND_LEARN */
};

/* One output. */
struct eval_class {
    const char *label; /* text for the report; borrowed */
    const char *owner; /* "base", a lane, an expert */
    enum eval_class_status status;
};

/* One earlier erasure q and its probe Q_q. */
struct eval_erasure {
    struct request_id request;
    uint32_t n; /* 0: not recheckable */
    const uint32_t *labels;
    const float *logits;        /* [n,K], candidate */
    const float *logits_before; /* [n,K], parent; NULL: unknown */
    const float *logits_raw;    /* [n,K], candidate under the decision raw; NULL: `logits` */
    const float *features;      /* [n,C] or NULL: no prototype recovery */
    double limit;               /* eval_report_relapse_limit when q committed */
    double ncm_then;            /* probe_ncm of q's own report; NaN if unknown */
};

/* The features of one inner place (class token or mean token of a block), for the same images, in
 * the same order, as retain, probe and reference. */
struct eval_block {
    const char *name; /* e.g. "block3.class", cut at EVAL_NAME_SIZE - 1 */
    uint32_t width;
    const float *retain;    /* [retain.n, width] */
    const float *probe;     /* [probe.n, width] */
    const float *reference; /* [reference.n, width]; NULL if there is no reference */
};

struct eval_inputs {
    enum eval_kind kind;
    uint32_t n_outputs;               /* K, 2..EVAL_MAX_CLASSES */
    uint32_t width;                   /* C of every features array; 0 if there are none */
    const struct eval_class *classes; /* [K]; LIVE = alive after this request; at least one */

    struct eval_set forget;    /* D_f: images of this erasure that were used */
    struct eval_set retain;    /* D_r: stratified images of live classes */
    struct eval_set test;      /* D_t: test images of live classes, never used for choice */
    struct eval_set unseen;    /* D_u: never-used images of the classes and source of D_f */
    struct eval_set members;   /* live classes' items that were trained on, for the membership test
                                  on retained data; n = 0: `retain` is taken.  Compared with `test`,
                                  or with `retain` if there is no `test`; only logits are read */
    struct eval_set learned;   /* images of the task that was learned (EVAL_KIND_LEARN) */
    struct eval_set probe;     /* images of the erased classes for the representation probes (D_u if
                                  it is large enough, else D_f); only labels and features are read */
    struct eval_set reference; /* D_n: classes never taught; labels count from 0; features, and
                                  logits for the Streisand figure */
    uint32_t n_reference_classes;
    uint32_t n_reference_taught; /* classes left out of `reference` because they were taught */
    uint8_t unseen_matched;      /* D_u has the same classes and source as D_f */
    uint8_t reference_unseen;    /* D_n is known not to be in the base's training data */

    uint32_t n_paths;
    const struct eval_path *paths;  /* further paths of D_f; forget.logits is the served one */
    const float *forget_ablated;    /* [forget.n,K], this request's delta left out; NULL: none */
    const float *forget_base;       /* [forget.n,K], original base; NULL: none */
    double hinge_bound;             /* BND of the request, for pile-up; 0: no hinge */
    const float *prototypes;        /* [K,C], the base's class means; NULL: no neighbour check */
    const uint8_t *prototype_known; /* [K], 0 for classes without one; NULL: all known */

    uint32_t n_erasures;
    const struct eval_erasure *erasures; /* earlier ones, oldest first */
    uint32_t n_blocks;
    const struct eval_block *blocks;
    uint32_t n_several;
    const struct eval_several *several;

    struct rng_root root;             /* streams "eval_bootstrap", "eval_support" */
    uint32_t bootstrap_draws;         /* 0: 1000 */
    uint32_t ncm_support;             /* 0: 5 */
    uint32_t ncm_draws;               /* 0: 20 */
    const struct gate_limits *limits; /* NULL: defaults */
    uint8_t run_all; /* measure the dear probes even after a required check failed */

    /* Copied into the report. */
    enum eval_outcome outcome;
    double zero_group_ratio;
};

/* Bytes of scratch that evaluate_run takes for these inputs; SIZE_MAX on overflow. */
size_t evaluate_plan(const struct eval_inputs *in);
/* Bytes of `out` (the report's lists). */
size_t evaluate_report_plan(const struct eval_inputs *in);

/*
 * Fills *ret_report; lists are taken from `out`, everything else from `scratch`, which is rewound.
 * ret_report->seconds is 0: the caller sets it (there is no clock here).
 * INVALID_ARGUMENT, naming the set, for labels out of range, NaN logits or features, or no live
 * class; NO_MEMORY if an arena is smaller than planned.  On failure the report is untouched.
 */
enum status evaluate_run(const struct eval_inputs *in,
                         struct arena *out,
                         struct arena *scratch,
                         struct eval_report *ret_report,
                         struct fault *f) MUST_CHECK;

#endif
