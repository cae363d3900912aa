/* What the files of learners/answer share. */
#ifndef LETHE_LEARNERS_ANSWER_INTERNAL_H
#define LETHE_LEARNERS_ANSWER_INTERNAL_H

#include "learners/answer/answer.h"

#define ANSWER_MAGIC         0x52575341u
#define ANSWER_FORWARD_MAGIC 0x44575341u

/* Components of one kind, which one forward object of their learner answers for. */
enum answer_bank_kind {
    ANSWER_BANK_LANES,
    ANSWER_BANK_EXPERTS,
    ANSWER_BANK_RIDGE,
    ANSWER_BANK_ROUTER /* the last */
};
#define ANSWER_BANKS 4

struct answer_bank {
    const struct learner *learner; /* NULL: the bank is empty */
    uint32_t n;
    struct learner_model **models; /* [n] */
    uint32_t *owners;              /* [n]; not of the router */
};

struct answer {
    uint32_t magic;
    struct learner_trunk trunk;
    uint32_t n_owners;
    struct answer_owner *owners;
    uint32_t n_labels;
    struct answer_label *labels;
    struct answer_bank banks[ANSWER_BANKS];
    uint32_t n_router;
    uint32_t *router; /* [n_router] numbers in the label table, or ANSWER_NONE */
};

/* One bank in a run: the models asked for and where their logits go. */
struct answer_seat {
    const struct learner *learner; /* NULL: nobody of this bank is asked */
    struct learner_forward *forward;
    uint32_t n;
    struct learner_model **models; /* [n] */
    uint32_t *columns;             /* [n] first column of each; of the router: in its own labels */
    uint32_t *widths;              /* [n] labels of each */
    float **logits;                /* [n] of [n_max, width] */
};

struct answer_forward {
    uint32_t magic;
    const struct answer *answer;
    uint32_t n_max;
    struct answer_columns columns;
    uint32_t *labels, *owners, *first; /* behind `columns` */
    enum answer_decision decision;
    struct vit_batch *batch;
    struct answer_seat seats[ANSWER_BANKS];
    struct learner_watch watches[ANSWER_BANKS];
    uint32_t n_watches;
    int base;          /* the base is asked for; its columns are the first */
    float *embeddings; /* [n_max, C], NULL: not computed */
    float *taps;       /* [n_max, L, 2, C] */
    float *logits;     /* [n_max, K] of the base head; NULL: it writes `raw` itself */
    float *raw;        /* [n_max, W] */
    float *routed;     /* [n_max, W]; NULL: it is `raw` */
    float *beliefs;    /* [n_max, O] */
    double *sums;      /* [O] log S of one image */
    double *opinions;  /* [W] what is added to the logits of one image */
    float *router;     /* [n_max, R]; NULL: the router is not asked */
    uint32_t *chosen;  /* [n_max] */
};

/* From `raw` and the router's logits to beliefs, routed scores and the owner chosen. */
void answer_scores_fill(struct answer_forward *w, uint32_t n);

#endif
