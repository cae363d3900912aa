#include "daemon/worker/worker_stream.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/worker/composite.h"
#include "daemon/worker/worker_terms.h"
#include "daemon/worker/worker_train.h"
#include "learners/eval/eval_report.h"
#include "learners/methods/tame/tame_learner.h"

#define LEARNER_STREAM "tame"

/* ---------------------------------------------------------------- components as they are now */

static struct learner_part part_of(const char *kind, const char *name, const void *bytes, size_t n)
{
    return (struct learner_part){.kind = kind, .name = name, .bytes = bytes, .size = n};
}

static const struct job_made *
made_find(const struct worker_job *job, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < job->n_made; i++)
        if (strcmp(job->made[i].kind, kind) == 0 && strcmp(job->made[i].name, name) == 0)
            return &job->made[i];
    return NULL;
}

static const struct job_part *
part_find(const struct worker_job *job, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        const struct job_part *p = &job->spec.parts[i];
        if (strcmp(p->kind, kind) == 0 && strcmp(p->name, name) == 0)
            return p->dropped ? NULL : p;
    }
    return NULL;
}

/* What the job made of a component, or what the parent has; size 0: it is not there. */
static struct learner_part latest(const struct worker_job *job, const char *kind, const char *name)
{
    const struct job_made *m = made_find(job, kind, name);
    const struct job_part *p = part_find(job, kind, name);
    if (m)
        return part_of(m->kind, m->name, m->bytes, m->size);
    return p ? part_of(p->kind, p->name, p->bytes, p->size) : part_of(kind, name, NULL, 0);
}

/* ---------------------------------------------------------------- what the learner is given */

struct stream_problem {
    struct learner_problem p;
    struct learner_option options[JOB_MAX_OPTIONS + 1];
    struct learner_part parts[LEARNER_PARTS];
    struct learner_erasure erasure;
    const char **names;   /* [classes] of the job */
    const char **classes; /* [classes] that are forgotten */
    char *experts;        /* list for a refit */
};

static void problem_fini(struct stream_problem *x)
{
    sysio_free(x->names);
    sysio_free(x->classes);
    sysio_free(x->experts);
}

static enum status row_keys(struct worker_job *job, struct fault *f)
{
    const uint32_t n = job->spec.sets[JOB_SET_TASK_TRAIN].n;
    if (job->keys)
        return STATUS_OK;
    job->keys = sysio_alloc((size_t)job->images.n + 1, sizeof *job->keys);
    if (!job->keys)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the keys of %u images", job->images.n);
    if (job->spec.task_keys)
        memcpy(job->keys + job->first_row[JOB_SET_TASK_TRAIN], job->spec.task_keys,
               n * sizeof *job->keys);
    return STATUS_OK;
}

/* The stream's record and its experts, if it is there already. */
static enum status list_parts(const struct worker_job *job,
                              const char *stream,
                              struct stream_problem *x,
                              struct fault *f)
{
    const struct learner_part record = latest(job, TAME_STREAM_KIND, stream);
    struct tame_learner_info info;
    if (record.size == 0)
        return STATUS_OK;
    TRY(tame_learner_peek(record.bytes, record.size, &info, f));
    if (info.n_experts > TAME_LEARNER_EXPERTS)
        FAIL(f, STATUS_DATA_LOSS, "experts", "stream %s has %u experts", stream, info.n_experts);
    x->parts[x->p.n_parts++] = record;
    for (uint32_t i = 0; i < info.n_experts; i++) {
        char name[LEARNER_NAME_SIZE];
        TRY(tame_learner_expert(record.bytes, record.size, i, name, f));
        const struct learner_part expert = latest(job, TAME_EXPERT_KIND, name);
        if (expert.size == 0)
            FAIL(f, STATUS_DATA_LOSS, "experts", "expert %s is missing", name);
        x->parts[x->p.n_parts++] = expert;
    }
    x->p.parts = x->parts;
    return STATUS_OK;
}

/* Classes of the stream that this request forgets. */
static uint32_t list_forgotten(const struct worker_job *job, const char *stream, const char **to)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < job->spec.n_classes; k++) {
        const struct job_class *c = &job->spec.classes[k];
        if (c->status == JOB_CLASS_FORGET_NOW &&
            job_owner_of_stream(&job->spec.owners[c->owner], stream))
            to[n++] = c->name;
    }
    return n;
}

static const char *action_of(const struct job_task *task)
{
    for (uint32_t i = 0; i < task->n_options; i++)
        if (strcmp(task->options[i].name, "action") == 0)
            return task->options[i].value;
    return "push";
}

