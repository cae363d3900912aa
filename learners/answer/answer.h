/*
 * One place that answers for a whole version: the base head, every lane and every expert on the
 * same frozen trunk, and the router that says which of them to believe.
 *
 * Owners are "base", "lane:NAME" and "expert:NAME", the base first, then in the order of the parts.
 * The experts of a stream are those named STREAM.K (learner_stream_length).  The label table is
 * every owner's labels, owner behind owner; two owners may have a label of the same name.
 *
 * A run gives, for the owners asked for, one column a label in the order of the label table:
 *   raw     every owner's logits side by side: the published rule takes the largest (multilane.md,
 *           3.10)
 *   owners  log of how far the router believes each owner: with S_o the sum of exp(router logit)
 *           over the owner's labels that the router knows, P(o) = S_o / sum of all S.  Owners that
 *           give an image several labels do not exclude each other: as a group they get the sum P
 *           of their P(o), and within it the best one 1 and each other its ratio to the best, so
 *           theirs is P * S_o / max S.
 *   routed  owners + log softmax of z + l over the owner's labels, z the owner's logits and l the
 *           router's of the same labels: two opinions about one label add up.  With several labels
 *           an image, log P of the group + log sigmoid of z + l.  exp of it is the label's
 *           probability.  Of a label that the router does not know, l is log(S_o / labels known);
 *           of the base's labels it is 0.
 * Of a single owner there is nothing to choose: its P is 1 and `routed` is its logits, bit for bit
 * (log sigmoid of them with several labels).  Where an owner asked for is unknown to the router, or
 * there is no router, `routed` is `raw` and the result says so.
 *
 * Why l is added to z: docs/benchmarks.md, MULTI-LANE.
 *
 * Every score of an image depends on the image, the trunk, the owners' components and, if routed,
 * the router and the set of owners asked for; never on the batch or the number of threads.  A
 * column of `raw` does not depend on which other owners were asked for either.
 *
 * Pure computation: memory comes from the caller's arena and nothing is allocated in a run.  A
 * struct answer is read-only once made, so any number of runs may share it, one thread each.
 */
#ifndef LETHE_LEARNERS_ANSWER_H
#define LETHE_LEARNERS_ANSWER_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/learner.h"

#include <stddef.h>
#include <stdint.h>

#define ANSWER_LABELS_MAX      10000  /* of all owners, and of a router */
#define ANSWER_LABEL_SEPARATOR '\x1f' /* in a router's labels, between owner and label */
#define ANSWER_NONE            UINT32_MAX

struct answer;

/* ------------------------------------------------------------------ what a version consists of */

/* Finds the learner of a kind of component; NULL: there is none. */
typedef const struct learner *answer_lookup(const char *kind);

struct answer_parts {
    struct learner_trunk trunk;       /* what it points to is borrowed by the answer */
    const struct learner_part *parts; /* kinds lane, expert, ridge, router; erasure: skipped */
    uint32_t n_parts;
    answer_lookup *lookup; /* NULL: learner_of_kind */
};

enum answer_kind { ANSWER_BASE, ANSWER_LANE, ANSWER_EXPERT, ANSWER_RIDGE };

struct answer_owner {
    enum answer_kind kind;
    const char *name;      /* "base", "lane:NAME", "expert:NAME", "ridge:NAME" */
    const char *component; /* NAME; of the base: "base" */
    uint32_t first;        /* its labels in the label table */
    uint32_t n_labels;
    int several; /* an image may have several of its labels */
    int routed;  /* the router knows it */
};

struct answer_label {
    const char *name;
    uint32_t owner;
    float threshold; /* several labels an image: present above this probability */
};

/*
 * Bytes of tools->arena that answer_new takes, and in *ret_scratch those it needs while it works;
 * SIZE_MAX: too large.
 */
size_t answer_plan(const struct answer_parts *p, uint32_t threads, size_t *ret_scratch);
/*
 * Imports every part, and joins those of the router.  Borrows the trunk's arrays, nothing of the
 * parts.  INVALID_ARGUMENT: a kind that cannot answer, two components of one kind and name, labels
 * that cannot be; RESOURCE_EXHAUSTED: too many labels; NO_MEMORY; and what import gives.  After a
 * failure both arenas are as they were.
 */
