/*
 * A task learned by the closed form alone (architecture.md, "Who answers a prediction"): ridge
 * regression from random features of the frozen trunk to the task's classes, solved from the task's
 * own sums (learners/methods/ridge).  No gradient, no random draw, one pass over the images; what a
 * sum holds of an image is gone when the task is summed again without it.
 *
 * The component is the solution, some kilobytes a class; the sums themselves are the router's terms
 * of the same owner, which another run makes.
 *
 * Record: "LCLOSED1" | digest of the training images | the solved router of this one owner
 * (ridge_router.h), whose owner is "ridge:NAME".
 */
#include "learners/learner.h"

#include <stdio.h>
#include <string.h>

#include "learners/methods/ridge/ridge_parts.h"

#define HEAD_SIZE (sizeof closed_magic + DIGEST_SIZE)

static const char closed_magic[8] = {'L', 'C', 'L', 'O', 'S', 'E', 'D', '1'};

struct learner_run {
    const struct learner *learner;
    const char *name;
    char owner[RIDGE_TERMS_OWNER_SIZE];
    struct ridge_options options;
    struct digest data;
    struct ridge_run *run;
    struct pool *pool;
    struct arena *arena;
};

struct learner_model {
    const struct learner *learner;
    char name[LEARNER_NAME_SIZE];
    struct digest data;
    struct ridge_router router;
    const char **labels; /* [n_classes] */
};

struct learner_forward {
    struct learner_model *const *models;
    uint32_t n_models;
    struct pool *pool;
    struct ridge_features features;
};

/* ------------------------------------------------------------------ a run */

static void owner_of(const char *name, char owner[RIDGE_TERMS_OWNER_SIZE])
{
    (void)snprintf(owner, RIDGE_TERMS_OWNER_SIZE, "%s:%.50s", learner_closed.kind, name);
}

/* One label an image; init refuses a problem with several. */
static struct ridge_problem problem_of(const struct learner_problem *p, const char *owner)
{
    struct ridge_problem problem = ridge_parts_problem(p, owner);
    problem.hot = NULL;
    return problem;
}

/* More than the record of a solution can have. */
static size_t record_bound(size_t width, size_t n_classes)
{
    const size_t class = RIDGE_TERMS_NAME_SIZE + 4 + width * sizeof(double);
    return HEAD_SIZE + 8192 + n_classes * class;
}

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    struct ridge_options o;
    struct arena_plan a = {0};
    char owner[RIDGE_TERMS_OWNER_SIZE];
    if (ridge_parts_options(p, &o, NULL) != STATUS_OK || p->n_classes > RIDGE_TERMS_MAX_CLASSES)
        return SIZE_MAX;
    owner_of(p->name, owner);
    const struct ridge_problem problem = problem_of(p, owner);
    const struct ridge_router_sizes sizes = {.width = ridge_map_width_of(&p->trunk.config, &o),
                                             .n_owners = 1,
                                             .n_classes = p->n_classes};
    size_t scratch;
    arena_plan_add(&a, 1, sizeof(struct learner_run));
    arena_plan_add(&a, ridge_run_plan(&problem, &o, threads), 1);
    arena_plan_add(&a, ridge_router_plan(&sizes, &scratch), 1);
    arena_plan_add(&a, scratch, 1);
    arena_plan_add(&a, record_bound(sizes.width, p->n_classes), 1);
    return arena_plan_bytes(&a);
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    struct ridge_options o;
    TRY(ridge_parts_options(p, &o, f));
    if (p->hot)
        FAIL(f, STATUS_INVALID_ARGUMENT, "method", "the closed form learns one label an image");
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_run *run = arena_alloc(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *run = (struct learner_run){.learner = &learner_closed,
                                .name = p->name,
                                .options = o,
                                .data = p->memory,
                                .pool = tools->pool,
                                .arena = tools->arena};
    owner_of(p->name, run->owner);
    const struct ridge_problem problem = problem_of(p, run->owner);
    const struct ridge_run_tools with = {tools->pool, tools->arena, tools->cancel};
    const enum status st = ridge_run_new(&problem, &o, &with, &run->run, f);
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
    return ridge_parts_step(run->run, ret_progress, f);
}

