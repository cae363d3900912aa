#include "daemon/worker/measure_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/worker/composite.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/evaluate.h"
#include "learners/methods/gslora/delta.h"

/* ---------------------------------------------------------------- what learners/eval sees */

static struct eval_set set_of(const struct measure *m, uint32_t group)
{
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    const struct answers *x = &m->answers;
    const size_t at = m->groups.first[group];
    return (struct eval_set){.n = measure_groups_size(&m->groups, group),
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
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
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
        learns |= measure_is_learned(job, c);
        forgets |= s->classes[c].status == JOB_CLASS_FORGET_NOW;
    }
    if (learns)
        return EVAL_KIND_LEARN;
    if (measure_is_change(job) && s->sets[JOB_SET_SAMPLES].n > 0)
        return EVAL_KIND_FORGET_SAMPLES;
    return measure_is_change(job) && forgets ? EVAL_KIND_FORGET_CLASSES : EVAL_KIND_RECHECK;
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
    in->forget.n = measure_groups_size(g, G_FORGET);
    in->retain.n = measure_groups_size(g, G_RETAIN);
    in->learned.n = measure_groups_size(g, G_LEARNED);
    in->members.n = measure_groups_size(g, G_MEMBERS);
    in->unseen.n = measure_groups_size(g, G_UNSEEN);
    in->n_paths = s->kind == JOB_FORGET && measure_is_composite(job) ? 1 : 0;
    in->probe.n = s->kind == JOB_FORGET && in->kind == EVAL_KIND_FORGET_CLASSES
                      ? measure_groups_size(g, G_UNSEEN)
                      : 0;
    in->reference.n = measure_groups_size(g, G_REFERENCE);
    in->n_reference_classes = reference_classes(s);
    in->unseen_matched = 1;
    in->reference_unseen = in->reference.n > 0;
    in->n_reference_taught = s->reference_taught;
}

size_t measure_plan(const struct worker_job *job)
{
    struct groups g = {0};
    measure_groups_fill(job, &g);
    const struct measure_sizes z = measure_sizes_of(job, &g);
    struct arena_plan p = {0};
    measure_pass_plan(job, &g, &p);
    arena_plan_add(&p, z.k * z.c, sizeof(float)); /* prototypes of all classes */
    arena_plan_add(&p, z.k, sizeof(struct eval_class) + sizeof(uint8_t) + EVAL_OWNER_SIZE + 64);
    arena_plan_add(&p, job->spec.n_erasures + 1u, sizeof(struct eval_erasure));
    arena_plan_add(&p, z.depth * 2, sizeof(struct eval_block) + EVAL_NAME_SIZE);
    struct eval_inputs in;
    struct eval_block blocks[2 * VIT_MAX_DEPTH];
    for (size_t b = 0; b < z.depth * 2; b++)
        blocks[b] = (struct eval_block){.width = (uint32_t)z.c};
    in.blocks = blocks;
    plan_inputs(job, &g, &in);
    struct eval_erasure planned[JOB_MAX_ERASURES];
    for (uint32_t q = 0; q < in.n_erasures; q++)
        planned[q] = (struct eval_erasure){.n = measure_groups_size(&g, G_ERASED + q)};
    in.erasures = planned;
    struct eval_several several[JOB_MAX_OWNERS];
    in.several = several;
    measure_several_plan(job, &p, &in);
    /* the encoded report is smaller than its lists in memory plus the fixed part */
    arena_plan_add(&p, 2, evaluate_report_plan(&in) + sizeof(struct eval_report));
    arena_plan_add(&p, 1, evaluate_plan(&in));
    return arena_plan_bytes(&p) + (1u << 16);
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
        const struct learner_outcome *o = &m->job->outcome;
        const int changed = worker_job_suppresses(m->job) && o->groups_total > 0;
        in->forget_ablated = changed ? in->forget.logits_before : NULL;
        in->zero_group_ratio = changed ? (double)o->groups_zero / o->groups_total : (double)NAN;
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
    measure_groups_fill(job, &m->groups);
    if (measure_groups_size(&m->groups, G_RETAIN) == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "test", "no test images of a live class");
    TRY(measure_pass_new(m, f));
    measure_groups_fill(job, &m->groups);
    measure_pass_run(m);
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
