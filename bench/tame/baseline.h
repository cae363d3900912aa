/*
 * Bounds beside TAME: one net of the same kind and the same optimiser on the same samples, in
 * stream order (fine-tune, lower bound) or shuffled over all tasks (joint, upper bound), with the
 * labels inside the task or with one output for every class of every task.
 */
#ifndef LETHE_BENCH_BASELINE_H
#define LETHE_BENCH_BASELINE_H

#include "bench/tame/run.h"

enum baseline_kind {
    BASELINE_TUNE_WITHIN,
    BASELINE_TUNE_INCREMENTAL,
    BASELINE_JOINT_WITHIN,
    BASELINE_JOINT_INCREMENTAL,
    BASELINE_KINDS
};

struct baseline_result {
    uint64_t n, right; /* test pictures */
    uint32_t n_tasks;
    uint64_t task_n[TASKS_MAX], task_right[TASKS_MAX];
    double seconds;
};

/* "fine-tune-within" and so on. */
const char *baseline_name(enum baseline_kind kind);

enum status baseline_execute(const struct run_settings *s,
                             enum baseline_kind kind,
                             run_tell *tell,
                             void *context,
                             struct baseline_result *ret_result,
                             struct fault *f) MUST_CHECK;

#endif
