#include "daemon/worker/measure_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/worker/composite.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/evaluate.h"
#include "learners/methods/gslora/delta.h"

#define CHUNK             128 /* images of one forward call */
#define FORGET_PER_CLASS  200 /* images of D_f that are measured */
#define MEMBERS_PER_CLASS 50  /* training images of live classes, for membership of the retained */

/* ---------------------------------------------------------------- groups */

/* An image with several labels is a row for each of those that count in the group. */
static void group_add(struct groups *g, uint32_t row, uint32_t class)
{
    if (g->rows) {
        g->rows[g->n] = row;
        g->classes[g->n] = class;
    }
    g->n++;
}

/* The request teaches this class. */
static int is_learned(const struct worker_job *job, uint32_t c)
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
        if (job->spec.classes[c].status != status || is_learned(job, c))
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
    if (t->erasure == -1 && !is_learned(t->job, class))
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

static void groups_fill(const struct worker_job *job, struct groups *g)
{
    const int samples = job->spec.sets[JOB_SET_SAMPLES].n > 0;
    g->n = 0;
    g->first[G_FORGET] = g->n;
    if (samples)
        group_take_labels(job, g, JOB_SET_SAMPLES, -2);
    else
        group_take(job, g, JOB_SET_MEMORY_TRAIN, JOB_CLASS_FORGET_NOW, FORGET_PER_CLASS);
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

static uint32_t group_size(const struct groups *g, uint32_t group)
{
    return g->first[group + 1] - g->first[group];
}

/* ---------------------------------------------------------------- memory */

struct measure_sizes {
    size_t n, k, c, tokens, depth, pixels, n_forget;
    size_t k_base;
};

static int is_composite(const struct worker_job *job)
{
    return job->spec.n_owners > 1;
}

/* The candidate is not the parent. */
static int is_change(const struct worker_job *job)
{
    return job->spec.kind == JOB_FORGET || job->spec.kind == JOB_CHANGE;
}

static struct measure_sizes sizes_of(const struct worker_job *job, const struct groups *g)
{
    const struct vit_config *v = &job->spec.config;
    return (struct measure_sizes){.n = g->n,
                                  .k = job->spec.n_classes,
                                  .k_base = v->classes,
                                  .c = v->width,
                                  .tokens = vit_tokens(v),
                                  .depth = v->depth,
                                  .pixels = images_floats(&job->images),
                                  .n_forget = group_size(g, G_FORGET)};
}

static void
plan_inputs(const struct worker_job *job, const struct groups *g, struct eval_inputs *in);

size_t measure_plan(const struct worker_job *job)
{
    struct groups g = {0};
    groups_fill(job, &g);
    const struct measure_sizes z = sizes_of(job, &g);
    struct arena_plan p = {0};
    for (int i = 0; i < 2; i++)
        arena_plan_add(&p, z.n + 1, sizeof(uint32_t));
    for (int i = 0; i < 5; i++)
        arena_plan_add(&p, z.n * z.k, sizeof(float));
    arena_plan_add(&p, CHUNK * z.k_base, sizeof(float));
    arena_plan_add(&p, z.k * z.c, sizeof(float)); /* prototypes of all classes */
    arena_plan_add(&p, z.n * z.c, sizeof(float));
    arena_plan_add(&p, z.n * z.c * z.depth * 2, sizeof(float));
    arena_plan_add(&p, CHUNK * z.pixels, sizeof(float));
    arena_plan_add(&p, CHUNK * z.tokens * z.c, sizeof(float));
    arena_plan_add(&p, CHUNK * z.depth * 2 * z.c, sizeof(float));
    arena_plan_add(&p, 2 * CHUNK, sizeof(float *));
    arena_plan_add(&p, z.k, sizeof(struct eval_class) + sizeof(uint8_t) + EVAL_OWNER_SIZE + 64);
    arena_plan_add(&p, job->spec.n_erasures + 1u, sizeof(struct eval_erasure));
    arena_plan_add(&p, z.depth * 2, sizeof(struct eval_block) + EVAL_NAME_SIZE);
    arena_plan_add(&p, 1, vit_batch_plan(&job->spec.config, VIT_INFER, CHUNK, job->spec.threads));
    struct eval_inputs in;
    struct eval_block blocks[2 * VIT_MAX_DEPTH];
    for (size_t b = 0; b < z.depth * 2; b++)
        blocks[b] = (struct eval_block){.width = (uint32_t)z.c};
    in.blocks = blocks;
    plan_inputs(job, &g, &in);
    struct eval_erasure planned[JOB_MAX_ERASURES];
    for (uint32_t q = 0; q < in.n_erasures; q++)
        planned[q] = (struct eval_erasure){.n = group_size(&g, G_ERASED + q)};
    in.erasures = planned;
    struct eval_several several[JOB_MAX_OWNERS];
    in.several = several;
    measure_several_plan(job, &p, &in);
    /* the encoded report is smaller than its lists in memory plus the fixed part */
    arena_plan_add(&p, 2, evaluate_report_plan(&in) + sizeof(struct eval_report));
    arena_plan_add(&p, 1, evaluate_plan(&in));
    return arena_plan_bytes(&p) + (1u << 16);
}

static enum status measure_memory(struct measure *m, struct fault *f)
{
    struct arena *a = &m->job->arena;
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    m->groups.rows = arena_alloc(a, z.n + 1, sizeof(uint32_t));
    m->groups.classes = arena_alloc(a, z.n + 1, sizeof(uint32_t));
    const int composite = is_composite(m->job);
    x->raw = composite ? arena_alloc_zero(a, z.n * z.k, sizeof(float)) : NULL;
    x->logits = arena_alloc_zero(a, z.n * z.k, sizeof(float));
    const int changes = is_change(m->job), path = composite && m->trained;
    x->before = changes ? arena_alloc_zero(a, z.n * z.k, sizeof(float)) : NULL;
    x->path = path ? arena_alloc_zero(a, z.n_forget * z.k, sizeof(float)) : NULL;
    m->base_rows = arena_alloc(a, CHUNK * z.k_base, sizeof(float));
    const int other_base = m->trained && m->job->n_deltas > 0;
    x->base = other_base ? arena_alloc_zero(a, z.n_forget * z.k, sizeof(float)) : NULL;
    x->features = arena_alloc_zero(a, z.n * z.c, sizeof(float));
    x->blocks = arena_alloc_zero(a, z.n * z.c * z.depth * 2, sizeof(float));
    m->images = arena_alloc_zero(a, CHUNK * z.pixels, sizeof(float));
    m->prefix = arena_alloc_zero(a, CHUNK * z.tokens * z.c, sizeof(float));
    m->taps = arena_alloc_zero(a, CHUNK * z.depth * 2 * z.c, sizeof(float));
    m->image_rows = arena_alloc(a, CHUNK, sizeof(float *));
    m->prefix_rows = arena_alloc(a, CHUNK, sizeof(float *));
    if (!m->groups.rows || !x->logits || (changes && !x->before) || (other_base && !x->base) ||
        (path && !x->path) || (composite && !x->raw) || !m->groups.classes || !m->base_rows ||
        !x->features || !x->blocks || !m->images || !m->prefix || !m->taps || !m->image_rows ||
        !m->prefix_rows)
        FAIL(f, STATUS_NO_MEMORY, "measure", "no room for the answers on %zu images", z.n);
    if (composite) {
        TRY(composite_new(m->job, COMPOSITE_CANDIDATE, CHUNK, &m->candidate, f));
        if (changes)
            TRY(composite_new(m->job, COMPOSITE_PARENT, CHUNK, &m->parent, f));
    }
    return vit_batch_new(&m->job->spec.config, VIT_INFER, CHUNK, m->job->pool, a, &m->batch);
}

/* ---------------------------------------------------------------- forward passes */

static void chunk_load(struct measure *m, uint32_t at, uint32_t n)
{
    const size_t pixels = images_floats(&m->job->images);
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    const size_t row = m->first == z.depth ? z.c : z.tokens * z.c;
    for (uint32_t i = 0; i < n; i++) {
        images_load(&m->job->images, m->groups.rows[at + i], m->images + i * pixels);
        m->image_rows[i] = m->images + i * pixels;
        m->prefix_rows[i] = m->prefix + i * row;
    }
}

/* [n, L, 2, C] of the chunk into [L * 2][n_total, C], from block `first` (counted from 0) on. */
static void chunk_keep_taps(struct measure *m, uint32_t at, uint32_t n, uint32_t first)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    for (uint32_t i = 0; i < n; i++) {
        for (size_t b = (size_t)first * 2; b < z.depth * 2; b++)
            memcpy(m->answers.blocks + (b * z.n + at + i) * z.c,
                   m->taps + (i * z.depth * 2 + b) * z.c, z.c * sizeof(float));
    }
}

