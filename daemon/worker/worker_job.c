#include "daemon/worker/worker_job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/worker/carry.h"
#include "daemon/worker/measure.h"
#include "daemon/worker/worker_stream.h"
#include "daemon/worker/worker_train.h"
#include "learners/math/gemm.h"
#include "learners/methods/gslora/prototype_means.h"
#include "proto/seal/hash.h"
#include "proto/seal/trunk_digest.h"

/* ---------------------------------------------------------------- progress */

static void tell_last(struct worker_job *job)
{
    job->told_us = clock_mono_us();
    job->progress(job->progress_context, &job->last);
}

/* Stretches without steps of their own (prototypes, prefix cache) still show that work is done. */
static void on_pool_round(void *context)
{
    struct worker_job *job = context;
    if (clock_mono_us() - job->told_us >= JOB_TICK_MS * 1000)
        tell_last(job);
}

void worker_job_tell_left(
    struct worker_job *job, const char *phase, uint32_t step, uint32_t steps, float seconds_left)
{
    struct job_progress *p = &job->last;
    (void)snprintf(p->phase, sizeof p->phase, "%s", phase);
    p->step = step;
    p->steps = steps;
    p->seconds_left = seconds_left;
    tell_last(job);
}

void worker_job_tell(struct worker_job *job, const char *phase, uint32_t step, uint32_t steps)
{
    worker_job_tell_left(job, phase, step, steps, -1.0f);
}

uint32_t worker_job_row(const struct worker_job *job, enum job_set_role role, uint32_t i)
{
    return job->first_row[role] + i;
}

int worker_job_suppresses(const struct worker_job *job)
{
    for (uint32_t i = 0; i < job->spec.n_tasks; i++)
        if (job->spec.tasks[i].suppress)
            return 1;
    return 0;
}

void worker_job_labels(const struct job_set *set, worker_label *add, void *context)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        add(context, i, (uint32_t)set->labels[i]);
        for (; at < set->n_more && set->more[at].row == i; at++)
            add(context, i, set->more[at].class);
    }
}

int worker_job_shows(const struct worker_job *job, uint32_t row, uint32_t class)
{
    size_t role = 0;
    while (row - job->first_row[role] >= job->spec.sets[role].n)
        role++;
    return job_set_has(&job->spec.sets[role], row - job->first_row[role], class);
}

/* ---------------------------------------------------------------- set-up */

static void job_images(struct worker_job *job)
{
    const struct job_spec *s = &job->spec;
    struct image_table *t = &job->images;
    t->pixels = s->sets[0].pixels;
    t->labels = s->sets[0].labels;
    t->size = s->config.image_size;
    t->channels = s->config.channels;
    for (uint32_t c = 0; c < s->config.channels; c++) {
        t->scale[c] = 1.0f / (255.0f * s->std[c]);
        t->shift[c] = -s->mean[c] / s->std[c];
    }
    uint32_t row = 0;
    for (size_t i = 0; i < JOB_SETS; i++) {
        job->first_row[i] = row;
        row += s->sets[i].n;
    }
    t->n = row;
}

static enum status plan_add(size_t *total, size_t bytes, const char *what, struct fault *f)
{
    if (bytes == SIZE_MAX || __builtin_add_overflow(*total, bytes, total))
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, what, "the memory plan overflows");
    return STATUS_OK;
}