static enum status solve(struct learner_run *run, struct ridge_router *ret_router, struct fault *f)
{
    struct ridge_terms t;
    ridge_run_terms(run->run, &t);
    const struct ridge_source source = {.terms = &t};
    const struct ridge_memory memory = {run->pool, run->arena, run->arena};
    return ridge_router_solve(&source, 1, &run->options, &memory, ret_router, f);
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    struct ridge_router r;
    TRY(solve(run, &r, f));
    const size_t size = HEAD_SIZE + ridge_router_encoded_size(&r);
    uint8_t *bytes = arena_alloc(run->arena, size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a solution of %zu bytes", size);
    memcpy(bytes, closed_magic, sizeof closed_magic);
    memcpy(bytes + sizeof closed_magic, run->data.b, DIGEST_SIZE);
    ridge_router_encode(&r, bytes + HEAD_SIZE, size - HEAD_SIZE);
    ret_parts[0] = (struct learner_part){
        .kind = learner_closed.kind, .name = run->name, .bytes = bytes, .size = size};
    *ret_n = 1;
    *ret_outcome = (struct learner_outcome){.text = "solved", .target_met = -1};
    return STATUS_OK;
}

/* ------------------------------------------------------------------ a stored solution */

static size_t import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    (void)trunk;
    struct arena_plan a = {0};
    const uint8_t *bytes = part->bytes;
    arena_plan_add(&a, 1, sizeof(struct learner_model));
    if (part->size > HEAD_SIZE)
        arena_plan_add(&a, ridge_router_decode_plan(bytes + HEAD_SIZE, part->size - HEAD_SIZE), 1);
    arena_plan_add(&a, part->size / 4 + 1, sizeof(char *));
    return arena_plan_bytes(&a);
}

/* On another state of the trunk it is worth less, but it can still be read there, as a lane can. */
static enum status
check_place(const struct ridge_router *r, const struct learner_trunk *t, struct fault *f)
{
    if (!digest_equal(&r->origin.base, &t->base))
        FAIL(f, STATUS_FAILED_PRECONDITION, "base", "the task was learned on another base model");
    if (!digest_equal(&r->origin.preprocessing, &t->preprocessing))
        FAIL(f, STATUS_FAILED_PRECONDITION, "preprocessing",
             "the task was learned from pictures "
             "that were prepared in another way");
    if (ridge_map_width_of(&t->config, &r->options) != r->width)
        FAIL(f, STATUS_FAILED_PRECONDITION, "features", "%zu numbers a row do not fit this model",
             r->width);
    if (r->n_owners != 1)
        FAIL(f, STATUS_BAD_FORMAT, "owners", "the solution of %u owners is no task", r->n_owners);
    return STATUS_OK;
}

