#include "bench/tame/figures.h"

#include <math.h>
#include <string.h>

uint32_t figures_expert_of(const struct figures_counts *c, uint32_t n_experts, uint32_t task)
{
    uint32_t best = 0;
    for (uint32_t e = 1; e < n_experts; e++)
        if (c->taken[e][task] > c->taken[best][task])
            best = e;
    return best;
}

uint32_t figures_task_of(const struct figures_counts *c, uint32_t n_tasks, uint32_t e)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < n_tasks; k++)
        if (c->taken[e][k] > c->taken[e][best])
            best = k;
    return best;
}

uint64_t figures_misplaced(const struct figures_counts *c, uint32_t n_experts, uint32_t n_tasks)
{
    uint64_t n = 0;
    for (uint32_t k = 0; k < n_tasks; k++) {
        const uint32_t best = figures_expert_of(c, n_experts, k);
        for (uint32_t e = 0; e < n_experts; e++)
            n += e == best ? 0 : c->taken[e][k];
    }
    return n;
}

void figures_judge(const struct figures_stretch *stretches,
                   uint32_t n_stretches,
                   const uint64_t *changes,
                   uint32_t n,
                   struct figures_changes *ret_changes)
{
    struct figures_changes x = {.switches = n};
    uint32_t found = 0, at = 0;
    double delay = 0.0;
    for (uint32_t i = 0; i < n_stretches; i++) {
        const uint64_t end = i + 1 < n_stretches ? stretches[i + 1].batch : UINT64_MAX;
        const uint32_t first = at;
        while (at < n && changes[at] < end)
            at++;
        x.true_changes += stretches[i].change != 0;
        if (stretches[i].change && at > first) {
            found++;
            delay += (double)(changes[first] - stretches[i].batch);
        }
    }
    x.missed = x.true_changes - found;
    x.wrong = n - found;
    x.delay = found ? delay / found : (double)NAN;
    *ret_changes = x;
}

static uint32_t largest(const float *z, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (z[i] > z[best])
            best = i;
    return best;
}

/* Some test pictures of one task, and what was answered. */
struct chunk {
    uint32_t n;
    uint64_t numbers[TRIAL_BATCH];
    uint32_t chosen[TRIAL_BATCH];                 /* e_hat */
    uint32_t answers[TRIAL_EXPERTS][TRIAL_BATCH]; /* of the experts that were asked */
    float logits[TRIAL_BATCH * TRIAL_EXPERTS];
    uint8_t pixels[TRIAL_BATCH][TASKS_PICTURE];
};

static void load_chunk(struct chunk *c, struct trial *t, const struct tasks *tasks)
{
    const uint8_t *pictures[TRIAL_BATCH];
    for (uint32_t i = 0; i < c->n; i++) {
        tasks_picture(tasks, DATASET_TEST, c->numbers[i], c->pixels[i]);
        pictures[i] = c->pixels[i];
    }
    trial_load(t, c->n, pictures);
}

/* The selector's choices, then the answers of the experts that are needed. */
static void answer_chunk(struct chunk *c,
                         struct trial *t,
                         enum trial_stage stage,
                         uint32_t classes,
                         uint32_t right_expert)
{
    const uint32_t n_experts = trial_experts(t);
    uint8_t wanted[TRIAL_EXPERTS] = {0};
    trial_selector_logits(t, stage, c->logits);
    for (uint32_t i = 0; i < c->n; i++) {
        c->chosen[i] = largest(c->logits + (size_t)i * n_experts, n_experts);
        wanted[c->chosen[i]] = 1;
    }
    wanted[right_expert] = 1;
    for (uint32_t e = 0; e < n_experts; e++) {
        if (!wanted[e])
            continue;
        trial_expert_logits(t, stage, e, c->logits);
        for (uint32_t i = 0; i < c->n; i++)
            c->answers[e][i] = largest(c->logits + (size_t)i * classes, classes);
    }
}

static void add(struct figures_right *sum, const struct figures_right *x)
{
    sum->n += x->n;
    sum->within += x->within;
    sum->selector += x->selector;
    sum->expert += x->expert;
    sum->incremental += x->incremental;
}

void figures_measure(struct trial *t,
                     enum trial_stage stage,
                     const struct tasks *tasks,
                     const struct figures_counts *counts,
                     struct figures *ret_figures)
{
    struct chunk c;
    const uint32_t n_tasks = tasks_count(tasks), classes = tasks_classes(tasks);
    memset(ret_figures, 0, sizeof *ret_figures);
    for (uint32_t k = 0; k < n_tasks; k++) {
        const uint32_t n = tasks_size(tasks, DATASET_TEST, k);
        const uint32_t right = figures_expert_of(counts, trial_experts(t), k);
        struct figures_right *x = &ret_figures->task[k];
        for (uint32_t at = 0; at < n; at += c.n) {
            c.n = n - at < TRIAL_BATCH ? n - at : TRIAL_BATCH;
            for (uint32_t i = 0; i < c.n; i++)
                c.numbers[i] = tasks_number(tasks, DATASET_TEST, k, at + i);
            load_chunk(&c, t, tasks);
            answer_chunk(&c, t, stage, classes, right);
            for (uint32_t i = 0; i < c.n; i++) {
                const uint32_t label = tasks_label_of(tasks, DATASET_TEST, c.numbers[i]);
                const uint32_t e = c.chosen[i];
                const int hit = c.answers[e][i] == label;
                x->n++;
                x->within += hit != 0;
                x->selector += e == right;
                x->expert += c.answers[right][i] == label;
                x->incremental += hit && figures_task_of(counts, n_tasks, e) == k;
            }
        }
        add(&ret_figures->total, x);
    }
}
