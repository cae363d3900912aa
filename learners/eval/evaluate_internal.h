/*
 * What the parts of the evaluation share; for evaluate*.c only.
 *   evaluate.c           order of work, plans, class rows
 *   evaluate_inputs.c    refusal of bad inputs
 *   evaluate_answers.c   what follows from logits
 *   evaluate_several.c   images with several labels
 *   evaluate_features.c  what follows from features
 */
#ifndef LETHE_LEARNERS_EVALUATE_INTERNAL_H
#define LETHE_LEARNERS_EVALUATE_INTERNAL_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/evaluate.h"

#include <stddef.h>
#include <stdint.h>

#define EVALUATE_DRAWS 1000 /* of the bootstrap, unless the inputs say otherwise */

struct evaluate_work {
    const struct eval_inputs *in;
    struct arena *scratch;
    struct eval_report *r;
    uint32_t K;
    uint32_t draws;
    uint8_t *live;                  /* [K] alive after this request */
    uint8_t *target;                /* [K] classes of D_f */
    struct accuracy_tally *retain;  /* [K] D_r, over live labels */
    struct accuracy_tally *forget;  /* [K] D_f, over all outputs, along the path that knows most */
    struct accuracy_tally *erasure; /* [K] probes of earlier erasures, over all outputs */
    struct accuracy_tally *raw;     /* [K] the set that speaks for the class, decision raw */
    uint8_t *right;                 /* [largest set] */
    uint8_t *right_before;          /* [largest set] */
};

struct evaluate_set {
    const char *name;
    const struct eval_set *set;
    uint32_t n_labels;
    int needs_logits;
};

#define EVALUATE_SETS EVAL_MAX_SETS

/* The probe sets by name: forget, retain, test, unseen, members, learned, probe, reference. */
void evaluate_name_sets(const struct eval_inputs *in, struct evaluate_set sets[EVALUATE_SETS]);
/* INVALID_ARGUMENT, naming the set, unless every array is usable. */
enum status evaluate_check_inputs(const struct eval_inputs *in, struct fault *f) MUST_CHECK;

/* Accuracies, drift, relapse and membership. */
enum status evaluate_answers(struct evaluate_work *w) MUST_CHECK;
size_t evaluate_answers_plan(const struct eval_inputs *in);
/* Average precisions; the learned task's mAP becomes acc_new_task. */
enum status evaluate_several(struct evaluate_work *w) MUST_CHECK;
size_t evaluate_several_plan(const struct eval_inputs *in);
/* Prototype recovery and ridge probe, of the final features and of each block. */
enum status evaluate_features(struct evaluate_work *w) MUST_CHECK;
size_t evaluate_features_plan(const struct eval_inputs *in);
/* Copies at most size - 1 bytes, never half a UTF-8 sequence; the rest of `to` is zero.  NULL is
 * the empty text. */
void evaluate_copy_text(char *to, size_t size, const char *from);

#endif
