/*
 * One run of protocol 4: a way to learn a protocol's classes, with one seed.
 *   lanes     a lane a task, and the router's terms of each; after each task (a session) three
 *             decisions over the classes so far: routed, raw (the largest logit) and the router
 * alone joint     one lane over all classes, trained once on everything: the upper bound finetune
 * one lane trained task after task, each task going on from the selectors and prompts of the one
 * before (init=previous) with new head rows; after each task the pathway as it is now, with the
 * head rows that each task left: the lower bound
 */
#ifndef LETHE_BENCH_LANE_TRIAL_H
#define LETHE_BENCH_LANE_TRIAL_H

#include "bench/multilane/protocol_set.h"
#include "bench/multilane/score_figures.h"
#include "daemon/config/model_folder.h"
#include "learners/learner.h"

#define LANE_TRIAL_OPTIONS   16
#define LANE_TRIAL_NAME_SIZE 512
#define LANE_TRIAL_LINES     3

enum lane_trial_part { LANE_TRIAL_LANES, LANE_TRIAL_JOINT, LANE_TRIAL_FINETUNE };
#define LANE_TRIAL_PARTS 3
const char *lane_trial_part_name(enum lane_trial_part part);

struct lane_trial_options {
    struct learner_option list[LANE_TRIAL_OPTIONS];
    uint32_t n;
};

struct lane_trial_settings {
    const struct protocol *protocol;
    const char *folder; /* of the protocol's data */
    uint64_t seed;      /* of the draws and of every lane */
    enum lane_trial_part part;
    enum protocol_part measured; /* PROTOCOL_TEST, or PROTOCOL_CHECK to compare settings */
    struct protocol_sizes sizes;
    struct lane_trial_options lane, router; /* of the learners; others as they are by default */
    const char *components;                 /* folder where trained components are kept */
};

/* Figures of one decision.  Per cent; NaN: there is none. */
struct lane_trial_line {
    const char *decision;
    uint32_t n_sessions; /* 1 of the joint lane, otherwise one a task */
    double sessions[PROTOCOL_TASKS];
    double tasks[PROTOCOL_TASKS]; /* each task's own figure after the last session */
    struct score_summary summary; /* average and forgetting NaN for one session */
    struct score_f1 f1;           /* several labels: after the last session, above 0.8 */
    double threshold;             /* the one with the best OF1 on the validation images */
    struct score_f1 f1_at_threshold;
    double owner, within; /* routed, one label: right lane chosen; right lane's own answer right */
};

struct lane_trial_result {
    struct lane_trial_line lines[LANE_TRIAL_LINES];
    uint32_t n_lines;
    uint32_t n_train, n_measured; /* images */
    double lane_seconds, router_seconds, answer_seconds;
};

/* Everything that decides about the result, as text. */
enum status lane_trial_name(const struct lane_trial_settings *s,
                            const struct model *model,
                            char name[LANE_TRIAL_NAME_SIZE],
                            struct fault *f) MUST_CHECK;

/* Tells people how far a run is. */
typedef void lane_trial_tell(void *context, const char *text);

struct lane_trial_tools {
    const struct model *model;
    struct pool *pool;
    lane_trial_tell *tell;
    void *context;
};

enum status lane_trial_execute(const struct lane_trial_settings *s,
                               const struct lane_trial_tools *tools,
                               struct lane_trial_result *ret_result,
                               struct fault *f) MUST_CHECK;

#endif
