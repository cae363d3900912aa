/*
 * GS-LoRA++ as a learner: a run makes one erasure delta.  The delta becomes part of the trunk, so
 * its answers are those of the base head on the frozen stream, and nothing of it can be taken back
 * exactly: its matrices carry every class that it erased and every class that it kept.
 */
#include "learners/learner.h"
#include "learners/methods/gslora/gslora.h"

#include <math.h>
#include <string.h>

struct learner_run {
    const struct learner *learner;
    const char *name;
    struct gslora_problem problem;
    struct gslora_options options;
    struct gslora_tools tools;
    struct learner_progress progress;
    float *group_norms; /* [L] */
    struct gslora_run *run;
    struct arena *arena;
};

struct learner_model {
    const struct learner *learner;
    struct delta delta;
    const struct learner_trunk *trunk;
};

struct learner_forward {
    uint32_t n_models;
    uint32_t classes;
};

/* ------------------------------------------------------------------ a run */

static enum status
read_options(const struct learner_problem *p, struct gslora_options *ret_o, struct fault *f)
{
    gslora_options_default(ret_o);
    for (uint32_t i = 0; i < p->n_options; i++)
        TRY(gslora_options_set(ret_o, p->options[i].name, p->options[i].value, f));
    return gslora_options_check(ret_o, f);
}

static struct gslora_lists
lists_of(const struct learner_problem *p, enum learner_list train, enum learner_list valid)
{
    return (struct gslora_lists){.train = p->lists[train].rows,
                                 .valid = p->lists[valid].rows,
                                 .n_train = p->lists[train].n,
                                 .n_valid = p->lists[valid].n};
}

static struct gslora_problem problem_of(const struct learner_problem *p)
{
    return (struct gslora_problem){.config = p->trunk.config,
                                   .weights = p->trunk.weights,
                                   .prototypes = p->prototypes,
                                   .prototype_counts = p->prototype_counts,
                                   .images = p->images,
                                   .forget = lists_of(p, LEARNER_FORGET, LEARNER_FORGET_VALID),
                                   .retain = lists_of(p, LEARNER_TRAIN, LEARNER_VALID),
                                   .samples = p->samples,
                                   .origin = {.base = p->trunk.base,
                                              .parent = p->trunk.state,
                                              .memory = p->memory,
                                              .prototypes = p->prototype_digest,
                                              .request = p->request,
                                              .seed = p->seed}};
}

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    struct gslora_options o;
    if (read_options(p, &o, NULL) != STATUS_OK)
        return SIZE_MAX;
    const struct gslora_problem problem = problem_of(p);
    const size_t own = gslora_plan(&problem, &o, threads);
    const size_t group = delta_group_floats(p->trunk.config.width, p->trunk.config.hidden, o.rank);
    struct arena_plan more = {0};
    arena_plan_add(&more, 1, sizeof(struct learner_run));
    arena_plan_add(&more, p->trunk.config.depth, sizeof(float));
    /* the record: matrices, class and block lists, and a header of less than a page */
    arena_plan_add(&more, group * p->trunk.config.depth, sizeof(float));
    arena_plan_add(&more, (size_t)p->trunk.config.classes * 2 + VIT_MAX_DEPTH + 1024, 4);
    const size_t bytes = arena_plan_bytes(&more);
    return own > SIZE_MAX - bytes ? SIZE_MAX : own + bytes;
}

static void watch(void *context, const struct gslora_progress *g)
{
    struct learner_run *run = context;
    run->progress = (struct learner_progress){
        .epoch = g->epoch,
        .epochs = g->epochs,
        .step = g->step,
        .steps = g->steps,
        .loss = g->loss,
        .loss_retain = g->loss_retain,
        .loss_forget = g->loss_forget,
        .loss_depth = g->loss_depth,
        .acc_forget = g->figures ? (float)g->figures->acc_forget : NAN,
        .acc_retain = g->figures ? (float)g->figures->acc_retain : NAN,
        .acc_valid = NAN,
        .n_groups = g->n_groups,
        .group_norms = run->group_norms,
    };
    memcpy(run->group_norms, g->group_norms, g->n_groups * sizeof *run->group_norms);
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    struct gslora_options o;
    TRY(read_options(p, &o, f));
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_run *run = arena_alloc_zero(tools->arena, 1, sizeof *run);
    float *norms = arena_alloc(tools->arena, p->trunk.config.depth, sizeof *norms);
    if (!run || !norms) {
        arena_rewind(tools->arena, start);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    *run = (struct learner_run){.learner = &learner_gslora,
                                .name = p->name,
                                .problem = problem_of(p),
                                .options = o,
                                .group_norms = norms,
                                .arena = tools->arena};
    run->tools = (struct gslora_tools){.pool = tools->pool,
                                       .arena = tools->arena,
                                       .observer = watch,
                                       .observer_context = run,
                                       .cancel = tools->cancel};
    const enum status st = gslora_start(&run->problem, &run->options, &run->tools, &run->run, f);
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return st;
    }
    *ret_run = run;
    return STATUS_OK;
}

