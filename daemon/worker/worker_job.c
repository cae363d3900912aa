#include "daemon/worker/worker_job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/worker/measure.h"
#include "learners/math/gemm.h"
#include "learners/methods/gslora/gslora.h"
#include "learners/methods/gslora/prototype_means.h"

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

void worker_job_tell(struct worker_job *job, const char *phase, uint32_t step, uint32_t steps)
{
    struct job_progress *p = &job->last;
    (void)snprintf(p->phase, sizeof p->phase, "%s", phase);
    p->step = step;
    p->steps = steps;
    p->seconds_left = -1.0f;
    tell_last(job);
}

uint32_t worker_job_row(const struct worker_job *job, enum job_set_role role, uint32_t i)
{
    return job->first_row[role] + i;
}

/* Seconds left from the mean time of a step so far; early stops make it an upper bound. */
static float seconds_left(int64_t started_us, uint32_t step, uint32_t steps)
{
    if (step == 0 || steps < step)
        return -1.0f;
    const double spent = (double)(clock_mono_us() - started_us) * 1e-6;
    return (float)(spent / step * (steps - step));
}

struct training_watch {
    struct worker_job *job;
    int64_t started_us;
};

static void on_training_step(void *context, const struct gslora_progress *g)
{
    struct training_watch *watch = context;
    struct worker_job *job = watch->job;
    struct job_progress *p = &job->last;
    (void)snprintf(p->phase, sizeof p->phase, "train");
    p->epoch = g->epoch;
    p->epochs = g->epochs;
    p->step = g->step;
    p->steps = g->steps;
    p->loss = g->loss;
    p->loss_retain = g->loss_retain;
    p->loss_forget = g->loss_forget;
    p->loss_depth = g->loss_depth;
    p->acc_forget = g->figures ? (float)g->figures->acc_forget : -1.0f;
    p->acc_retain = g->figures ? (float)g->figures->acc_retain : -1.0f;
    p->n_groups = g->n_groups < VIT_MAX_DEPTH ? g->n_groups : VIT_MAX_DEPTH;
    memcpy(p->group_norms, g->group_norms, p->n_groups * sizeof(float));
    p->seconds_left = seconds_left(watch->started_us, g->step, g->steps);
    tell_last(job);
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

/* The table that gslora may see: every set but the reference, whose labels count for themselves. */
static struct image_table training_images(const struct worker_job *job)
{
    struct image_table t = job->images;
    t.n = job->first_row[JOB_SET_REFERENCE];
    return t;
}

/* ---------------------------------------------------------------- forget */

static enum status read_options(const struct job_spec *s, struct gslora_options *o, struct fault *f)
{
    gslora_options_default(o);
    for (uint32_t i = 0; i < s->n_options; i++)
        TRY(gslora_options_set(o, s->options[i].name, s->options[i].value, f));
    return gslora_options_check(o, f);
}

/* Rows of `role` whose class has `status`, appended to `list`. */
static uint32_t rows_of(const struct worker_job *job,
                        enum job_set_role role,
                        enum job_class_status status,
                        uint32_t *list)
{
    const struct job_set *set = &job->spec.sets[role];
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        if (job->spec.classes[set->labels[i]].status == status)
            list[n++] = worker_job_row(job, role, i);
    }
    return n;
}

/* One fifth of the samples validates, every fifth in their order; the rest trains. */
static void sample_lists(const struct worker_job *job, uint32_t *list, struct gslora_lists *ret)
{
    const uint32_t n = job->spec.sets[JOB_SET_SAMPLES].n;
    uint32_t n_train = 0, n_valid = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i % 5 != 4 || n < 20)
            list[n_train++] = worker_job_row(job, JOB_SET_SAMPLES, i);
    }
    uint32_t *valid = list + n_train;
    for (uint32_t i = 4; i < n && n >= 20; i += 5)
        valid[n_valid++] = worker_job_row(job, JOB_SET_SAMPLES, i);
    *ret = (struct gslora_lists){list, valid, n_train, n_valid};
}