static int is_import(const struct job_task *task)
{
    return strcmp(action_of(task), "import") == 0;
}

static struct image_table images_of(const struct worker_job *job)
{
    struct image_table t = job->images;
    t.n = job->first_row[JOB_SET_REFERENCE];
    return t;
}

/* The rows that are pushed, in the order of the stream. */
static void
list_pushed(struct worker_job *job, const struct job_task *task, struct learner_problem *p)
{
    for (uint32_t i = 0; i < task->n; i++)
        job->rows[i] = worker_job_row(job, JOB_SET_TASK_TRAIN, task->first + i);
    p->lists[LEARNER_TRAIN] = (struct learner_rows){job->rows, task->n};
}

/* The expert that is to join the stream; it belongs to no version. */
static enum status
list_incoming(const struct worker_job *job, struct stream_problem *x, struct fault *f)
{
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        const struct job_part *p = &job->spec.parts[i];
        if (strcmp(p->kind, TAME_INCOMING_KIND) != 0 || strcmp(p->name, x->p.name) != 0)
            continue;
        if (x->p.n_parts == LEARNER_PARTS)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts_max", "stream %s is full", x->p.name);
        x->parts[x->p.n_parts++] = part_of(p->kind, p->name, p->bytes, p->size);
        x->p.memory = p->digest;
    }
    return STATUS_OK;
}

static enum status
fill_lists(const struct worker_job *job, struct stream_problem *x, struct fault *f)
{
    const uint32_t n = job->spec.n_classes;
    x->names = sysio_alloc((size_t)n + 1, sizeof *x->names);
    x->classes = sysio_alloc((size_t)n + 1, sizeof *x->classes);
    if (!x->names || !x->classes)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", n);
    for (uint32_t k = 0; k < n; k++)
        x->names[k] = job->spec.classes[k].name;
    return STATUS_OK;
}

/* The expert that goes as a whole, if it is one of this stream's. */
static const char *erased_expert(const struct worker_job *job, const char *stream)
{
    struct job_owner o = {.kind = TAME_EXPERT_KIND};
    memcpy(o.name, job->spec.erased_expert, sizeof o.name);
    return o.name[0] && job_owner_of_stream(&o, stream) ? job->spec.erased_expert : NULL;
}

/* Pushes and imports know the samples that must not come back, an erasure all that goes. */
static void
fill_erasure(const struct worker_job *job, const struct job_task *task, struct stream_problem *x)
{
    const int erases = strcmp(action_of(task), "erase") == 0;
    if (!erases && strcmp(action_of(task), "push") != 0 && !is_import(task))
        return;
    x->erasure = (struct learner_erasure){.n_keys = task->n_erased};
    if (task->n_erased > 0)
        x->erasure.keys = job->spec.erased_keys + task->erased_first;
    if (erases) {
        x->erasure.component = erased_expert(job, task->name);
        x->erasure.classes = x->classes;
        x->erasure.n_classes = list_forgotten(job, task->name, x->classes);
    }
    if (x->erasure.n_keys > 0 || x->erasure.n_classes > 0 || x->erasure.component)
        x->p.erasure = &x->erasure;
}

