/*
 * Retention report: what was measured for one candidate version, and the gate's verdicts.  A plain
 * struct: scalars by value, lists in an arena of the caller (borrowed; they live as long as the
 * arena).  Encoding is deterministic: the same report gives the same bytes.
 *
 * Layout of the encoded form (little endian, bytes.h): "LRPT", u16 format, fixed scalars, the
 * metrics in the order of eval_metrics.def (f64 value, lo, hi, u32 n), then the lists, each with a
 * u32 count.  A reader refuses unknown formats, counts over the limits below, unknown enum numbers,
 * truncation and trailing bytes.
 */
#ifndef LETHE_LEARNERS_EVAL_REPORT_H
#define LETHE_LEARNERS_EVAL_REPORT_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"

#include <stddef.h>
#include <stdint.h>

#define EVAL_REPORT_FORMAT     3
#define EVAL_LABEL_SIZE        128 /* with the NUL; longer labels are cut */
#define EVAL_OWNER_SIZE        64
#define EVAL_NAME_SIZE         24
#define EVAL_MAX_CLASSES       65536u
#define EVAL_MAX_RELAPSE       65536u
#define EVAL_MAX_BLOCKS        512u
#define EVAL_MAX_SEVERAL       4096u
#define EVAL_MAX_SETS          8u
#define EVAL_NEIGHBOURS        3
#define EVAL_MIN_CLASS_IMAGES  30 /* fewer on D_r: the class is NOT_RESOLVABLE */
#define EVAL_MIN_REFERENCES    3  /* fewer reference classes: no gap is reported */
#define EVAL_REPORT_MAX_CHECKS (GATE_CHECK_COUNT + EVAL_MAX_RELAPSE)

enum eval_kind {
    EVAL_KIND_FORGET_CLASSES,
    EVAL_KIND_FORGET_SAMPLES, /* the classes stay alive; acc_forget is judged against D_u */
    EVAL_KIND_LEARN,
    EVAL_KIND_RECHECK /* nothing was changed on purpose: `lethe evaluate`, rollback, export */
};
#define EVAL_KIND_COUNT 4

/* How the learner ended (gslora.md, 3.6); set by the caller. */
enum eval_outcome {
    EVAL_OUTCOME_NONE,
    EVAL_OUTCOME_TARGET_MET,
    EVAL_OUTCOME_TARGET_NOT_MET,
    EVAL_OUTCOME_NOT_VALIDATED,
    EVAL_OUTCOME_ALL_GROUPS_ZERO
};
#define EVAL_OUTCOME_COUNT 5

enum eval_class_status { EVAL_CLASS_LIVE, EVAL_CLASS_FORGETTING, EVAL_CLASS_FORGOTTEN };
#define EVAL_CLASS_STATUS_COUNT 3

/* One class.  Images: D_r for live classes (the learned set for those just learned), D_f for those
 * being erased, the probe of the erasure for those erased before.  Accuracy over live labels for
 * live classes, over all outputs for the others.  An image with several labels counts once for each
 * of them: it is answered right for one if no class that the image does not show ranks higher. */
struct eval_class_row {
    char label[EVAL_LABEL_SIZE];
    char owner[EVAL_OWNER_SIZE];
    enum eval_class_status status;
    uint32_t n;
    uint32_t n_before;     /* images with a stored answer of the parent: n or 0 */
    struct eval_value acc; /* Wilson */
    struct eval_value acc_before;
    struct eval_value loss;       /* acc_before - acc, paired */
    struct eval_value acc_raw;    /* acc under the decision `raw`; Wilson */
    uint8_t several;              /* 1: live class of an owner whose images have several labels */
    double ap, ap_before, ap_raw; /* then its average precision; NaN if unknown */
};

/* An owner whose images have several labels. */
struct eval_several_row {
    char owner[EVAL_OWNER_SIZE];
    uint32_t n;            /* images with one of its live classes */
    uint32_t n_classes;    /* of these, with an image */
    struct eval_value map; /* mean AP over them; bootstrap */
    struct eval_value map_before;
    struct eval_value map_raw;
    struct eval_value of1;         /* of the labels that are served; bootstrap; absent if unknown */
    struct eval_value cf1_mean_f1; /* mean of the classes' F1 */
    struct eval_value cf1_literature; /* harmonic mean of the classes' mean precision and recall */
};

/* One earlier erasure. */
struct eval_relapse_row {
    struct request_id request;
    uint8_t recheckable;   /* 0: no probe (probe = none, expired, or not submitted) */
    struct eval_value acc; /* over all outputs; Wilson */
    double limit;          /* stored when that erasure committed */
    struct eval_value ncm; /* prototype recovery now */
    double ncm_then;       /* at its completion; NaN if unknown */
};

