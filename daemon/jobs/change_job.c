#include "daemon/jobs/change_job.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_fast.h"
#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/import_job.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/task_data.h"
#include "daemon/jobs/version_data.h"
#include "proto/limits.h"

#define LEARNER_LANE   "multilane"
#define LEARNER_CLOSED "closed"
#define LEARNER_ROUTER "ridge"

/* ---------------------------------------------------------------- tasks */

static int is_learn(const struct job *job)
{
    return strcmp(job->record.kind, JOB_TEXT_KIND_LEARN) == 0;
}

/* Streams and their experts are changed by stream_job.c. */
static int is_of_stream(const struct job *job, uint32_t owner)
{
    const char *kind = job->owners[owner].kind;
    return strcmp(kind, VERSION_KIND_EXPERT) == 0 || strcmp(kind, VERSION_KIND_STREAM) == 0;
}

static enum status tasks_room(struct job *job, struct fault *f)
{
    if (job->tasks)
        return STATUS_OK;
    job->tasks = sysio_alloc(4 * (size_t)JOB_MAX_OWNERS + 4, sizeof *job->tasks);
    if (!job->tasks)
        FAIL(f, STATUS_NO_MEMORY, "tasks", "no memory for the job's tasks");
    job->spec.tasks = job->tasks;
    return STATUS_OK;
}

struct job_task *change_job_task(struct job *job, const char *learner, uint32_t owner)
{
    struct job_task *t = &job->tasks[job->spec.n_tasks++];
    *t = (struct job_task){.owner = owner, .root = job->record.id, .seed = job->record.seed};
    (void)snprintf(t->learner, sizeof t->learner, "%s", learner);
    return t;
}

enum status
change_job_option(struct job_task *t, const char *name, const char *value, struct fault *f)
{
    struct job_option *o = &t->options[t->n_options];
    if (t->n_options == JOB_MAX_OPTIONS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS);
    if (strlen(name) >= sizeof o->name || strlen(value) >= sizeof o->value)
        FAIL(f, STATUS_INVALID_ARGUMENT, "options", "an option's name or value is too long");
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    (void)snprintf(o->value, sizeof o->value, "%s", value);
    t->n_options++;
    return STATUS_OK;
}

static enum status
set_options(struct job_task *t, const struct wire_option *options, size_t n, struct fault *f)
{
    if (n > JOB_MAX_OPTIONS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS);
    for (size_t i = 0; i < n; i++)
        TRY(change_job_option(t, options[i].name, options[i].value, f));
    return STATUS_OK;
}

/* Terms do not depend on a request: the root is zero and the seed that of the base. */
static enum status add_router_task(struct job *job, uint32_t owner, struct fault *f)
{
    char name[JOB_OWNER_TEXT_SIZE];
    job_owner_text(&job->owners[owner], name);
    if (strlen(name) >= JOB_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "task", "the task's name is longer than %d bytes",
             JOB_NAME_SIZE - JOB_KIND_SIZE);
    struct job_task *t = change_job_task(job, LEARNER_ROUTER, owner);
    memset(&t->root, 0, sizeof t->root);
    t->seed = 0;
    memcpy(t->name, name, strlen(name) + 1);
    return STATUS_OK;
}

/* The learner of a task's component. */
static const char *learner_of(const struct job *job, uint32_t owner)
{
    const int lane = strcmp(job->owners[owner].kind, VERSION_KIND_LANE) == 0;
    return lane ? LEARNER_LANE : LEARNER_CLOSED;
}

/* ---------------------------------------------------------------- learn */

enum status
change_job_open(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    if (!is_learn(job))
        return import_job_open(txn, c, job, f);
    TRY(admit_learn(txn, c, &job->message->body.learn, job->parent, NULL, f));
    return dataset_get(txn, job->message->body.learn.data, DATASET_TRAIN, &job->new_data, f);
}

static int has_part(const struct job *job, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < job->spec.n_parts; i++)
        if (strcmp(job->parts[i].kind, kind) == 0 && strcmp(job->parts[i].name, name) == 0)
            return 1;
    return 0;
}

enum status change_job_base_terms(struct job *job, struct fault *f)
{
    return has_part(job, VERSION_KIND_ROUTER, "base") ? STATUS_OK : add_router_task(job, 0, f);
}

