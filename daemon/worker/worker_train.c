#include "daemon/worker/worker_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/worker/composite.h"
#include "proto/seal/hash.h"

/* ---------------------------------------------------------------- progress */

static float known(float x)
{
    return isnan(x) ? -1.0f : x;
}

/* Seconds left from the mean time of a step so far; early stops make it an upper bound. */
static float seconds_left(int64_t started_us, uint32_t step, uint32_t steps)
{
    if (step == 0 || steps < step)
        return -1.0f;
    const double spent = (double)(clock_mono_us() - started_us) * 1e-6;
    return (float)(spent / step * (steps - step));
}

static void tell_step(struct worker_job *job, const struct learner_progress *g, int64_t started_us)
{
    struct job_progress *p = &job->last;
    p->epoch = g->epoch;
    p->epochs = g->epochs;
    p->loss = g->loss;
    p->loss_retain = g->loss_retain;
    p->loss_forget = g->loss_forget;
    p->loss_depth = g->loss_depth;
    p->acc_forget = known(g->acc_forget);
    p->acc_retain = known(g->acc_retain);
    p->acc_valid = known(g->acc_valid);
    p->n_groups = g->n_groups < VIT_MAX_DEPTH ? g->n_groups : VIT_MAX_DEPTH;
    if (g->group_norms)
        memcpy(p->group_norms, g->group_norms, p->n_groups * sizeof(float));
    worker_job_tell_left(job, "train", g->step, g->steps,
                         seconds_left(started_us, g->step, g->steps));
}

/* ---------------------------------------------------------------- one run */

/* The place of a component: that of an older one of the same name, or a new one. */
static struct job_made *made_at(struct worker_job *job, const struct learner_part *part)
{
    for (uint32_t i = 0; i < job->n_made; i++) {
        struct job_made *m = &job->made[i];
        if (strcmp(m->kind, part->kind) == 0 && strcmp(m->name, part->name) == 0) {
            sysio_free((void *)(uintptr_t)m->bytes);
            return m;
        }
    }
    return job->n_made < JOB_MAX_MADE ? &job->made[job->n_made++] : NULL;
}

/* Keeps a component: the run's memory goes, its bytes stay with the job. */
enum status worker_keep_part(struct worker_job *job,
                             const struct learner_part *part,
                             const struct learner_outcome *outcome,
                             struct fault *f)
{
    if (strlen(part->name) >= JOB_NAME_SIZE || strlen(part->kind) >= JOB_KIND_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "a component's name is longer than %d bytes",
             JOB_NAME_SIZE - 1);
    void *bytes = sysio_alloc(part->size + 1, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "parts", "no memory for a component of %zu bytes", part->size);
    if (part->size > 0)
        memcpy(bytes, part->bytes, part->size);
    struct job_made *m = made_at(job, part);
    if (!m) {
        sysio_free(bytes);
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "parts", "one request makes at most %d components",
             JOB_MAX_MADE);
    }
    *m = (struct job_made){.bytes = bytes,
                           .size = part->size,
                           .groups_total = outcome->groups_total,
                           .groups_zero = outcome->groups_zero};
    (void)snprintf(m->kind, sizeof m->kind, "%s", part->kind);
    (void)snprintf(m->name, sizeof m->name, "%s", part->name);
    return STATUS_OK;
}

/* What a stream decided; a later run of the job replaces it. */
static enum status
keep_events(struct worker_job *job, struct learner_outcome *outcome, struct fault *f)
{
    const uint32_t n = outcome->n_events < LEARNER_EVENTS ? outcome->n_events : LEARNER_EVENTS;
    const struct learner_event *from = outcome->events;
    outcome->events = NULL;
    outcome->n_events = 0;
    if (n == 0)
        return STATUS_OK;
    struct learner_event *list = sysio_alloc(n, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "events", "no memory for %u events", n);
    memcpy(list, from, n * sizeof *list);
    sysio_free(job->events);
    job->events = list;
    job->n_events = n;
    return STATUS_OK;
}

static enum status
steps(struct worker_job *job, const struct learner *l, struct learner_run *run, struct fault *f)
{
    const int64_t started_us = clock_mono_us();
    struct learner_progress progress = {0};
    while (!progress.done) {
        TRY(l->step(run, &progress, f));
        tell_step(job, &progress, started_us);
    }
    return STATUS_OK;
}