static struct gslora_lists
class_lists(const struct worker_job *job, enum job_class_status status, uint32_t *list)
{
    const uint32_t n_train = rows_of(job, JOB_SET_MEMORY_TRAIN, status, list);
    uint32_t *valid = list + n_train;
    const uint32_t n_valid = rows_of(job, JOB_SET_MEMORY_VALIDATION, status, valid);
    return (struct gslora_lists){list, valid, n_train, n_valid};
}

/* The same for the plan and for the run: the index lists are in job->rows either way. */
static void forget_problem(const struct worker_job *job, struct gslora_problem *p)
{
    const struct job_spec *s = &job->spec;
    *p = (struct gslora_problem){.config = s->config,
                                 .weights = &job->parent,
                                 .prototypes = s->prototypes,
                                 .prototype_counts = s->prototype_counts,
                                 .images = training_images(job),
                                 .origin = {.base = s->base,
                                            .parent = s->parent,
                                            .memory = s->memory_digest,
                                            .prototypes = s->prototype_digest,
                                            .request = s->request,
                                            .seed = s->seed}};
    p->retain = class_lists(job, JOB_CLASS_LIVE, job->rows);
    uint32_t *more = job->rows + p->retain.n_train + p->retain.n_valid;
    p->samples = s->sets[JOB_SET_SAMPLES].n > 0;
    if (p->samples)
        sample_lists(job, more, &p->forget);
    else
        p->forget = class_lists(job, JOB_CLASS_FORGET_NOW, more);
}

/* Lists, options, training. */
static enum status
worker_forget(struct worker_job *job, struct gslora_result *ret_trained, struct fault *f)
{
    struct gslora_problem problem;
    struct gslora_options options;
    TRY(read_options(&job->spec, &options, f));
    forget_problem(job, &problem);
    struct training_watch watch = {job, clock_mono_us()};
    const struct gslora_tools tools = {.pool = job->pool,
                                       .arena = &job->arena,
                                       .observer = on_training_step,
                                       .observer_context = &watch};
    return gslora_run(&problem, &options, &tools, ret_trained, f);
}