static enum status
step(struct learner_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    int done;
    TRY(gslora_next(run->run, &done, f));
    *ret_progress = run->progress;
    ret_progress->done = done;
    return STATUS_OK;
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    struct gslora_result r;
    gslora_finish(run->run, &r);
    const size_t size = delta_encoded_size(&r.delta);
    void *bytes = arena_alloc(run->arena, size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a delta of %zu bytes", size);
    delta_encode(&r.delta, bytes, size);
    ret_parts[0] = (struct learner_part){
        .kind = learner_gslora.kind, .name = run->name, .bytes = bytes, .size = size};
    *ret_n = 1;
    *ret_outcome = (struct learner_outcome){
        .text = gslora_outcome_text(r.outcome),
        .target_met = r.outcome == GSLORA_NOT_VALIDATED                              ? -1
                      : r.outcome == GSLORA_TARGET_MET || r.outcome == GSLORA_BEST_H ? 1
                                                                                     : 0,
        .groups_total = r.groups_total,
        .groups_zero = r.groups_zero};
    return STATUS_OK;
}

/* ------------------------------------------------------------------ a stored delta */

static size_t import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    (void)trunk;
    const size_t own = delta_decode_plan(part->size);
    struct arena_plan more = {0};
    arena_plan_add(&more, 1, sizeof(struct learner_model));
    const size_t bytes = arena_plan_bytes(&more);
    return own > SIZE_MAX - bytes ? SIZE_MAX : own + bytes;
}

static enum status import_part(const struct learner_part *part,
                               const struct learner_trunk *trunk,
                               struct arena *arena,
                               struct learner_model **ret_model,
                               struct fault *f)
{
    const struct arena_mark start = arena_mark(arena);
    struct learner_model *m = arena_alloc(arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a delta");
    m->learner = &learner_gslora;
    m->trunk = trunk;
    enum status st = delta_decode(part->bytes, part->size, &trunk->config, arena, &m->delta, f);
    if (st == STATUS_OK && !digest_equal(&m->delta.origin.base, &trunk->base))
        st = fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "base",
                       "the delta was made for another base model");
    if (st != STATUS_OK) {
        arena_rewind(arena, start);
        return st;
    }
    *ret_model = m;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ answers */

static size_t forward_plan(struct learner_model *const *models,
                           uint32_t n_models,
                           const struct learner_trunk *trunk,
                           uint32_t n_max,
                           uint32_t threads)
{
    (void)models, (void)n_models, (void)trunk, (void)n_max, (void)threads;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_forward));
    return arena_plan_bytes(&p);
}

static enum status forward_new(struct learner_model *const *models,
                               uint32_t n_models,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               const struct learner_tools *tools,
                               struct learner_forward **ret_forward,
                               struct fault *f)
{
    (void)models, (void)n_max;
    struct learner_forward *w = arena_alloc(tools->arena, 1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *w = (struct learner_forward){.n_models = n_models, .classes = trunk->config.classes};
    *ret_forward = w;
    return STATUS_OK;
}

static struct learner_watch watch_nothing(struct learner_forward *forward)
{
    (void)forward;
    return (struct learner_watch){NULL, NULL};
}

static void
forward(struct learner_forward *forward, const struct learner_stream *stream, float *const *logits)
{
    for (uint32_t m = 0; m < forward->n_models; m++)
        memcpy(logits[m], stream->logits,
               (size_t)stream->n * forward->classes * sizeof *stream->logits);
}

static uint32_t labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->trunk->labels;
    return model->trunk->config.classes;
}

/* ------------------------------------------------------------------ lineage and erasure */

static uint32_t
lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    const struct delta_origin *o = &model->delta.origin;
    const struct learner_source rows[] = {
        {.kind = "component", .name = "base", .digest = o->base},
        {.kind = "component", .name = "trunk", .digest = o->parent},
        {.kind = "memory", .name = "base.train", .digest = o->memory},
        {.kind = "component", .name = "prototypes", .digest = o->prototypes},
    };
    return learner_sources(rows, sizeof rows / sizeof *rows, ret_list, max);
}

static int has_class(const uint32_t *list, uint32_t n, uint32_t k)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == k)
            return 1;
    return 0;
}

/* Whether the delta was fitted with images of a class of the base head. */
static int saw_class(const struct learner_model *m, const char *name)
{
    const struct delta *d = &m->delta;
    for (uint32_t k = 0; k < d->classes && m->trunk->labels; k++)
        if (strcmp(m->trunk->labels[k], name) == 0)
            return has_class(d->erased, d->n_erased, k) ||
                   has_class(d->trained_with, d->n_trained_with, k);
    return 0;
}

static enum learner_fate erase(const struct learner_model *model,
                               const struct learner_erasure *erasure)
{
    for (uint32_t i = 0; i < erasure->n_classes; i++)
        if (saw_class(model, erasure->classes[i]))
            return LEARNER_SUPPRESS;
    for (uint32_t i = 0; i < erasure->n_sources; i++)
        if (digest_equal(&erasure->sources[i], &model->delta.origin.memory))
            return LEARNER_SUPPRESS;
    return LEARNER_UNAFFECTED;
}

const struct learner learner_gslora = {
    .name = "gslora",
    .kind = "erasure",
    .text = "GS-LoRA++: erases classes of the base by group-sparse low-rank updates",
    .plan = plan,
    .init = init,
    .step = step,
    .export = export_parts,
    .import_plan = import_plan,
    .import = import_part,
    .forward_plan = forward_plan,
    .forward_new = forward_new,
    .watch = watch_nothing,
    .forward = forward,
    .labels = labels,
    .lineage = lineage,
    .erase = erase,
};