/* Both versions as a whole: other components may have changed in every block. */
static void chunk_run_composite(struct measure *m, uint32_t at, uint32_t n)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    chunk_load(m, at, n);
    const struct composite_output now = {.served = x->logits + at * z.k,
                                         .raw = x->raw + at * z.k,
                                         .embeddings = x->features + at * z.c,
                                         .taps = m->taps};
    composite_run(m->candidate, n, m->image_rows, &now);
    chunk_keep_taps(m, at, n, 0);
    if (!m->parent)
        return;
    const struct composite_output then = {.served = x->before + at * z.k};
    composite_run(m->parent, n, m->image_rows, &then);
}

static void chunk_run(struct measure *m, uint32_t at, uint32_t n)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    const struct vit_input from_pixels = {.n = n, .images = m->image_rows};
    struct vit_output out = {
        .embeddings = x->features + at * z.c, .logits = x->logits + at * z.k, .taps = m->taps};
    chunk_load(m, at, n);
    if (x->before) {
        out.logits = x->before + at * z.k;
        out.prefix = m->first <= z.depth ? m->prefix : NULL;
        out.prefix_block = m->first;
    }
    vit_forward(m->batch, &m->job->parent, &from_pixels, &out);
    chunk_keep_taps(m, at, n, 0);
    if (x->before && m->first <= z.depth) {
        /* What enters the blocks up to `first` is the same in both models. */
        const struct vit_input from_prefix = {.n = n, .first = m->first, .prefix = m->prefix_rows};
        const struct vit_output tail = {
            .embeddings = x->features + at * z.c, .logits = x->logits + at * z.k, .taps = m->taps};
        vit_forward(m->batch, &m->job->candidate, &from_prefix, &tail);
        chunk_keep_taps(m, at, n, m->first);
    } else if (x->before) {
        memcpy(x->logits + at * z.k, x->before + at * z.k, n * z.k * sizeof(float));
    }
}