static enum status run_in(struct worker_job *job,
                          const struct learner *l,
                          const struct learner_problem *p,
                          struct arena *arena,
                          struct learner_outcome *ret_outcome,
                          struct fault *f)
{
    const struct learner_tools tools = {.pool = job->pool, .arena = arena};
    struct learner_part parts[LEARNER_PARTS];
    struct learner_run *run;
    uint32_t n = 0;
    TRY(l->init(p, &tools, &run, f));
    TRY(steps(job, l, run, f));
    TRY(l->export(run, parts, &n, ret_outcome, f));
    for (uint32_t i = 0; i < n; i++)
        TRY(worker_keep_part(job, &parts[i], ret_outcome, f));
    return keep_events(job, ret_outcome, f);
}

/* The learner explains itself when it cannot even plan. */
static enum status explain_plan(const struct learner *l,
                                const struct learner_problem *p,
                                struct worker_job *job,
                                struct fault *f)
{
    struct arena none;
    struct learner_run *run;
    uint64_t nothing;
    arena_init(&none, &nothing, sizeof nothing);
    const struct learner_tools tools = {.pool = job->pool, .arena = &none};
    const enum status st = l->init(p, &tools, &run, f);
    arena_fini(&none);
    if (st != STATUS_OK && st != STATUS_NO_MEMORY)
        return st;
    FAIL(f, STATUS_RESOURCE_EXHAUSTED, l->name, "the memory plan overflows");
}

enum status worker_run_learner(struct worker_job *job,
                               const struct learner *l,
                               const struct learner_problem *p,
                               struct learner_outcome *ret_outcome,
                               struct fault *f)
{
    const size_t size = l->plan(p, job->spec.threads);
    if (size == SIZE_MAX)
        return explain_plan(l, p, job, f);
    TRY(worker_job_claim(job, size, l->name, f));
    void *memory = sysio_alloc(size, 1);
    enum status st = STATUS_NO_MEMORY;
    if (memory) {
        struct arena arena;
        arena_init(&arena, memory, size);
        st = run_in(job, l, p, &arena, ret_outcome, f);
        arena_fini(&arena);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, "memory", "no memory for %zu MiB", size >> 20);
    }
    sysio_free(memory);
    worker_job_release(job, size);
    return st;
}

/* ---------------------------------------------------------------- problems */

struct learner_trunk worker_trunk(const struct worker_job *job)
{
    const struct job_spec *s = &job->spec;
    return (struct learner_trunk){.config = s->config,
                                  .weights = &job->parent,
                                  .labels = job->labels,
                                  .base = s->base,
                                  .state = s->trunk,
                                  .preprocessing = s->preprocessing};
}

uint32_t worker_options(const struct job_option *from, uint32_t n, struct learner_option *to)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = (struct learner_option){from[i].name, from[i].value};
    return n;
}

/* Appends the rows of a set whose class has this status and owner. */
static struct learner_rows rows_of(const struct worker_job *job,
                                   enum job_set_role role,
                                   enum job_class_status status,
                                   uint32_t owner,
                                   uint32_t **at)
{
    const struct job_set *set = &job->spec.sets[role];
    struct learner_rows r = {.rows = *at};
    for (uint32_t i = 0; i < set->n; i++) {
        const struct job_class *c = &job->spec.classes[set->labels[i]];
        if (c->status == status && c->owner == owner)
            (*at)[r.n++] = worker_job_row(job, role, i);
    }
    *at += r.n;
    return r;
}

/* Samples of an owner; those of lanes that are trained again without them are in no list. */
static uint32_t owner_samples(const struct worker_job *job, uint32_t owner)
{
    const struct job_set *set = &job->spec.sets[JOB_SET_SAMPLES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++)
        n += job->spec.classes[set->labels[i]].owner == owner;
    return n;
}