static enum status problem_init(struct worker_job *job,
                                const struct job_task *task,
                                const struct learner_trunk *trunk,
                                struct stream_problem *x,
                                struct fault *f)
{
    *x = (struct stream_problem){.p = {.trunk = *trunk,
                                       .request = job->spec.request,
                                       .seed = task->seed,
                                       .name = task->name,
                                       .images = images_of(job),
                                       .n_classes = job->spec.n_classes}};
    TRY(row_keys(job, f));
    TRY(fill_lists(job, x, f));
    TRY(list_parts(job, task->name, x, f));
    TRY(list_incoming(job, x, f));
    list_pushed(job, task, &x->p);
    fill_erasure(job, task, x);
    x->p.keys = job->keys;
    x->p.classes = x->names;
    x->p.options = x->options;
    x->p.n_options = worker_options(task->options, task->n_options, x->options);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- classes afterwards */

/* The job's tables as its own, so that they can follow what the stream did. */
static enum status own_tables(struct worker_job *job, struct fault *f)
{
    struct job_spec *s = &job->spec;
    if (job->classes)
        return STATUS_OK;
    job->classes = sysio_alloc((size_t)s->n_classes + 1, sizeof *job->classes);
    job->owners = sysio_alloc(JOB_MAX_OWNERS, sizeof *job->owners);
    job->own_labels = sysio_alloc((size_t)job->images.n + 1, sizeof *job->own_labels);
    if (!job->classes || !job->owners || !job->own_labels)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", s->n_classes);
    memcpy(job->classes, s->classes, s->n_classes * sizeof *job->classes);
    memcpy(job->owners, s->owners, s->n_owners * sizeof *job->owners);
    memcpy(job->own_labels, job->images.labels, job->images.n * sizeof *job->own_labels);
    s->classes = job->classes;
    s->owners = job->owners;
    job->images.labels = job->own_labels;
    for (uint32_t i = 0; i < JOB_SETS; i++)
        s->sets[i].labels = job->own_labels + job->first_row[i];
    return STATUS_OK;
}

static enum status
owner_number(struct worker_job *job, const char *expert, uint32_t *ret_owner, struct fault *f)
{
    struct job_spec *s = &job->spec;
    for (uint32_t i = 0; i < s->n_owners; i++)
        if (strcmp(job->owners[i].kind, TAME_EXPERT_KIND) == 0 &&
            strcmp(job->owners[i].name, expert) == 0) {
            *ret_owner = i;
            return STATUS_OK;
        }
    if (s->n_owners == JOB_MAX_OWNERS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "owners", "the model has %d owners already",
             JOB_MAX_OWNERS);
    struct job_owner *o = &job->owners[s->n_owners];
    *o = (struct job_owner){.kind = TAME_EXPERT_KIND};
    (void)snprintf(o->name, sizeof o->name, "%s", expert);
    *ret_owner = s->n_owners++;
    return STATUS_OK;
}

/*
 * Classes of the stream that are alive and have no expert are marked in gone[classes], and those to
 * be forgotten that never had one.
 */
static enum status find_owners(struct worker_job *job,
                               const char *stream,
                               const struct learner_part *record,
                               uint8_t *gone,
                               struct fault *f)
{
    struct tame_learner_info info;
    for (uint32_t k = 0; k < job->spec.n_classes; k++) {
        const struct job_class *c = &job->classes[k];
        gone[k] =
            (c->status == JOB_CLASS_LIVE || (c->status == JOB_CLASS_FORGET_NOW && c->fresh)) &&
            job_owner_of_stream(&job->owners[c->owner], stream);
    }
    TRY(tame_learner_peek(record->bytes, record->size, &info, f));
    for (uint32_t i = 0; i < info.n_classes; i++) {
        char name[TAME_CLASS_NAME_SIZE], expert[LEARNER_NAME_SIZE];
        TRY(tame_learner_class(record->bytes, record->size, i, name, expert, f));
        uint32_t k = 0;
        while (k < job->spec.n_classes && !(gone[k] && strcmp(job->classes[k].name, name) == 0))
            k++;
        if (k == job->spec.n_classes || expert[0] == '\0')
            continue;
        gone[k] = 0;
        TRY(owner_number(job, expert, &job->classes[k].owner, f));
    }
    return STATUS_OK;
}

/*
 * New classes that no expert has yet are no classes of the candidate: they go behind the others and
 * out of sight.  What the parent had and nobody knows any more is forgotten.
 */
static enum status hide_absent(struct worker_job *job, const uint8_t *gone, struct fault *f)
{
    const uint32_t n = job->spec.n_classes;
    struct job_class *sorted = sysio_alloc((size_t)n + 1, sizeof *sorted);
    int32_t *place = sysio_alloc((size_t)n + 1, sizeof *place);
    uint32_t at = 0;
    if (!sorted || !place) {
        sysio_free(sorted);
        sysio_free(place);
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", n);
    }
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t absent = gone[k] && job->classes[k].fresh;
            if (absent != pass)
                continue;
            place[k] = (int32_t)at;
            sorted[at++] = job->classes[k];
            if (gone[k])
                sorted[at - 1].status = absent ? JOB_CLASS_MISSING : JOB_CLASS_FORGET_NOW;
            if (absent)
                sorted[at - 1].fresh = 0;
        }
        if (pass == 0)
            job->spec.n_classes = at;
    }
    for (uint32_t i = 0; i < job->first_row[JOB_SET_REFERENCE]; i++)
        job->own_labels[i] = place[job->own_labels[i]];
    memcpy(job->classes, sorted, n * sizeof *sorted);
    sysio_free(sorted);
    sysio_free(place);
    return STATUS_OK;
}

static enum status settle_classes(struct worker_job *job, const char *stream, struct fault *f)
{
    const struct learner_part record = latest(job, TAME_STREAM_KIND, stream);
    uint8_t *gone = sysio_alloc((size_t)job->spec.n_classes + 1, 1);
    if (!gone)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", job->spec.n_classes);
    enum status st = find_owners(job, stream, &record, gone, f);
    if (st == STATUS_OK)
        st = hide_absent(job, gone, f);
    sysio_free(gone);
    return st;
}