/* D_f through the base head alone, into rows of all classes; the others' do not exist there. */
static void run_on_forget(struct measure *m, const struct vit_weights *w, float *to)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    for (uint32_t at = 0; to && at < z.n_forget; at += CHUNK) {
        const uint32_t n = z.n_forget - at < CHUNK ? (uint32_t)(z.n_forget - at) : CHUNK;
        chunk_load(m, at, n);
        const struct vit_input in = {.n = n, .images = m->image_rows};
        const struct vit_output out = {.logits = m->base_rows};
        vit_forward(m->batch, w, &in, &out);
        for (size_t i = 0; i < n; i++) {
            float *row = to + (at + i) * z.k;
            memcpy(row, m->base_rows + i * z.k_base, z.k_base * sizeof *row);
            for (size_t k = z.k_base; k < z.k; k++)
                row[k] = -INFINITY;
        }
    }
}

static void run_all(struct measure *m)
{
    const uint32_t total = m->groups.n;
    for (uint32_t at = 0; at < total; at += CHUNK) {
        const uint32_t n = total - at < CHUNK ? total - at : CHUNK;
        if (m->candidate)
            chunk_run_composite(m, at, n);
        else
            chunk_run(m, at, n);
        worker_job_tell(m->job, "evaluate", at / CHUNK + 1, (total + CHUNK - 1) / CHUNK + 1);
    }
    run_on_forget(m, &m->job->base, m->answers.base);
    run_on_forget(m, &m->job->candidate, m->answers.path);
}