/* One fifth of them validates, every fifth in their order; the rest trains. */
static void
sample_rows(const struct worker_job *job, uint32_t owner, struct learner_problem *p, uint32_t *at)
{
    const struct job_set *set = &job->spec.sets[JOB_SET_SAMPLES];
    const uint32_t n = owner_samples(job, owner);
    uint32_t *valid_rows = at + (n < 20 ? n : n - n / 5);
    struct learner_rows train = {.rows = at}, valid = {.rows = valid_rows};
    uint32_t k = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        const uint32_t row = worker_job_row(job, JOB_SET_SAMPLES, i);
        if (job->spec.classes[set->labels[i]].owner != owner)
            continue;
        if (n >= 20 && k % 5 == 4)
            valid_rows[valid.n++] = row;
        else
            at[train.n++] = row;
        k++;
    }
    p->lists[LEARNER_FORGET] = train;
    p->lists[LEARNER_FORGET_VALID] = valid;
}

static struct learner_problem base_problem(const struct worker_job *job, uint32_t *rows)
{
    const struct job_spec *s = &job->spec;
    struct learner_problem p = {.trunk = worker_trunk(job),
                                .request = s->request,
                                .seed = s->seed,
                                .images = worker_base_images(job),
                                .n_classes = s->config.classes,
                                .classes = job->labels,
                                .prototypes = s->prototypes,
                                .prototype_counts = s->prototype_counts,
                                .memory = s->memory_digest,
                                .prototype_digest = s->prototype_digest};
    p.lists[LEARNER_TRAIN] = rows_of(job, JOB_SET_MEMORY_TRAIN, JOB_CLASS_LIVE, 0, &rows);
    p.lists[LEARNER_VALID] = rows_of(job, JOB_SET_MEMORY_VALIDATION, JOB_CLASS_LIVE, 0, &rows);
    p.samples = owner_samples(job, 0) > 0;
    if (p.samples) {
        sample_rows(job, 0, &p, rows);
        return p;
    }
    p.lists[LEARNER_FORGET] = rows_of(job, JOB_SET_MEMORY_TRAIN, JOB_CLASS_FORGET_NOW, 0, &rows);
    p.lists[LEARNER_FORGET_VALID] =
        rows_of(job, JOB_SET_MEMORY_VALIDATION, JOB_CLASS_FORGET_NOW, 0, &rows);
    return p;
}

enum status worker_train_erasure(struct worker_job *job, struct fault *f)
{
    struct learner_option options[JOB_MAX_OPTIONS];
    char name[REQUEST_ID_TEXT_SIZE];
    struct learner_problem p = base_problem(job, job->rows);
    request_id_format(&job->spec.request, name);
    p.name = name;
    p.options = options;
    p.n_options = worker_options(job->spec.options, job->spec.n_options, options);
    return worker_run_learner(job, learner_find("gslora"), &p, &job->outcome, f);
}

/* ---------------------------------------------------------------- tasks */

/* All images with labels that count an owner's live classes from 0; others have any. */
struct task_images {
    int32_t *labels;
    uint8_t *hot; /* [images, n_classes] where they have several labels; else NULL */
    const char **classes;
    uint32_t n_classes;
    int forgets; /* classes to be forgotten now are among them */
};

static void task_images_free(struct task_images *x)
{
    sysio_free(x->labels);
    sysio_free(x->hot);
    sysio_free(x->classes);
}

/* Where the labels of one set go. */
struct hot_rows {
    const struct worker_job *job;
    const struct task_images *x;
    uint32_t owner, first;
    const int32_t *number; /* of each class of the job among the task's */
};

static void set_hot(void *context, uint32_t i, uint32_t class)
{
    const struct hot_rows *h = context;
    const struct job_class *c = &h->job->spec.classes[class];
    if (c->owner == h->owner && c->status == JOB_CLASS_LIVE)
        h->x->hot[(size_t)(h->first + i) * h->x->n_classes + (uint32_t)h->number[class]] = 1;
}

/* Only what the task is taught is 1: the other classes' labels are hidden (multilane.md, 2). */
static enum status fill_hot(const struct worker_job *job,
                            uint32_t owner,
                            const int32_t *number,
                            struct task_images *x,
                            struct fault *f)
{
    if (!job->spec.owners[owner].several)
        return STATUS_OK;
    x->hot = sysio_alloc((size_t)job->images.n + 1, (size_t)x->n_classes + 1);
    if (!x->hot)
        FAIL(f, STATUS_NO_MEMORY, "tasks", "no memory for the labels of a task");
    for (size_t role = 0; role < JOB_SET_REFERENCE; role++) {
        struct hot_rows rows = {job, x, owner, job->first_row[role], number};
        worker_job_labels(&job->spec.sets[role], set_hot, &rows);
    }
    return STATUS_OK;
}