/* Prototypes of the base from the training memory, when the spec brings none. */
static enum status worker_prototypes(struct worker_job *job, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    if (s->prototypes)
        return STATUS_OK;
    const size_t n = s->sets[JOB_SET_MEMORY_TRAIN].n;
    uint32_t *list = arena_alloc(&job->arena, n + 1, sizeof *list);
    float *means =
        arena_alloc_zero(&job->arena, (size_t)s->n_classes * s->config.width, sizeof *means);
    uint64_t *counts = arena_alloc_zero(&job->arena, s->n_classes, sizeof *counts);
    if (!list || !means || !counts)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no room for the prototypes");
    for (uint32_t i = 0; i < n; i++)
        list[i] = worker_job_row(job, JOB_SET_MEMORY_TRAIN, i);
    const struct image_table images = training_images(job);
    const struct prototype_means_job means_job = {&s->config, &job->base,  &images,
                                                  list,       (uint32_t)n, GSLORA_PROTO_EMBED};
    TRY(prototype_means_compute(&means_job, job->pool, &job->arena, means, counts, f));
    job->spec.prototypes = means;
    job->spec.prototype_counts = counts;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- memory */

static enum status plan_forget(const struct worker_job *job, size_t *total, struct fault *f)
{
    struct gslora_options o;
    struct gslora_problem p;
    TRY(read_options(&job->spec, &o, f));
    forget_problem(job, &p);
    return plan_add(total, gslora_plan(&p, &o, job->spec.threads), "gslora", f);
}

static enum status plan_job(const struct worker_job *job, size_t *ret_total, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    struct arena_plan fixed = {0};
    size_t total = 0, deltas = 0;
    for (uint32_t i = 0; i < s->n_erasures; i++)
        TRY(plan_add(&deltas, delta_decode_plan(s->erasures[i].delta_size), "erasures", f));
    arena_plan_add(&fixed, s->n_erasures + 1u, sizeof(struct delta));
    arena_plan_add(&fixed, 1, pool_plan(s->threads));
    arena_plan_add(&fixed, delta_fold_floats(&s->config), sizeof(float));
    arena_plan_add(&fixed, (size_t)s->n_classes * s->config.width, sizeof(float));
    arena_plan_add(&fixed, s->n_classes, sizeof(uint64_t));
    arena_plan_add(&fixed, (size_t)job->images.n + 2, sizeof(uint32_t));
    TRY(plan_add(&total, arena_plan_bytes(&fixed), "model", f));
    TRY(plan_add(&total, deltas, "erasures", f));
    TRY(plan_add(&total, prototype_means_plan(&s->config, s->threads), "prototypes", f));
    TRY(plan_add(&total, measure_plan(job), "measure", f));
    if (s->kind == JOB_FORGET)
        TRY(plan_forget(job, &total, f));
    *ret_total = total;
    return STATUS_OK;
}

static enum status job_memory(struct worker_job *job, struct fault *f)
{
    size_t total;
    TRY(plan_job(job, &total, f));
    if (total > job->spec.memory_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max",
             "the job needs %zu MiB, the limit is %llu MiB", total >> 20,
             (unsigned long long)(job->spec.memory_max >> 20));
    job->memory = sysio_alloc(total, 1);
    if (!job->memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %zu MiB", total >> 20);
    arena_init(&job->arena, job->memory, total);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- weights */

static enum status fold_parent(struct worker_job *job, struct fault *f)
{
    const struct job_spec *s = &job->spec;
    job->deltas = arena_alloc_zero(&job->arena, s->n_erasures + 1u, sizeof *job->deltas);
    float *folded = arena_alloc(&job->arena, delta_fold_floats(&s->config), sizeof *folded);
    if (!job->deltas || !folded)
        FAIL(f, STATUS_NO_MEMORY, "parent", "no room for the folded weights");
    for (uint32_t i = 0; i < s->n_erasures; i++) {
        const struct job_erasure *e = &s->erasures[i];
        TRY(delta_decode(e->delta, e->delta_size, &s->config, &job->arena, &job->deltas[i], f));
    }
    delta_fold_map(&s->config, &job->base, folded, &job->parent);
    delta_fold(&s->config, &job->base, job->deltas, s->n_erasures, &job->parent);
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
    return fold_parent(job, f);
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
    if (job->spec.kind != JOB_FORGET)
        return measure_run(job, NULL, result, f);
    struct gslora_result trained;
    TRY(worker_forget(job, &trained, f));
    const size_t size = delta_encoded_size(&trained.delta);
    void *bytes = arena_alloc(&job->arena, 1, size);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "delta", "no room for a delta of %zu bytes", size);
    delta_encode(&trained.delta, bytes, size);
    result->delta = bytes;
    result->delta_size = size;
    result->groups_total = trained.groups_total;
    result->groups_zero = trained.groups_zero;
    return measure_run(job, &trained, result, f);
}

/* Room for the lists of the largest spec that can be decoded. */
static enum status job_lists(struct worker_job *job, struct fault *f)
{
    struct arena_plan plan = {0};
    arena_plan_add(&plan, VIT_MAX_CLASSES, sizeof(struct job_class));
    arena_plan_add(&plan, JOB_MAX_ERASURES, sizeof(struct job_erasure));
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
    job->last.acc_forget = job->last.acc_retain = -1.0f;
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
    if (job->memory)
        arena_fini(&job->arena);
    if (job->list_memory)
        arena_fini(&job->lists);
    sysio_free(job->list_memory);
    sysio_free(job->memory);
    sysio_free(job->rows);
    *job = (struct worker_job){0};
}