/* ---------------------------------------------------------------- what learners/eval sees */

static struct eval_set set_of(const struct measure *m, uint32_t group)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    const struct answers *x = &m->answers;
    const size_t at = m->groups.first[group];
    return (struct eval_set){.n = group_size(&m->groups, group),
                             .labels = m->groups.classes + at,
                             .logits = x->logits + at * z.k,
                             .logits_raw = x->raw ? x->raw + at * z.k : NULL,
                             .logits_before = x->before ? x->before + at * z.k : NULL,
                             .features = x->features + at * z.c};
}

/* Lanes and experts have no prototypes: their rows are there, and not known. */
static enum status fill_prototypes(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    const struct job_spec *s = &m->job->spec;
    in->prototypes = s->prototypes;
    if (!s->prototypes || s->n_classes == s->config.classes)
        return STATUS_OK;
    float *rows =
        arena_alloc_zero(&m->job->arena, (size_t)s->n_classes * s->config.width, sizeof *rows);
    if (!rows)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no room for the prototypes");
    memcpy(rows, s->prototypes, (size_t)s->config.classes * s->config.width * sizeof *rows);
    in->prototypes = rows;
    return STATUS_OK;
}

static enum status fill_classes(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    const struct job_spec *s = &m->job->spec;
    struct eval_class *list = arena_alloc_zero(&m->job->arena, s->n_classes, sizeof *list);
    uint8_t *known = arena_alloc_zero(&m->job->arena, s->n_classes, sizeof *known);
    if (!list || !known)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no room for the class table");
    for (uint32_t c = 0; c < s->n_classes; c++) {
        const enum job_class_status st = s->classes[c].status;
        list[c].label = s->classes[c].name;
        list[c].owner = measure_owner_name(m, c);
        list[c].status = st == JOB_CLASS_FORGET_NOW ? EVAL_CLASS_FORGETTING
                         : st == JOB_CLASS_ERASED   ? EVAL_CLASS_FORGOTTEN
                                                    : EVAL_CLASS_LIVE;
        known[c] = c < s->config.classes && s->prototype_counts && s->prototype_counts[c] > 0;
    }
    in->classes = list;
    TRY(fill_prototypes(m, in, f));
    in->prototype_known = known;
    return STATUS_OK;
}