/* Probes on one feature space: a block's class token or mean token. */
struct eval_block_row {
    char name[EVAL_NAME_SIZE];
    struct eval_value ncm;
    struct eval_value ridge;
    struct eval_value reference_ncm;
    struct eval_value reference_ridge;
};

/* The probe sets that were used. */
struct eval_set_row {
    char name[EVAL_NAME_SIZE];
    uint32_t n;
    struct digest digest; /* zero if the caller named none */
};

struct eval_report {
    enum eval_kind kind;
    enum eval_outcome outcome;
    uint64_t seed;               /* of the bootstrap and the support draws */
    uint32_t n_outputs;          /* K */
    uint32_t n_live;             /* C */
    uint32_t n_eval;             /* images behind the report, all sets */
    uint32_t n_path;             /* paths along which D_f was measured */
    uint32_t n_class_too_small;  /* live classes with fewer than EVAL_MIN_CLASS_IMAGES images */
    uint32_t n_reference;        /* reference classes used */
    uint8_t mia_matched;         /* D_u has the classes and the source of D_f */
    uint8_t reference_unseen;    /* D_n is known never to have been taught (never_in_base) */
    uint32_t n_reference_taught; /* classes left out of D_n because they were learned since */
    double seconds;              /* set by the caller; part of the encoded form */
    double zero_group_ratio;     /* set by the caller; NaN if there are no groups */
    double ks_p;                 /* p-value of ks; reported, never gated */
    double ridge_lambda;         /* of the first erased class' probe */
    double ncm_min;              /* range of prototype recovery over the draws */
    double ncm_max;
    uint32_t ncm_support; /* k */
    uint32_t ncm_draws;
    uint32_t worst_class;                /* class index behind acc_retain_worst; K if none */
    uint32_t worst_loss_class;           /* class index behind retain_loss_worst; K if none */
    uint32_t neighbour[EVAL_NEIGHBOURS]; /* class indices; K where there are fewer */

#define X(name, text) struct eval_value name;
#include "learners/eval/eval_metrics.def"
#undef X

    uint32_t n_sets;
    struct eval_set_row sets[EVAL_MAX_SETS];
    uint32_t n_classes;
    struct eval_class_row *classes; /* [n_classes], by class index */
    uint32_t n_relapse;
    struct eval_relapse_row *relapse; /* [n_relapse] */
    uint32_t n_blocks;
    struct eval_block_row *blocks; /* [n_blocks] */
    uint32_t n_several;
    struct eval_several_row *several; /* [n_several] */
    uint32_t n_checks;
    struct gate_check *checks; /* [n_checks] */
    struct gate_result gate;
};

/* A value that was not measured: NaN three times, n = 0. */
struct eval_value eval_report_absent(void);
/* Empty report: every metric absent, no lists, outcome NONE. */
void eval_report_init(struct eval_report *r);

/* Number of metrics, their names and values in the order of eval_metrics.def. */
uint32_t eval_report_metric_count(void);
const char *eval_report_metric_name(uint32_t i);
const char *eval_report_metric_text(uint32_t i);
const struct eval_value *eval_report_metric(const struct eval_report *r, uint32_t i);

/* "forget_classes", ...; "target_met", ...; "live", "forgetting", "forgotten". */
const char *eval_report_kind_name(enum eval_kind kind);
const char *eval_report_outcome_name(enum eval_outcome outcome);
const char *eval_report_class_status_name(enum eval_class_status status);

/*
 * The limit to store when this erasure commits, against which its relapse is judged later: the
 * upper end of acc_forget now, plus margin (0.05 by default: limits->at[GATE_CHECK_RELAPSE]).
 * NaN if acc_forget was not measured.
 */
double eval_report_relapse_limit(const struct eval_report *r, double margin);

/* Bytes that eval_report_encode will write. */
size_t eval_report_encoded_size(const struct eval_report *r);
/* Writes exactly that many bytes; NO_SPACE if size is smaller. */
enum status eval_report_encode(const struct eval_report *r,
                               void *bytes,
                               size_t size,
                               struct fault *f) MUST_CHECK;
/*
 * Fills *ret_report, lists from `out`.  BAD_FORMAT for anything that eval_report_encode does not
 * write, NO_MEMORY if the arena is exhausted; the report is untouched and the arena rewound then.
 * An arena of eval_report_decode_plan(bytes, size) bytes always suffices (0: malformed).
 */
enum status eval_report_decode(const void *bytes,
                               size_t size,
                               struct arena *out,
                               struct eval_report *ret_report,
                               struct fault *f) MUST_CHECK;
size_t eval_report_decode_plan(const void *bytes, size_t size);

#endif