static enum status
task_labels(const struct worker_job *job, uint32_t owner, struct task_images *x, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    const uint32_t n = job->images.n;
    x->labels = sysio_alloc((size_t)n + 1, sizeof *x->labels);
    x->classes = sysio_alloc((size_t)s->n_classes + 1, sizeof *x->classes);
    if (!x->labels || !x->classes)
        FAIL(f, STATUS_NO_MEMORY, "tasks", "no memory for the labels of a task");
    int32_t *number = sysio_alloc((size_t)s->n_classes + 1, sizeof *number);
    if (!number)
        FAIL(f, STATUS_NO_MEMORY, "tasks", "no memory for the classes of a task");
    for (uint32_t k = 0; k < s->n_classes; k++) {
        const enum job_class_status st = s->classes[k].status;
        const int taught = s->classes[k].owner == owner &&
                           (st == JOB_CLASS_LIVE || (x->forgets && st == JOB_CLASS_FORGET_NOW));
        number[k] = taught ? (int32_t)x->n_classes : 0;
        if (taught)
            x->classes[x->n_classes++] = s->classes[k].name;
    }
    for (uint32_t i = 0; i < job->first_row[JOB_SET_REFERENCE]; i++)
        x->labels[i] = job->images.labels[i] < (int32_t)s->n_classes /* else: in sight no more */
                           ? number[job->images.labels[i]]
                           : 0;
    const enum status st = fill_hot(job, owner, number, x, f);
    sysio_free(number);
    return st;
}

/*
 * The base's own task trains on its replay memory, everybody else's on the task sets.  Returns
 * where further rows may be put.
 */
static uint32_t *task_lists(const struct worker_job *job, uint32_t owner, struct learner_problem *p)
{
    uint32_t *rows = job->rows;
    const enum job_set_role train = owner ? JOB_SET_TASK_TRAIN : JOB_SET_MEMORY_TRAIN;
    const enum job_set_role valid = owner ? JOB_SET_TASK_VALIDATION : JOB_SET_MEMORY_VALIDATION;
    p->lists[LEARNER_TRAIN] = rows_of(job, train, JOB_CLASS_LIVE, owner, &rows);
    p->lists[LEARNER_VALID] = rows_of(job, valid, JOB_CLASS_LIVE, owner, &rows);
    return rows;
}

/* Names the images that a task trains on, whatever else the job has loaded. */
static struct digest task_digest(const struct worker_job *job,
                                 const struct task_images *x,
                                 const struct learner_rows *rows)
{
    const size_t bytes = (size_t)job->images.size * job->images.size * job->images.channels;
    struct seal_hasher h;
    seal_hash_init(&h);
    for (uint32_t i = 0; i < rows->n; i++) {
        const char *label = x->classes[x->labels[rows->rows[i]]];
        const uint8_t *hot = x->hot ? x->hot + (size_t)rows->rows[i] * x->n_classes : NULL;
        seal_hash_update(&h, job->images.pixels + rows->rows[i] * bytes, bytes);
        if (!hot)
            seal_hash_update(&h, label, strlen(label));
        for (uint32_t k = 0; hot && k < x->n_classes; k++)
            if (hot[k])
                seal_hash_update(&h, x->classes[k], strlen(x->classes[k]) + 1);
    }
    return seal_hash_final(&h);
}

static const struct job_part *part_of(const struct job_spec *s, const struct job_task *task)
{
    const struct learner *l = learner_find(task->learner);
    for (uint32_t i = 0; l && i < s->n_parts; i++)
        if (strcmp(s->parts[i].kind, l->kind) == 0 && strcmp(s->parts[i].name, task->name) == 0)
            return &s->parts[i];
    return NULL;
}

/* The gate will ask for no more than chance among all live classes, so that is aimed at. */
static void aim_at_chance(const struct worker_job *job, struct learner_problem *p, char text[32])
{
    uint32_t live = 0;
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        live += job->spec.classes[k].status == JOB_CLASS_LIVE;
    if (p->samples || learner_option(p, "target_forget") || p->n_options > JOB_MAX_OPTIONS)
        return;
    (void)snprintf(text, 32, "%.6f", live ? 1.0 / live : 0.0);
    struct learner_option *options = (struct learner_option *)(uintptr_t)p->options;
    options[p->n_options++] = (struct learner_option){"target_forget", text};
}