static enum status
plan_learn(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    const struct wire_learn *m = &job->message->body.learn;
    const struct dataset *d = job->new_data;
    const char *kind = admit_learn_is_ridge(m) ? VERSION_KIND_RIDGE : VERSION_KIND_LANE;
    uint32_t owner;
    TRY(version_data_add_owner(job, kind, m->task, d->class_names, d->n_classes, &owner, f));
    job->spec.learned = owner;
    TRY(version_data_images(txn, c->base, (uint32_t)c->config->eval_per_class, owner, TASK_TRAIN,
                            job, f));
    struct job_task *lane = change_job_task(job, learner_of(job, owner), owner);
    (void)snprintf(lane->name, sizeof lane->name, "%s", m->task);
    TRY(set_options(lane, m->options, m->n_options, f));
    TRY(add_router_task(job, owner, f));
    return change_job_base_terms(job, f);
}

static enum status
plan_import(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    int router;
    TRY(import_job_plan(txn, c, job, &router, f));
    return router ? add_router_task(job, 0, f) : STATUS_OK;
}

/* ---------------------------------------------------------------- forget */

/* The request that first made a lane: its options and seed make it again. */
static enum status first_request(const struct job_context *c,
                                 struct job *job,
                                 uint32_t owner,
                                 struct job_task *t,
                                 struct fault *f)
{
    const struct job_owner *o = &job->owners[owner];
    const struct version_component *k = version_find_component(job->parent, o->kind, o->name);
    const struct wire_envelope *message;
    void *bytes, *memory;
    size_t size;
    if (!k)
        FAIL(f, STATUS_DATA_LOSS, "labels", "%s %s has labels but no component", o->kind, o->name);
    t->root = k->request;
    t->seed = k->seed;
    TRY(store_read_payload(c->store, &k->request, &bytes, &size, f));
    enum status st = STATUS_NO_MEMORY;
    struct arena arena;
    memory = sysio_alloc(LIMIT_DECODE_BYTES * 2u, 1);
    if (memory) {
        arena_init(&arena, memory, LIMIT_DECODE_BYTES * 2u);
        st = wire_envelope_decode(bytes, size, &arena, &message, f);
        if (st == STATUS_OK && message->kind == WIRE_KIND_LEARN)
            st = set_options(t, message->body.learn.options, message->body.learn.n_options, f);
        arena_fini(&arena);
    }
    sysio_free(memory);
    sysio_free(bytes);
    return st;
}

static enum status
add_lane_task(const struct job_context *c, struct job *job, uint32_t owner, struct fault *f)
{
    struct job_task *t = change_job_task(job, learner_of(job, owner), owner);
    (void)snprintf(t->name, sizeof t->name, "%s", job->owners[owner].name);
    return first_request(c, job, owner, t, f);
}

static uint32_t count_classes(const struct job *job, uint32_t owner, enum job_class_status status)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        n += job->classes[k].owner == owner && job->classes[k].status == status;
    return n;
}

/* The component of an owner and its router terms disappear. */
static void drop_owner(struct job *job, uint32_t owner)
{
    char name[JOB_OWNER_TEXT_SIZE];
    const struct job_owner *o = &job->owners[owner];
    job_owner_text(o, name);
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        struct job_part *p = &job->parts[i];
        const int own = strcmp(p->kind, o->kind) == 0 && strcmp(p->name, o->name) == 0;
        const int terms = strcmp(p->kind, VERSION_KIND_ROUTER) == 0 && strcmp(p->name, name) == 0;
        p->dropped |= own || terms;
    }
}

/* Whether the request asks for `fast` and this owner's component can be changed in that way. */
static int is_fast(struct kv_txn *txn, const struct job *job, uint32_t owner)
{
    char text[JOB_OWNER_TEXT_SIZE];
    job_owner_text(&job->owners[owner], text);
    return job->message->body.forget.mode == WIRE_MODE_FAST &&
           admit_fast(txn, job->parent, text, NULL) == STATUS_OK;
}

/* The component is changed and stays; its options are the request's (job_build_attempt). */
static void add_suppression(struct job *job, uint32_t owner)
{
    struct job_task *t = change_job_task(job, learner_of(job, owner), owner);
    const struct job_owner *o = &job->owners[owner];
    const struct version_component *k = version_find_component(job->parent, o->kind, o->name);
    (void)snprintf(t->name, sizeof t->name, "%s", o->name);
    t->suppress = 1;
    if (k) {
        t->root = k->request;
        t->seed = k->seed;
    }
}

/*
 * An owner that loses classes or samples: destroyed if nothing is left, else made again, or, where
 * the request says so, changed.
 */