static enum status read_part(const struct learner_part *part,
                             const struct learner_trunk *trunk,
                             struct arena *arena,
                             struct learner_model *m,
                             struct fault *f)
{
    const uint8_t *bytes = part->bytes;
    if (part->size < HEAD_SIZE || memcmp(bytes, closed_magic, sizeof closed_magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "component", "not a task of the closed form");
    memcpy(m->data.b, bytes + sizeof closed_magic, DIGEST_SIZE);
    TRY(ridge_router_decode(bytes + HEAD_SIZE, part->size - HEAD_SIZE, arena, &m->router, f));
    TRY(check_place(&m->router, trunk, f));
    m->labels = arena_alloc(arena, m->router.n_classes, sizeof *m->labels);
    if (!m->labels)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for the labels of a task");
    for (uint32_t c = 0; c < m->router.n_classes; c++)
        m->labels[c] = m->router.classes[c];
    return STATUS_OK;
}

static enum status import_part(const struct learner_part *part,
                               const struct learner_trunk *trunk,
                               struct arena *arena,
                               struct learner_model **ret_model,
                               struct fault *f)
{
    const struct arena_mark start = arena_mark(arena);
    struct learner_model *m = arena_alloc_zero(arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a task");
    m->learner = &learner_closed;
    (void)snprintf(m->name, sizeof m->name, "%s", part->name);
    const enum status st = read_part(part, trunk, arena, m, f);
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
    struct arena_plan a = {0};
    (void)n_models;
    arena_plan_add(&a, 1, sizeof(struct learner_forward));
    ridge_parts_features_plan(&a, &models[0]->router, trunk, n_max, threads);
    return arena_plan_bytes(&a);
}

/* One pass over the features serves all tasks, so they must be the same. */
static enum status
check_same(struct learner_model *const *models, uint32_t n_models, struct fault *f)
{
    for (uint32_t m = 1; m < n_models; m++)
        if (!ridge_options_same_features(&models[m]->router.options, &models[0]->router.options))
            FAIL(f, STATUS_FAILED_PRECONDITION, "options",
                 "tasks %.40s and %.40s read different "
                 "features",
                 models[0]->name, models[m]->name);
    return STATUS_OK;
}

static enum status forward_new(struct learner_model *const *models,
                               uint32_t n_models,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               const struct learner_tools *tools,
                               struct learner_forward **ret_forward,
                               struct fault *f)
{
    const struct arena_mark start = arena_mark(tools->arena);
    TRY(check_same(models, n_models, f));
    struct learner_forward *w = arena_alloc(tools->arena, 1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *w = (struct learner_forward){.models = models, .n_models = n_models, .pool = tools->pool};
    const enum status st =
        ridge_parts_features(&models[0]->router, trunk, n_max, tools, &w->features, f);
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return st;
    }
    *ret_forward = w;
    return STATUS_OK;
}

static struct learner_watch watch(struct learner_forward *forward)
{
    return ridge_parts_watch(&forward->features);
}

static void
forward(struct learner_forward *forward, const struct learner_stream *stream, float *const *logits)
{
    ridge_map_rows(forward->features.map, stream->n, stream->embeddings, forward->features.rows);
    for (uint32_t m = 0; m < forward->n_models; m++) {
        const struct ridge_router *r = &forward->models[m]->router;
        const size_t n = (size_t)stream->n * r->n_classes;
        ridge_router_scores(r, forward->features.rows, stream->n, forward->pool, logits[m]);
        for (size_t i = 0; i < n; i++)
            logits[m][i] /= r->options.temperature;
    }
}

static uint32_t labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->labels;
    return model->router.n_classes;
}

/* ------------------------------------------------------------------ lineage and erasure */

static uint32_t
lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    return ridge_parts_lineage(&model->router.origin, &model->data, ret_list, max);
}

static uint32_t count_hit(const struct learner_model *model, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < model->router.n_classes; c++) {
        int hit = 0;
        for (uint32_t i = 0; i < e->n_classes; i++)
            hit |= strcmp(e->classes[i], model->labels[c]) == 0;
        n += hit != 0;
    }
    return n;
}

/* As with the router's terms: who asks with sample keys has found them in the task's data. */
static enum learner_fate erase(const struct learner_model *model, const struct learner_erasure *e)
{
    if (e->component && strcmp(e->component, model->name) == 0)
        return LEARNER_DESTROY;
    const uint32_t hit = count_hit(model, e);
    if (hit == model->router.n_classes)
        return LEARNER_DESTROY;
    int source = 0;
    for (uint32_t i = 0; i < e->n_sources; i++)
        source |= digest_equal(&e->sources[i], &model->data);
    return hit || e->n_keys || source ? LEARNER_RETRAIN : LEARNER_UNAFFECTED;
}

const struct learner learner_closed = {
    .name = "closed",
    .kind = "ridge",
    .text = "a task by the closed form alone: ridge regression on features of the frozen trunk",
    .plan = plan,
    .init = init,
    .step = step,
    .export = export_parts,
    .import_plan = import_plan,
    .import = import_part,
    .forward_plan = forward_plan,
    .forward_new = forward_new,
    .watch = watch,
    .forward = forward,
    .labels = labels,
    .lineage = lineage,
    .erase = erase,
};