/* The component as it is, and what it is to lose; p has what it is to keep. */
static enum status task_suppress(struct worker_job *job,
                                 const struct job_task *task,
                                 const struct learner *l,
                                 struct learner_problem *p,
                                 uint32_t *rows,
                                 struct fault *f)
{
    const struct job_part *part = part_of(&job->spec, task);
    const uint32_t owner = task->owner;
    char target[32];
    struct learner_outcome outcome;
    if (!part)
        FAIL(f, STATUS_INTERNAL, "tasks", "a component to change is not there");
    const struct learner_part own = {.kind = part->kind,
                                     .name = part->name,
                                     .bytes = part->bytes,
                                     .size = part->size,
                                     .digest = part->digest};
    p->parts = &own;
    p->n_parts = 1;
    p->request = job->spec.request;
    p->seed = job->spec.seed;
    p->samples = owner_samples(job, owner) > 0;
    if (p->samples) {
        sample_rows(job, owner, p, rows);
    } else {
        p->lists[LEARNER_FORGET] =
            rows_of(job, JOB_SET_TASK_TRAIN, JOB_CLASS_FORGET_NOW, owner, &rows);
        p->lists[LEARNER_FORGET_VALID] =
            rows_of(job, JOB_SET_TASK_VALIDATION, JOB_CLASS_FORGET_NOW, owner, &rows);
    }
    aim_at_chance(job, p, target);
    TRY(worker_run_learner(job, l, p, &outcome, f));
    if (!job->outcome.text)
        job->outcome = outcome;
    return STATUS_OK;
}

static enum status task_run(struct worker_job *job,
                            const struct job_task *task,
                            const struct learner_trunk *trunk,
                            const struct task_images *x,
                            struct fault *f)
{
    const struct learner *l = learner_find(task->learner);
    if (!l)
        FAIL(f, STATUS_INTERNAL, "method", "there is no learner called %.30s", task->learner);
    struct learner_option options[JOB_MAX_OPTIONS + 1];
    struct learner_problem p = {.trunk = *trunk,
                                .request = task->root,
                                .seed = task->seed,
                                .name = task->name,
                                .images = worker_base_images(job),
                                .hot = x->hot,
                                .n_classes = x->n_classes,
                                .classes = x->classes};
    struct learner_outcome outcome;
    p.images.labels = x->labels;
    p.options = options;
    p.n_options = worker_options(task->options, task->n_options, options);
    uint32_t *more = task_lists(job, task->owner, &p);
    p.memory = task_digest(job, x, &p.lists[LEARNER_TRAIN]);
    if (task->suppress)
        return task_suppress(job, task, l, &p, more, f);
    TRY(worker_run_learner(job, l, &p, &outcome, f));
    if (task->owner == job->spec.learned && job->spec.learned != 0 && !job->outcome.text)
        job->outcome = outcome;
    return STATUS_OK;
}

enum status worker_train_task(struct worker_job *job,
                              const struct job_task *task,
                              const struct learner_trunk *trunk,
                              struct fault *f)
{
    struct task_images x = {.forgets = task->suppress};
    enum status st = task_labels(job, task->owner, &x, f);
    if (st == STATUS_OK)
        st = task_run(job, task, trunk, &x, f);
    task_images_free(&x);
    return st;
}

/* ---------------------------------------------------------------- refits */

enum status worker_task_harmed(struct worker_job *job,
                               const struct job_task *task,
                               const struct learner_trunk *trunk,
                               double limit,
                               int *ret_harmed,
                               struct fault *f)
{
    const struct job_part *part = part_of(&job->spec, task);
    const struct learner_trunk before = worker_trunk(job);
    struct learner_problem p;
    double then, now;
    if (!part)
        FAIL(f, STATUS_INTERNAL, "tasks", "a component to refit is not there");
    (void)task_lists(job, task->owner, &p);
    const struct learner_rows rows = p.lists[LEARNER_VALID];
    TRY(composite_part_accuracy(job, &before, part, rows.rows, rows.n, &then, f));
    TRY(composite_part_accuracy(job, trunk, part, rows.rows, rows.n, &now, f));
    *ret_harmed = then - now > limit;
    return STATUS_OK;
}
