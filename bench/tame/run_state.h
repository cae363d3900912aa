/* What a run knows between its stages, and its checkpoint.  Only for bench/tame. */
#ifndef LETHE_BENCH_RUN_STATE_H
#define LETHE_BENCH_RUN_STATE_H

#include "bench/tame/run.h"

#define RUN_STAGE_STREAM   1u /* done */
#define RUN_STAGE_SELECTOR 2u

/* Sample numbers that a buffer kept, with what they are to be told as. */
struct run_samples {
    uint32_t n;
    uint64_t *numbers;
    uint32_t *targets;
};

struct run_state {
    char name[RUN_NAME_SIZE];
    uint32_t stages;        /* RUN_STAGE_* bits */
    uint32_t n_pruned;      /* experts that are pruned */
    uint32_t selector_done; /* 1: the selector is pruned too */
    uint32_t selector_draws;
    uint32_t experts;
    uint64_t batches;
    struct figures_counts counts;
    uint32_t n_changes;
    uint64_t changes[RUN_CHANGES]; /* batches at which the active expert changed */
    struct run_samples selector, pruning[TRIAL_EXPERTS];
    double seconds[RUN_PARTS];
};

enum status
run_state_new(const char *name, struct run_state **ret_state, struct fault *f) MUST_CHECK;
void run_state_free(struct run_state *s);

enum status run_samples_take(struct run_samples *s, uint32_t n, struct fault *f) MUST_CHECK;

/* Writes state and weights. */
enum status run_state_save(const struct run_state *s,
                           const struct trial *t,
                           const char *path,
                           struct fault *f) MUST_CHECK;
/* Reads them into a fresh state and trial.  NOT_FOUND: there is no checkpoint; BAD_FORMAT. */
enum status
run_state_load(struct run_state *s, struct trial *t, const char *path, struct fault *f) MUST_CHECK;

#endif