static enum status plan_lane(struct kv_txn *txn,
                             const struct job_context *c,
                             struct job *job,
                             uint32_t owner,
                             struct fault *f)
{
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    const uint32_t left = count_classes(job, owner, JOB_CLASS_LIVE);
    const int fast = left > 0 && is_fast(txn, job, owner);
    const enum task_use use = fast ? TASK_SUPPRESS : left > 0 ? TASK_TRAIN : TASK_TEST;
    TRY(version_data_images(txn, c->base, test, owner, use, job, f));
    if (left == 0) {
        drop_owner(job, owner);
        return STATUS_OK;
    }
    if (fast)
        add_suppression(job, owner);
    else
        TRY(add_lane_task(c, job, owner, f));
    return add_router_task(job, owner, f);
}

/*
 * A lane that came as a file, over a trunk that changes: it can neither be refitted nor can its
 * terms be counted again, so it stays and its terms are carried over; the manifest says so.
 */
static enum status plan_carried(struct kv_txn *txn,
                                const struct job_context *c,
                                struct job *job,
                                uint32_t owner,
                                struct fault *f)
{
    char name[JOB_OWNER_TEXT_SIZE];
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    job_owner_text(&job->owners[owner], name);
    TRY(version_data_images(txn, c->base, test, owner, TASK_TEST, job, f));
    if (!has_part(job, VERSION_KIND_ROUTER, name))
        return STATUS_OK;
    TRY(add_router_task(job, owner, f));
    job->tasks[job->spec.n_tasks - 1].carried = 1;
    return STATUS_OK;
}

/* Lanes over a trunk that changes: measured, and made again if they lost too much. */
static enum status plan_refit(struct kv_txn *txn,
                              const struct job_context *c,
                              struct job *job,
                              uint32_t owner,
                              struct fault *f)
{
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    if (count_classes(job, owner, JOB_CLASS_LIVE) == 0)
        return version_data_images(txn, c->base, test, owner, TASK_TEST, job, f);
    if (version_data_is_imported(job->parent, job->owners[owner].kind, job->owners[owner].name))
        return plan_carried(txn, c, job, owner, f);
    TRY(version_data_images(txn, c->base, test, owner, TASK_TRAIN, job, f));
    TRY(add_lane_task(c, job, owner, f));
    job->tasks[job->spec.n_tasks - 1].only_if_worse = 1;
    return add_router_task(job, owner, f);
}

/* ---------------------------------------------------------------- samples of a task */

/* The owner of the samples' classes; 0: the base. */
static uint32_t owner_of_samples(const struct job *job)
{
    for (uint32_t k = job->spec.config.classes; k < job->spec.n_classes; k++)
        if (strcmp(job->classes[k].name, job->samples->class_names[0]) == 0)
            return job->classes[k].owner;
    return 0;
}

enum status change_job_known(struct task_keys *cache,
                             struct kv_txn *txn,
                             const char *source,
                             const struct digest *keys,
                             size_t n,
                             size_t *ret_known,
                             struct fault *f)
{
    struct dataset *d;
    struct digest *all;
    *ret_known = 0;
    const enum status found = dataset_get(txn, source, DATASET_TRAIN, &d, f);
    if (found == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(found);
    const uint64_t total = d->n;
    const enum status st = task_data_keys(cache, txn, d, &all, f);
    datasets_free(d);
    TRY(st);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < total && memcmp(all[at].b, keys[i].b, DIGEST_SIZE) < 0)
            at++;
        *ret_known += at < total && digest_equal(&all[at], &keys[i]) ? 1 : 0;
    }
    sysio_free(all);
    return STATUS_OK;
}

static enum status
erase_samples(struct kv_txn *txn, struct job *job, uint32_t owner, struct fault *f)
{
    struct digest *keys;
    size_t known;
    const char *source = version_data_source(job, owner);
    if (!source)
        FAIL(f, STATUS_DATA_LOSS, "lineage", "the task does not say which data it was trained on");
    TRY(task_data_keys(job->keys, txn, job->samples, &keys, f));
    enum status st =
        change_job_known(job->keys, txn, source, keys, (size_t)job->samples->n, &known, f);
    if (st == STATUS_OK && known == 0)
        st = fault_set(f, STATUS_NOT_FOUND, __FILE__, __LINE__, "samples",
                       "none of these samples was ever learned by %s", job->owners[owner].name);
    if (st == STATUS_OK)
        st =
            version_data_erase(txn, job, job->owners[owner].name, keys, (size_t)job->samples->n, f);
    sysio_free(keys);
    return st;
}