/* ---------------------------------------------------------------- router terms */

/* Some of what the expert learned from came with it: its terms cannot be counted from the start. */
static int is_imported(const struct worker_job *job, const char *expert)
{
    const struct job_part *p = part_find(job, TAME_EXPERT_KIND, expert);
    return p && p->imported;
}

static enum status make_terms(struct worker_job *job,
                              const struct learner_trunk *trunk,
                              const char *expert,
                              struct fault *f)
{
    const struct learner_part part = latest(job, TAME_EXPERT_KIND, expert);
    const struct job_part *before = part_find(job, TAME_EXPERT_KIND, expert);
    char name[JOB_OWNER_TEXT_SIZE];
    if (!is_imported(job, expert) || part.size == 0)
        return worker_terms_make(job, trunk, &part, f);
    (void)snprintf(name, sizeof name, TAME_EXPERT_KIND ":%s", expert);
    const struct learner_part old =
        part_of(before->kind, before->name, before->bytes, before->size);
    const struct learner_part terms = latest(job, "router", name);
    return worker_terms_extend(job, trunk, &part, &old, &terms, f);
}

/* Terms of the experts that this job made or destroyed; of all, if the trunk has moved. */
static enum status settle_terms(struct worker_job *job,
                                const char *stream,
                                const struct learner_trunk *trunk,
                                struct fault *f)
{
    const int moved = !digest_equal(&trunk->state, &job->spec.trunk);
    const uint32_t n_made = job->n_made;
    for (uint32_t i = 0; i < n_made; i++) {
        struct job_owner o = {.kind = TAME_EXPERT_KIND};
        (void)snprintf(o.name, sizeof o.name, "%s", job->made[i].name);
        if (strcmp(job->made[i].kind, TAME_EXPERT_KIND) == 0 && job_owner_of_stream(&o, stream))
            TRY(make_terms(job, trunk, o.name, f));
    }
    for (uint32_t i = 0; i < job->spec.n_parts && moved; i++) {
        struct job_owner o = {.kind = TAME_EXPERT_KIND};
        const struct job_part *p = &job->spec.parts[i];
        (void)snprintf(o.name, sizeof o.name, "%s", p->name);
        if (strcmp(p->kind, TAME_EXPERT_KIND) == 0 && job_owner_of_stream(&o, stream) &&
            !made_find(job, p->kind, p->name))
            TRY(make_terms(job, trunk, o.name, f));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- refits */

/* Whether the new trunk costs an expert more than the limit, on samples that it knows. */
static enum status is_harmed(struct worker_job *job,
                             const struct learner_part *expert,
                             const struct learner_trunk *trunk,
                             int *ret_harmed,
                             struct fault *f)
{
    const struct learner_trunk before = worker_trunk(job);
    const double limit = job->spec.limits.at[GATE_CHECK_RETAIN_MACRO].limit;
    struct worker_rows rows;
    struct job_part part = {.bytes = expert->bytes, .size = expert->size};
    double then = 0, now = 0;
    uint8_t *moved = sysio_alloc(expert->size, 1);
    if (!moved)
        FAIL(f, STATUS_NO_MEMORY, "experts", "no memory for a second expert");
    (void)snprintf(part.kind, sizeof part.kind, "%s", expert->kind);
    (void)snprintf(part.name, sizeof part.name, "%s", expert->name);
    enum status st = worker_rows_find(job, expert, &rows, f);
    const struct learner_rows *on = rows.valid.n > 0 ? &rows.valid : &rows.train;
    if (st == STATUS_OK)
        st = composite_part_accuracy(job, &before, &part, on->rows, on->n, &then, f);
    if (st == STATUS_OK)
        st = tame_learner_moved(expert->bytes, expert->size, &trunk->state, moved, f);
    part.bytes = moved;
    if (st == STATUS_OK)
        st = composite_part_accuracy(job, trunk, &part, on->rows, on->n, &now, f);
    worker_rows_fini(&rows);
    sysio_free(moved);
    *ret_harmed = then - now > limit;
    return st;
}

/* Experts that are trained again on a trunk that has moved; the others only get new windows. */
static enum status list_harmed(struct worker_job *job,
                               const struct learner_trunk *trunk,
                               struct stream_problem *x,
                               struct fault *f)
{
    size_t at = 0;
    x->experts = sysio_alloc((size_t)x->p.n_parts * LEARNER_NAME_SIZE + 1, 1);
    if (!x->experts)
        FAIL(f, STATUS_NO_MEMORY, "experts", "no memory for the names of experts");
    for (uint32_t i = 1; i < x->p.n_parts; i++) {
        const char *name = x->parts[i].name;
        int harmed = 0;
        if (!is_imported(job, name)) /* without its data it cannot be trained again */
            TRY(is_harmed(job, &x->parts[i], trunk, &harmed, f));
        if (!harmed)
            continue;
        if (at > 0)
            x->experts[at++] = ',';
        memcpy(x->experts + at, name, strlen(name) + 1);
        at += strlen(name);
    }
    x->options[x->p.n_options++] = (struct learner_option){"experts", x->experts};
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the task */

static enum status run_action(struct worker_job *job,
                              const struct job_task *task,
                              const struct learner_trunk *trunk,
                              struct stream_problem *x,
                              struct fault *f)
{
    struct learner_outcome outcome;
    const struct learner *l = learner_find(LEARNER_STREAM);
    if (!l)
        FAIL(f, STATUS_INTERNAL, "method", "there is no learner called " LEARNER_STREAM);
    TRY(problem_init(job, task, trunk, x, f));
    if (strcmp(action_of(task), "refit") == 0)
        TRY(list_harmed(job, trunk, x, f));
    return worker_run_learner(job, l, &x->p, &outcome, f);
}

/* A later task of the same stream comes: the terms can wait. */
static int goes_on(const struct worker_job *job, const struct job_task *task)
{
    for (const struct job_task *t = task + 1; t < job->spec.tasks + job->spec.n_tasks; t++)
        if (strcmp(t->learner, task->learner) == 0 && strcmp(t->name, task->name) == 0)
            return 1;
    return 0;
}

enum status worker_stream_run(struct worker_job *job,
                              const struct job_task *task,
                              const struct learner_trunk *trunk,
                              struct fault *f)
{
    const int erases = strcmp(action_of(task), "erase") == 0;
    const struct learner_trunk parent = worker_trunk(job);
    struct stream_problem *x = sysio_alloc(1, sizeof *x);
    if (!x)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for a stream");
    enum status st = own_tables(job, f);
    if (st == STATUS_OK)
        st = run_action(job, task, erases ? &parent : trunk, x, f);
    problem_fini(x);
    sysio_free(x);
    TRY(st);
    TRY(settle_classes(job, task->name, f));
    if (job->spec.unmeasured || goes_on(job, task) || is_import(task)) /* its terms came with it */
        return STATUS_OK;
    return settle_terms(job, task->name, trunk, f);
}

/* ---------------------------------------------------------------- reports */

int worker_stream_measures(const struct worker_job *job)
{
    const struct job_spec *s = &job->spec;
    int streams = 0, changes = s->kind != JOB_CHANGE || s->sets[JOB_SET_SAMPLES].n > 0;
    if (s->unmeasured)
        return 0;
    for (uint32_t i = 0; i < s->n_tasks; i++)
        streams |= strcmp(s->tasks[i].learner, LEARNER_STREAM) == 0;
    for (uint32_t i = 0; i < job->n_made; i++)
        changes |= job_kind_answers(job->made[i].kind);
    for (uint32_t k = 0; k < s->n_classes; k++)
        changes |= s->classes[k].status == JOB_CLASS_FORGET_NOW;
    return !streams || changes;
}

static uint32_t count_live(const struct job_spec *s)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->n_classes; k++)
        n += s->classes[k].status == JOB_CLASS_LIVE || s->classes[k].status == JOB_CLASS_MISSING;
    return n;
}

static enum status encode_report(struct worker_job *job,
                                 const struct eval_report *report,
                                 struct job_result *r,
                                 struct fault *f)
{
    const size_t size = eval_report_encoded_size(report);
    void *bytes = arena_alloc(&job->arena, 1, size);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "report", "no room for a report of %zu bytes", size);
    TRY(eval_report_encode(report, bytes, size, f));
    r->report = bytes;
    r->report_size = size;
    return STATUS_OK;
}

enum status worker_stream_report(struct worker_job *job, struct job_result *result, struct fault *f)
{
    struct eval_report report;
    eval_report_init(&report);
    report.kind = EVAL_KIND_RECHECK;
    report.seed = job->spec.seed;
    report.n_outputs = job->spec.n_classes;
    report.n_live = count_live(&job->spec);
    report.seconds = (double)(clock_mono_us() - job->started_us) * 1e-6;
    TRY(gate_check_apply(&report, &job->spec.limits, &job->arena, f));
    return encode_report(job, &report, result, f);
}