static enum status base_labels(struct worker_job *job, struct fault *f)
{
    const uint32_t n = job->first_row[JOB_SET_REFERENCE];
    job->base_labels = sysio_alloc((size_t)job->images.n + 1, sizeof *job->base_labels);
    if (!job->base_labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for the labels");
    for (uint32_t i = 0; i < n; i++) {
        const int32_t y = job->images.labels[i];
        job->base_labels[i] = y < (int32_t)job->spec.config.classes ? y : 0;
    }
    return STATUS_OK;
}

struct image_table worker_base_images(const struct worker_job *job)
{
    struct image_table t = job->images;
    t.n = job->first_row[JOB_SET_REFERENCE];
    t.labels = job->base_labels;
    return t;
}

/* ---------------------------------------------------------------- prototypes */

/* Prototypes of the base from the training memory, when the spec brings none. */
static enum status worker_prototypes(struct worker_job *job, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    if (s->prototypes)
        return STATUS_OK;
    const size_t n = s->sets[JOB_SET_MEMORY_TRAIN].n;
    uint32_t *list = arena_alloc(&job->arena, n + 1, sizeof *list);
    float *means =
        arena_alloc_zero(&job->arena, (size_t)s->config.classes * s->config.width, sizeof *means);
    uint64_t *counts = arena_alloc_zero(&job->arena, s->config.classes, sizeof *counts);
    if (!list || !means || !counts)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no room for the prototypes");
    for (uint32_t i = 0; i < n; i++)
        list[i] = worker_job_row(job, JOB_SET_MEMORY_TRAIN, i);
    const struct image_table images = worker_base_images(job);
    const struct prototype_means_job means_job = {&s->config, &job->base,  &images,
                                                  list,       (uint32_t)n, GSLORA_PROTO_EMBED};
    TRY(prototype_means_compute(&means_job, job->pool, &job->arena, means, counts, f));
    job->spec.prototypes = means;
    job->spec.prototype_counts = counts;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- memory */

/* A report in which nothing was measured, and its checks. */
#define EMPTY_REPORT_BYTES 8192

/* More than any delta of this model takes: every block, the largest rank. */
static size_t new_delta_size(const struct job_spec *s)
{
    const size_t group = delta_group_floats(s->config.width, s->config.hidden, VIT_MAX_RANK);
    return (group * s->config.depth + (size_t)s->n_classes * 2 + 4096) * sizeof(float);
}

static enum status plan_job(const struct worker_job *job, size_t *ret_total, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    struct arena_plan fixed = {0};
    size_t total = 0, deltas = 0;
    for (uint32_t i = 0; i < s->n_erasures; i++)
        TRY(plan_add(&deltas, delta_decode_plan(s->erasures[i].delta_size), "erasures", f));
    if (s->kind == JOB_FORGET)
        TRY(plan_add(&deltas, delta_decode_plan(new_delta_size(s)), "erasures", f));
    arena_plan_add(&fixed, s->n_erasures + 1u, sizeof(struct delta));
    arena_plan_add(&fixed, 1, pool_plan(s->threads));
    arena_plan_add(&fixed, delta_fold_floats(&s->config), sizeof(float));
    arena_plan_add(&fixed, delta_fold_floats(&s->config), sizeof(float));
    arena_plan_add(&fixed, (size_t)s->config.classes * s->config.width, sizeof(float));
    arena_plan_add(&fixed, s->config.classes, sizeof(uint64_t));
    arena_plan_add(&fixed, s->config.classes, sizeof(char *));
    arena_plan_add(&fixed, (size_t)job->images.n + 2, sizeof(uint32_t));
    arena_plan_add(&fixed, 2, EMPTY_REPORT_BYTES);
    TRY(plan_add(&total, arena_plan_bytes(&fixed), "model", f));
    TRY(plan_add(&total, deltas, "erasures", f));
    TRY(plan_add(&total, prototype_means_plan(&s->config, s->threads), "prototypes", f));
    *ret_total = total;
    return STATUS_OK;
}

enum status
worker_job_claim(struct worker_job *job, size_t bytes, const char *what, struct fault *f)
{
    const uint64_t limit = job->spec.memory_max;
    if (bytes > limit || job->claimed > limit - bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max",
             "%s needs %zu MiB beside %zu in use, the limit is %llu MiB", what, bytes >> 20,
             job->claimed >> 20, (unsigned long long)(limit >> 20));
    job->claimed += bytes;
    return STATUS_OK;
}

void worker_job_release(struct worker_job *job, size_t bytes)
{
    job->claimed -= bytes;
}

/* Better no training than training without room to measure it. */
static enum status try_measure(struct worker_job *job, struct fault *f)
{
    const size_t size = measure_plan(job);
    TRY(worker_job_claim(job, size, "measuring", f));
    worker_job_release(job, size);
    return STATUS_OK;
}

/* Who owns which class may be known only now, so measuring has memory of its own. */
static enum status measure_memory(struct worker_job *job, struct fault *f)
{
    const size_t size = measure_plan(job);
    TRY(worker_job_claim(job, size, "measuring", f));
    job->measure_memory = sysio_alloc(size, 1);
    if (!job->measure_memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %zu MiB", size >> 20);
    job->setup = job->arena;
    arena_init(&job->arena, job->measure_memory, size);
    return STATUS_OK;
}

static enum status job_memory(struct worker_job *job, struct fault *f)
{
    size_t total;
    TRY(plan_job(job, &total, f));
    TRY(worker_job_claim(job, total, "the job", f));
    TRY(try_measure(job, f));
    job->memory = sysio_alloc(total, 1);
    if (!job->memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %zu MiB", total >> 20);
    arena_init(&job->arena, job->memory, total);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- weights */

static enum status
fold(struct worker_job *job, uint32_t n, struct vit_weights *ret_weights, struct fault *f)
{
    const struct vit_config *c = &job->spec.config;
    float *folded = arena_alloc(&job->arena, delta_fold_floats(c), sizeof *folded);
    if (!folded)
        FAIL(f, STATUS_NO_MEMORY, "model", "no room for the folded weights");
    delta_fold_map(c, &job->base, folded, ret_weights);
    delta_fold(c, &job->base, job->deltas, n, ret_weights);
    return STATUS_OK;
}

static enum status fold_parent(struct worker_job *job, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    job->deltas = arena_alloc_zero(&job->arena, s->n_erasures + 1u, sizeof *job->deltas);
    if (!job->deltas)
        FAIL(f, STATUS_NO_MEMORY, "parent", "no room for the deltas");
    for (uint32_t i = 0; i < s->n_erasures; i++) {
        const struct job_erasure *e = &s->erasures[i];
        if (e->delta_size > 0)
            TRY(delta_decode(e->delta, e->delta_size, &s->config, &job->arena,
                             &job->deltas[job->n_deltas++], f));
    }
    TRY(fold(job, job->n_deltas, &job->parent, f));
    job->candidate = job->parent;
    job->candidate_trunk = s->trunk;
    return STATUS_OK;
}

/* The delta that was just made becomes part of the candidate's trunk. */
static enum status fold_candidate(struct worker_job *job, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    const struct job_made *m = &job->made[0];
    struct digest digests[JOB_MAX_ERASURES + 1];
    size_t n = 0;
    TRY(delta_decode(m->bytes, m->size, &s->config, &job->arena, &job->deltas[job->n_deltas], f));
    job->made_delta = 1;
    TRY(fold(job, job->n_deltas + 1, &job->candidate, f));
    for (uint32_t i = 0; i < s->n_erasures; i++)
        if (!digest_is_zero(&s->erasures[i].digest))
            digests[n++] = s->erasures[i].digest;
    digests[n++] = seal_hash(m->bytes, m->size);
    job->candidate_trunk = trunk_digest(&s->base, digests, n);
    return STATUS_OK;
}

static enum status
map_base(struct worker_job *job, const void *base, size_t base_size, struct fault *f)
{
    const size_t floats = vit_weights_floats(&job->spec.config);
    if (base_size < floats * sizeof(float))
        FAIL(f, STATUS_BAD_FORMAT, "base", "%zu bytes of weights, %zu expected", base_size,
             floats * sizeof(float));
    /* The table's pointers are not const; the mapping itself is read-only. */
    vit_weights_map(&job->spec.config, (float *)(uintptr_t)base, &job->base);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the job */

static enum status job_setup(struct worker_job *job, const void *base, size_t size, struct fault *f)
{
    job_images(job);
    TRY(base_labels(job, f));
    job->rows = sysio_alloc((size_t)job->images.n * 2 + 1, sizeof *job->rows);
    if (!job->rows)
        FAIL(f, STATUS_NO_MEMORY, "rows", "no memory for the index lists");
    TRY(map_base(job, base, size, f));
    TRY(job_memory(job, f));
    void *pool = arena_alloc(&job->arena, 1, pool_plan(job->spec.threads));
    if (!pool)
        FAIL(f, STATUS_NO_MEMORY, "pool", "no room for the thread pool");
    TRY(pool_init(pool, job->spec.threads, &job->pool));
    pool_watch(job->pool, on_pool_round, job);
    job->labels = arena_alloc(&job->arena, job->spec.config.classes, sizeof *job->labels);
    if (!job->labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no room for the class names");
    for (uint32_t k = 0; k < job->spec.config.classes; k++)
        job->labels[k] = job->spec.classes[k].name;
    return fold_parent(job, f);
}

/* Everything but the erasure itself works on the trunk that the candidate will have. */
static enum status run_tasks(struct worker_job *job, struct fault *f)
{
    struct learner_trunk trunk = worker_trunk(job);
    const double limit = job->spec.limits.at[GATE_CHECK_RETAIN_MACRO].limit;
    trunk.weights = &job->candidate;
    trunk.state = job->candidate_trunk;
    for (uint32_t i = 0; i < job->spec.n_tasks; i++) {
        const struct job_task *t = &job->spec.tasks[i];
        int needed = 1;
        if (t->carried) {
            TRY(carry_terms(job, t, &trunk, f));
            continue;
        }
        if (strcmp(t->learner, "tame") == 0) {
            TRY(worker_stream_run(job, t, &trunk, f));
            continue;
        }
        if (t->only_if_worse)
            TRY(worker_task_harmed(job, t, &trunk, limit, &needed, f));
        if (needed)
            TRY(worker_train_task(job, t, &trunk, f));
    }
    return STATUS_OK;
}

static enum status job_compute(struct worker_job *job, struct job_result *result, struct fault *f)
{
    const int had_prototypes = job->spec.prototypes != NULL;
    worker_job_tell(job, "prepare", 0, 1);
    TRY(worker_prototypes(job, f));
    if (!had_prototypes) {
        result->prototypes = job->spec.prototypes;
        result->prototype_counts = job->spec.prototype_counts;
    }
    if (job->spec.kind == JOB_FORGET) {
        TRY(worker_train_erasure(job, f));
        TRY(fold_candidate(job, f));
    }
    TRY(run_tasks(job, f));
    result->n_made = job->n_made;
    memcpy(result->made, job->made, job->n_made * sizeof *job->made);
    result->n_events = job->n_events;
    result->events = job->events;
    if (!worker_stream_measures(job))
        return worker_stream_report(job, result, f);
    TRY(measure_memory(job, f));
    return measure_run(job, result, f);
}

/* Room for the lists of the largest spec that can be decoded. */
static enum status job_lists(struct worker_job *job, struct fault *f)
{
    struct arena_plan plan = {0};
    arena_plan_add(&plan, VIT_MAX_CLASSES, sizeof(struct job_class));
    arena_plan_add(&plan, JOB_MAX_ERASURES + 1, sizeof(struct job_erasure));
    arena_plan_add(&plan, JOB_MAX_PARTS + 1, sizeof(struct job_part));
    const size_t size = arena_plan_bytes(&plan);
    job->list_memory = sysio_alloc(size, 1);
    if (!job->list_memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for the job's lists");
    arena_init(&job->lists, job->list_memory, size);
    return STATUS_OK;
}

void worker_job_run(struct worker_job *job,
                    const void *base,
                    size_t base_size,
                    const void *bundle,
                    size_t bundle_size,
                    worker_progress *progress,
                    void *progress_context,
                    struct job_result *ret_result)
{
    *job = (struct worker_job){
        .progress = progress, .progress_context = progress_context, .started_us = clock_mono_us()};
    job->last.acc_forget = job->last.acc_retain = job->last.acc_valid = -1.0f;
    struct job_result *r = ret_result;
    *r = (struct job_result){.status = STATUS_OK};
    enum status st = job_lists(job, &r->fault);
    if (st == STATUS_OK)
        st = job_spec_decode(bundle, bundle_size, &job->lists, &job->spec, &r->fault);
    if (st == STATUS_OK)
        st = job_setup(job, base, base_size, &r->fault);
    if (st == STATUS_OK)
        st = job_compute(job, r, &r->fault);
    r->status = st;
    r->request = job->spec.request;
    r->threads = job->spec.threads;
    (void)snprintf(r->kernel, sizeof r->kernel, "%s", gemm_kernel_name());
    r->seconds = (double)(clock_mono_us() - job->started_us) * 1e-6;
    if (st != STATUS_OK) {
        const struct fault fault = r->fault;
        *r = (struct job_result){.status = st, .fault = fault, .request = job->spec.request};
    }
}

void worker_job_fini(struct worker_job *job)
{
    pool_fini(job->pool);
    if (job->measure_memory)
        arena_fini(&job->setup);
    if (job->memory)
        arena_fini(&job->arena);
    sysio_free(job->measure_memory);
    sysio_free(job->events);
    sysio_free(job->classes);
    sysio_free(job->owners);
    sysio_free(job->own_labels);
    sysio_free(job->keys);
    if (job->list_memory)
        arena_fini(&job->lists);
    sysio_free(job->list_memory);
    sysio_free(job->memory);
    sysio_free(job->rows);
    sysio_free(job->base_labels);
    for (uint32_t i = 0; i < job->n_made; i++)
        sysio_free((void *)(uintptr_t)job->made[i].bytes);
    *job = (struct worker_job){0};
}