/* ---------------------------------------------------------------- any erasure */

/* Test images of an expert that came as a file and has not learned from any stream's data here. */
static enum status test_expert(struct kv_txn *txn,
                               const struct job_context *c,
                               struct job *job,
                               uint32_t owner,
                               struct fault *f)
{
    const struct job_owner *o = &job->owners[owner];
    if (strcmp(o->kind, VERSION_KIND_EXPERT) != 0 ||
        !version_data_is_imported(job->parent, o->kind, o->name) ||
        version_data_dataset(job->parent, o->kind, o->name))
        return STATUS_OK;
    return version_data_images(txn, c->base, (uint32_t)c->config->eval_per_class, owner, TASK_TEST,
                               job, f);
}

static enum status
plan_forget(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    const uint32_t sampled = job->samples ? owner_of_samples(job) : 0;
    const int on_base = count_classes(job, 0, JOB_CLASS_FORGET_NOW) > 0 ||
                        version_data_erasing(job, VERSION_ERASED_BASE) != NULL;
    job->kind = on_base ? JOB_FORGET : JOB_CHANGE;
    if (is_of_stream(job, sampled))
        TRY(stream_job_erase_samples(txn, job, &job->owners[sampled], f));
    else if (sampled != 0)
        TRY(erase_samples(txn, job, sampled, f));
    for (uint32_t owner = 1; owner < job->spec.n_owners; owner++) {
        if (is_of_stream(job, owner)) {
            TRY(test_expert(txn, c, job, owner, f));
            continue;
        }
        const int loses = count_classes(job, owner, JOB_CLASS_FORGET_NOW) > 0 ||
                          version_data_erasing(job, job->owners[owner].name) != NULL;
        if (loses)
            TRY(plan_lane(txn, c, job, owner, f));
        else if (on_base)
            TRY(plan_refit(txn, c, job, owner, f));
        else
            TRY(version_data_images(txn, c->base, (uint32_t)c->config->eval_per_class, owner,
                                    TASK_TEST, job, f));
    }
    if (on_base && job->spec.n_owners > 1)
        TRY(add_router_task(job, 0, f));
    return stream_job_forget(txn, c, job, on_base, f);
}

/* ---------------------------------------------------------------- all requests */

enum status
change_job_plan(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    TRY(tasks_room(job, f));
    if (job_is_forget(job))
        return plan_forget(txn, c, job, f);
    for (uint32_t owner = 1; owner < job->spec.n_owners; owner++)
        TRY(is_of_stream(job, owner)
                ? test_expert(txn, c, job, owner, f)
                : version_data_images(txn, c->base, test, owner, TASK_TEST, job, f));
    if (stream_job_is(job))
        return stream_job_plan(txn, c, job, f);
    TRY(stream_job_test(txn, c, job, NULL, f));
    if (is_learn(job))
        return plan_learn(txn, c, job, f);
    return import_job_is(job) ? plan_import(txn, c, job, f) : STATUS_OK;
}

/* ---------------------------------------------------------------- what can be asked */

/* Some test image is of a class that the request erases, or, if it erases none, brings. */
static int is_tested(const struct job *job)
{
    const struct job_set *test = &job->spec.sets[JOB_SET_TEST];
    for (uint32_t i = 0; i < test->n; i++) {
        const struct job_class *c = &job->classes[test->labels[i]];
        const int erased =
            c->status == JOB_CLASS_FORGET_NOW && !c->fresh; /* fresh: it only waited */
        if (job->imported ? c->owner == job->spec.learned : erased)
            return 1;
    }
    return 0;
}

/* What stays in a component that is only changed is never taken for gone without a test. */
static int suppresses(const struct job *job)
{
    for (uint32_t i = 0; i < job->spec.n_tasks; i++)
        if (job->tasks[i].suppress)
            return 1;
    return 0;
}

void change_job_limits(const struct job *job, struct gate_limits *limits)
{
    const int erases = job_is_forget(job) && job->kind == JOB_CHANGE && !suppresses(job) &&
                       job->sets.set[JOB_SET_SAMPLES].n == 0;
    if (job->imported && !is_tested(job))
        limits->at[GATE_CHECK_NEW_TASK].rule = GATE_RULE_NO_FAIL;
    if (erases && !is_tested(job))
        limits->at[GATE_CHECK_ACC_FORGET].rule = GATE_RULE_NO_FAIL;
}
