#include "daemon/worker/measure_internal.h"

#define FORGET_PER_CLASS  200 /* images of D_f that are measured */
#define MEMBERS_PER_CLASS 50  /* training images of live classes, for membership of the retained */

/* An image with several labels is a row for each of those that count in the group. */
static void group_add(struct groups *g, uint32_t row, uint32_t class)
{
    if (g->rows) {
        g->rows[g->n] = row;
        g->classes[g->n] = class;
    }
    g->n++;
}

int measure_is_learned(const struct worker_job *job, uint32_t c)
{
    return job->spec.classes[c].fresh != 0;
}

/* Rows of a set whose class passes the test, at most `cap` a class (0: all). */
static void group_take(const struct worker_job *job,
                       struct groups *g,
                       enum job_set_role role,
                       enum job_class_status status,
                       uint32_t cap)
{
    const struct job_set *set = &job->spec.sets[role];
    for (uint32_t c = 0; c < job->spec.n_classes; c++) {
        if (job->spec.classes[c].status != status || measure_is_learned(job, c))
            continue;
        uint32_t taken = 0;
        for (uint32_t i = 0; i < set->n && (cap == 0 || taken < cap); i++) {
            if (!job_set_has(set, i, c))
                continue;
            group_add(g, worker_job_row(job, role, i), c);
            taken++;
        }
    }
}

/* A set whose labels go to a group, one by one. */
struct label_taker {
    const struct worker_job *job;
    struct groups *g;
    enum job_set_role role;
    int64_t erasure; /* only classes of this one; -1: those that are learned; -2: all */
};

static void take_label(void *context, uint32_t i, uint32_t class)
{
    const struct label_taker *t = context;
    const struct job_class *c = &t->job->spec.classes[class];
    if (t->erasure == -1 && !measure_is_learned(t->job, class))
        return;
    if (t->erasure >= 0 && (c->status != JOB_CLASS_ERASED || c->erasure != t->erasure))
        return;
    group_add(t->g, worker_job_row(t->job, t->role, i), class);
}

static void group_take_labels(const struct worker_job *job,
                              struct groups *g,
                              enum job_set_role role,
                              int64_t erasure)
{
    struct label_taker t = {job, g, role, erasure};
    worker_job_labels(&job->spec.sets[role], take_label, &t);
}

/* Their labels are not classes of the job. */
static void group_take_reference(const struct worker_job *job, struct groups *g)
{
    const struct job_set *set = &job->spec.sets[JOB_SET_REFERENCE];
    for (uint32_t i = 0; i < set->n; i++)
        group_add(g, worker_job_row(job, JOB_SET_REFERENCE, i), (uint32_t)set->labels[i]);
}

/* Never-used images of the classes that the samples belong to. */
static void group_take_like_samples(const struct worker_job *job, struct groups *g)
{
    const struct job_set *samples = &job->spec.sets[JOB_SET_SAMPLES];
    const struct job_set *test = &job->spec.sets[JOB_SET_TEST];
    for (uint32_t c = 0; c < job->spec.n_classes; c++) {
        uint32_t i = 0;
        while (i < samples->n && !job_set_has(samples, i, c))
            i++;
        if (i == samples->n)
            continue;
        for (uint32_t k = 0; k < test->n; k++) {
            if (job_set_has(test, k, c))
                group_add(g, worker_job_row(job, JOB_SET_TEST, k), c);
        }
    }
}

void measure_groups_fill(const struct worker_job *job, struct groups *g)
{
    const int samples = job->spec.sets[JOB_SET_SAMPLES].n > 0;
    g->n = 0;
    g->first[G_FORGET] = g->n;
    if (samples)
        group_take_labels(job, g, JOB_SET_SAMPLES, -2);
    else
        group_take(job, g, JOB_SET_MEMORY_TRAIN, JOB_CLASS_FORGET_NOW, FORGET_PER_CLASS);
    if (g->n == 0 && worker_job_suppresses(job)) /* they are in the component still */
        group_take(job, g, JOB_SET_TASK_TRAIN, JOB_CLASS_FORGET_NOW, FORGET_PER_CLASS);
    if (g->n == 0) /* a lane's images are not trained on again: its test images stand for them */
        group_take(job, g, JOB_SET_TEST, JOB_CLASS_FORGET_NOW, FORGET_PER_CLASS);
    g->first[G_RETAIN] = g->n;
    group_take(job, g, JOB_SET_TEST, JOB_CLASS_LIVE, 0);
    group_take(job, g, JOB_SET_TEST, JOB_CLASS_MISSING, 0);
    g->first[G_LEARNED] = g->n;
    group_take_labels(job, g, JOB_SET_TEST, -1);
    g->first[G_MEMBERS] = g->n;
    group_take(job, g, JOB_SET_MEMORY_TRAIN, JOB_CLASS_LIVE, MEMBERS_PER_CLASS);
    g->first[G_UNSEEN] = g->n;
    if (samples)
        group_take_like_samples(job, g);
    else
        group_take(job, g, JOB_SET_TEST, JOB_CLASS_FORGET_NOW, 0);
    g->first[G_REFERENCE] = g->n;
    group_take_reference(job, g);
    for (uint32_t q = 0; q < job->spec.n_erasures; q++) {
        g->first[G_ERASED + q] = g->n;
        group_take_labels(job, g, JOB_SET_TEST, q);
    }
    g->first[G_ERASED + job->spec.n_erasures] = g->n;
}

uint32_t measure_groups_size(const struct groups *g, uint32_t group)
{
    return g->first[group + 1] - g->first[group];
}