static enum status fill_erasures(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    const struct job_spec *s = &m->job->spec;
    struct eval_erasure *list = arena_alloc_zero(&m->job->arena, s->n_erasures + 1u, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no room for the relapse table");
    for (uint32_t q = 0; q < s->n_erasures; q++) {
        const struct eval_set x = set_of(m, G_ERASED + q);
        list[q] = (struct eval_erasure){.request = s->erasures[q].request,
                                        .n = s->erasures[q].recheckable ? x.n : 0,
                                        .labels = x.labels,
                                        .logits = x.logits,
                                        .logits_before = x.logits_before,
                                        .logits_raw = x.logits_raw,
                                        .features = x.features,
                                        .limit = s->erasures[q].relapse_limit,
                                        .ncm_then = s->erasures[q].ncm_then};
    }
    in->n_erasures = s->n_erasures;
    in->erasures = list;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the report */

static enum status fill_blocks(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    const struct measure_sizes z = sizes_of(m->job, &m->groups);
    const uint32_t n = (uint32_t)z.depth * 2;
    struct eval_block *list = arena_alloc_zero(&m->job->arena, n, sizeof *list);
    char *names = arena_alloc_zero(&m->job->arena, n, EVAL_NAME_SIZE);
    if (!list || !names)
        FAIL(f, STATUS_NO_MEMORY, "blocks", "no room for the block table");
    for (uint32_t b = 0; b < n; b++) {
        const float *at = m->answers.blocks + b * z.n * z.c;
        char *name = names + (size_t)b * EVAL_NAME_SIZE;
        (void)snprintf(name, EVAL_NAME_SIZE, "block%u.%s", b / 2 + 1, b % 2 ? "mean" : "class");
        list[b] = (struct eval_block){
            .name = name,
            .width = (uint32_t)z.c,
            .retain = at + m->groups.first[G_RETAIN] * z.c,
            .probe = at + m->groups.first[G_UNSEEN] * z.c,
            .reference = in->reference.n ? at + m->groups.first[G_REFERENCE] * z.c : NULL};
    }
    in->n_blocks = in->probe.n > 0 ? n : 0;
    in->blocks = list;
    return STATUS_OK;
}

static uint32_t reference_classes(const struct job_spec *s)
{
    int32_t most = -1;
    for (uint32_t i = 0; i < s->sets[JOB_SET_REFERENCE].n; i++) {
        if (s->sets[JOB_SET_REFERENCE].labels[i] > most)
            most = s->sets[JOB_SET_REFERENCE].labels[i];
    }
    return (uint32_t)(most + 1);
}

static enum eval_outcome outcome_of(const struct learner_outcome *o)
{
    if (!o->text)
        return EVAL_OUTCOME_NONE;
    if (o->groups_total > 0 && o->groups_zero == o->groups_total)
        return EVAL_OUTCOME_ALL_GROUPS_ZERO;
    return o->target_met > 0    ? EVAL_OUTCOME_TARGET_MET
           : o->target_met == 0 ? EVAL_OUTCOME_TARGET_NOT_MET
                                : EVAL_OUTCOME_NOT_VALIDATED;
}

/* The loss at which the hinge lets go of an erased image. */
static double hinge_bound_of(const struct gslora_options *o, uint32_t n_classes)
{
    return o->hinge_bound > 0.0f ? (double)o->hinge_bound
                                 : (double)o->hinge_c * log((double)n_classes);
}

/* A stream may learn more of what it knows already: then all is retained. */
static enum eval_kind kind_of(const struct worker_job *job)
{
    const struct job_spec *s = &job->spec;
    int learns = 0, forgets = 0;
    for (uint32_t c = 0; c < s->n_classes; c++) {
        learns |= is_learned(job, c);
        forgets |= s->classes[c].status == JOB_CLASS_FORGET_NOW;
    }
    if (learns)
        return EVAL_KIND_LEARN;
    if (is_change(job) && s->sets[JOB_SET_SAMPLES].n > 0)
        return EVAL_KIND_FORGET_SAMPLES;
    return is_change(job) && forgets ? EVAL_KIND_FORGET_CLASSES : EVAL_KIND_RECHECK;
}

/* Everything that decides sizes; shared by the plan and the run. */
static void
plan_inputs(const struct worker_job *job, const struct groups *g, struct eval_inputs *in)
{
    const struct job_spec *s = &job->spec;
    const struct eval_block *blocks = in->blocks;
    *in = (struct eval_inputs){.n_outputs = s->n_classes,
                               .width = s->config.width,
                               .blocks = blocks,
                               .n_erasures = s->n_erasures,
                               .n_blocks = s->config.depth * 2,
                               .root = {.seed = s->seed},
                               .limits = &s->limits,
                               .run_all = 1};
    memcpy(in->root.request, s->request.b, REQUEST_ID_SIZE);
    in->kind = kind_of(job);
    in->forget.n = group_size(g, G_FORGET);
    in->retain.n = group_size(g, G_RETAIN);
    in->learned.n = group_size(g, G_LEARNED);
    in->members.n = group_size(g, G_MEMBERS);
    in->unseen.n = group_size(g, G_UNSEEN);
    in->n_paths = s->kind == JOB_FORGET && is_composite(job) ? 1 : 0;
    in->probe.n =
        s->kind == JOB_FORGET && in->kind == EVAL_KIND_FORGET_CLASSES ? group_size(g, G_UNSEEN) : 0;
    in->reference.n = group_size(g, G_REFERENCE);
    in->n_reference_classes = reference_classes(s);
    in->unseen_matched = 1;
    in->reference_unseen = in->reference.n > 0;
    in->n_reference_taught = s->reference_taught;
}

static enum status fill_inputs(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    const struct job_spec *s = &m->job->spec;
    in->blocks = NULL;
    plan_inputs(m->job, &m->groups, in);
    in->forget = set_of(m, G_FORGET);
    in->retain = set_of(m, G_RETAIN);
    in->learned = set_of(m, G_LEARNED);
    in->members = set_of(m, G_MEMBERS);
    in->unseen = set_of(m, G_UNSEEN);
    in->reference = set_of(m, G_REFERENCE);
    in->retain.digest = in->unseen.digest = s->sets[JOB_SET_TEST].digest;
    in->members.digest = s->memory_digest;
    in->forget.digest =
        s->sets[JOB_SET_SAMPLES].n ? s->sets[JOB_SET_SAMPLES].digest : s->memory_digest;
    in->reference.digest = s->sets[JOB_SET_REFERENCE].digest;
    if (in->probe.n > 0)
        in->probe = in->unseen;
    if (m->answers.path) {
        m->path = (struct eval_path){.name = "base", .logits = m->answers.path};
        in->n_paths = 1;
        in->paths = &m->path;
    }
    if (m->trained) {
        in->forget_ablated = in->forget.logits_before;
        in->forget_base = m->answers.base ? m->answers.base : in->forget.logits_before;
        in->hinge_bound = hinge_bound_of(&m->trained->options, s->config.classes);
        in->zero_group_ratio =
            (double)m->job->outcome.groups_zero / (double)m->job->outcome.groups_total;
    } else {
        in->zero_group_ratio = (double)NAN;
    }
    in->outcome = outcome_of(&m->job->outcome);
    TRY(fill_classes(m, in, f));
    TRY(fill_erasures(m, in, f));
    TRY(measure_several_fill(m, in, f));
    measure_several_mask(m);
    return fill_blocks(m, in, f);
}

static enum status report_encode(struct measure *m,
                                 const struct eval_inputs *in,
                                 struct job_result *r,
                                 struct fault *f)
{
    struct arena *a = &m->job->arena;
    struct arena scratch;
    struct eval_report report;
    const size_t scratch_size = evaluate_plan(in);
    void *block = arena_alloc(a, 1, scratch_size);
    if (!block)
        FAIL(f, STATUS_NO_MEMORY, "evaluate", "no room for %zu bytes of scratch", scratch_size);
    arena_init(&scratch, block, scratch_size);
    const enum status st = evaluate_run(in, a, &scratch, &report, f);
    arena_fini(&scratch);
    TRY(st);
    report.seconds = (double)(clock_mono_us() - m->job->started_us) * 1e-6;
    const size_t size = eval_report_encoded_size(&report);
    void *bytes = arena_alloc(a, 1, size);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "report", "no room for a report of %zu bytes", size);
    TRY(eval_report_encode(&report, bytes, size, f));
    r->report = bytes;
    r->report_size = size;
    return STATUS_OK;
}

static enum status measure(struct measure *m, struct job_result *result, struct fault *f)
{
    struct worker_job *job = m->job;
    struct eval_inputs in;
    groups_fill(job, &m->groups);
    if (group_size(&m->groups, G_RETAIN) == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "test", "no test images of a live class");
    TRY(measure_memory(m, f));
    groups_fill(job, &m->groups);
    run_all(m);
    TRY(fill_inputs(m, &in, f));
    return report_encode(m, &in, result, f);
}

enum status measure_run(struct worker_job *job, struct job_result *result, struct fault *f)
{
    struct measure m = {.job = job};
    m.trained = job->made_delta ? &job->deltas[job->n_deltas] : NULL;
    m.first = m.trained ? delta_first_block(m.trained) : job->spec.config.depth + 1;
    const enum status st = measure(&m, result, f);
    composite_free(m.parent);
    composite_free(m.candidate);
    return st;
}