enum status answer_new(const struct answer_parts *p,
                       const struct learner_tools *tools,
                       struct arena *scratch,
                       struct answer **ret_answer,
                       struct fault *f) MUST_CHECK;

/* Number and table; borrowed. */
uint32_t answer_owners(const struct answer *a, const struct answer_owner **ret_owners);
uint32_t answer_labels(const struct answer *a, const struct answer_label **ret_labels);
/* ANSWER_NONE: there is none. */
uint32_t answer_find_owner(const struct answer *a, const char *name);
uint32_t answer_find_label(const struct answer *a, uint32_t owner, const char *name);
/*
 * The router's own labels: their numbers in the label table, ANSWER_NONE for those of owners that
 * this version does not have.  0: no router.
 */
uint32_t answer_router_labels(const struct answer *a, const uint32_t **ret_labels);

/*
 * Which owners a scope means: "base", "lanes", "stream:NAME", "all", or "": all (which is the base
 * if there is nothing else).  Fills wanted [owners] with 0 and 1.  NOT_FOUND: no such owner;
 * INVALID_ARGUMENT: no such scope; both name the field "scope".
 */
enum status answer_scope(const struct answer *a,
                         const char *scope,
                         uint8_t *wanted,
                         struct fault *f) MUST_CHECK;

/* ------------------------------------------------------------------ running */

struct answer_forward;

struct answer_wish {
    const uint8_t *wanted; /* [owners], at least one of them 1; NULL: all */
    uint32_t n_max;        /* images of a run */
    int features;          /* embeddings and taps are wanted too */
};

enum answer_decision { ANSWER_ROUTED, ANSWER_RAW };

/* Columns of the scores; those of one owner lie behind each other. */
struct answer_columns {
    uint32_t n;
    const uint32_t *labels; /* [n] numbers in the label table, ascending */
    uint32_t n_owners;
    const uint32_t *owners; /* [n_owners] numbers, ascending */
    const uint32_t *first;  /* [n_owners] first column of each */
};

/* Results of a run, in the forward's memory until the next one.  W columns, O owners asked for. */
struct answer_scores {
    uint32_t n;
    const float *raw;              /* [n, W] */
    const float *routed;           /* [n, W] */
    const float *owners;           /* [n, O]; NULL if not routed */
    const uint32_t *chosen;        /* [n] owner (its number) of the highest routed score */
    enum answer_decision decision; /* ANSWER_RAW: `routed` is `raw` */
    const float *router;           /* [n, R] logits of the router; NULL: it was not asked */
    const float *embeddings;       /* [n, C]; NULL unless asked for or needed */
    const float *taps;             /* [n, L, 2, C]; likewise */
};

/* Arena bytes of answer_forward_new; SIZE_MAX: too large. */
size_t
answer_forward_plan(const struct answer *a, const struct answer_wish *wish, uint32_t threads);
/*
 * Workspace for runs; `a` must outlive it, `wish` need not.  NO_MEMORY and what the learners'
 * forward_new gives; then the arena is as it was.
 */
enum status answer_forward_new(const struct answer *a,
                               const struct answer_wish *wish,
                               const struct learner_tools *tools,
                               struct answer_forward **ret_forward,
                               struct fault *f) MUST_CHECK;
const struct answer_columns *answer_forward_columns(const struct answer_forward *w);

/* Answers n <= n_max images, [channels, S, S] each: one pass through the trunk for everybody. */
void answer_run(struct answer_forward *w,
                uint32_t n,
                const float *const *images,
                struct answer_scores *ret_scores);

/*
 * Probabilities of one image from a row of `raw` or `routed` (`decision` says which; a routed row
 * that is raw counts as raw).  `live` [labels of the table], NULL: all; the others get 0.
 *   one label an image: softmax over the live columns of such owners.  Beside owners with several
 *       labels a routed row shares out no more than the probability that these columns have
 *       together, forgotten ones included;
 *   several labels: exp of a routed score, sigmoid of a raw one.
 * present [W] (NULL: not wanted) is the answer: the most probable label, the first of equals; or if
 * that is one of several an image, each such label that is present: above its threshold, given that
 * one of these owners is right.  That may be none.
 */
void answer_probabilities(const struct answer_forward *w,
                          enum answer_decision decision,
                          const float *row,
                          const uint8_t *live,
                          double *p,
                          uint8_t *present);

#endif
