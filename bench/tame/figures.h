/*
 * What TAME's answers are worth (tame.md, section 2).  With e_hat the selector's choice and e*(t)
 * the expert that took most training samples of task t:
 *   within       expert e_hat gives the label inside the task (the published figure)
 *   selector     e_hat = e*(t)
 *   expert       expert e*(t) gives the label inside the task, no selector
 *   incremental  e_hat stands for task t and gives the label: one global class
 * An expert stands for the task that most of its samples came from.
 */
#ifndef LETHE_BENCH_FIGURES_H
#define LETHE_BENCH_FIGURES_H

#include "bench/tame/tasks.h"
#include "bench/tame/trial.h"

#include <stdint.h>

/* Training samples of each task that each expert took, repetitions counted. */
struct figures_counts {
    uint64_t taken[TRIAL_EXPERTS][TASKS_MAX];
};

struct figures_right {
    uint64_t n, within, selector, expert, incremental;
};

struct figures {
    struct figures_right total, task[TASKS_MAX];
};

/* e*(t), ties: lower number; and the task that expert e stands for. */
uint32_t figures_expert_of(const struct figures_counts *c, uint32_t n_experts, uint32_t task);
uint32_t figures_task_of(const struct figures_counts *c, uint32_t n_tasks, uint32_t e);
/* Samples that another expert than e*(t) took. */
uint64_t figures_misplaced(const struct figures_counts *c, uint32_t n_experts, uint32_t n_tasks);

/* A stretch of the stream. */
struct figures_stretch {
    uint64_t batch; /* first that holds a sample of it */
    int change;     /* 1: of another task than the stretch before */
};

/* Changes of the active expert beside the true ones. */
struct figures_changes {
    uint32_t true_changes, switches;
    uint32_t wrong, missed; /* without a true change; true changes without one */
    double delay;           /* mean, batches from the first of the new task; NaN: none found */
};

/*
 * changes [n]: batches at which the expert changed, ascending.  The first in a stretch finds its
 * beginning if that is a change of task; every other is wrong.
 */
void figures_judge(const struct figures_stretch *stretches,
                   uint32_t n_stretches,
                   const uint64_t *changes,
                   uint32_t n,
                   struct figures_changes *ret_changes);

/* On all test pictures, with the weights of a stage. */
void figures_measure(struct trial *t,
                     enum trial_stage stage,
                     const struct tasks *tasks,
                     const struct figures_counts *counts,
                     struct figures *ret_figures);

#endif
