/*
 * The closed-form router as a learner: a run makes the terms of one owner, "base", "lane:NAME",
 * "expert:NAME" or, used alone, any task's name.  Terms answer together only: join solves all of a
 * version's in closed form.  A label's logit is (score - its share of the fitted images) over the
 * temperature: 0 where the image tells nothing.  The sum of their exponentials over an owner's
 * classes is the `soft` rule of ridge_router.h, all shares being equal with weighting=balanced and
 * one label an image.
 *
 * The joint solution of different tasks is not a component: each task's terms are exact sums over
 * its own images, and forgetting touches nothing else.
 */
#include "learners/learner.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/methods/ridge/ridge_parts.h"

#define LABEL_SEPARATOR '\x1f'
#define LABEL_SIZE      (RIDGE_TERMS_OWNER_SIZE + RIDGE_TERMS_NAME_SIZE)

struct learner_run {
    const struct learner *learner;
    const char *name;
    struct ridge_run *run;
    struct arena *arena;
};

/* One owner's terms (import), or all of them solved (join). */
struct learner_model {
    const struct learner *learner;
    int joined;
    struct ridge_terms terms;
    struct ridge_router router;
    const char **labels; /* [n_classes] of the router */
};

struct learner_forward {
    struct learner_model *model;
    struct pool *pool;
    struct ridge_features features;
};

/* ------------------------------------------------------------------ a run */

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    struct ridge_options o;
    struct arena_plan more = {0};
    if (ridge_parts_options(p, &o, NULL) != STATUS_OK)
        return SIZE_MAX;
    const struct ridge_problem problem = ridge_parts_problem(p, p->name);
    arena_plan_add(&more, 1, sizeof(struct learner_run));
    arena_plan_add(&more, ridge_run_plan(&problem, &o, threads), 1);
    arena_plan_add(&more, ridge_run_record_bound(&problem, &o), 1);
    return arena_plan_bytes(&more);
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    struct ridge_options o;
    TRY(ridge_parts_options(p, &o, f));
    const struct arena_mark start = arena_mark(tools->arena);
    const struct ridge_problem problem = ridge_parts_problem(p, p->name);
    const struct ridge_run_tools with = {tools->pool, tools->arena, tools->cancel};
    struct learner_run *run = arena_alloc(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *run = (struct learner_run){.learner = &learner_ridge, .name = p->name, .arena = tools->arena};
    const enum status s = ridge_run_new(&problem, &o, &with, &run->run, f);
    if (s != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return s;
    }
    *ret_run = run;
    return STATUS_OK;
}

static enum status
step(struct learner_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    return ridge_parts_step(run->run, ret_progress, f);
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    struct ridge_terms t;
    ridge_run_terms(run->run, &t);
    const size_t size = ridge_terms_encoded_size(&t);
    void *bytes = arena_alloc(run->arena, size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for terms of %zu bytes", size);
    ridge_terms_encode(&t, bytes, size);
    ret_parts[0] = (struct learner_part){
        .kind = learner_ridge.kind, .name = run->name, .bytes = bytes, .size = size};
    *ret_n = 1;
    *ret_outcome = (struct learner_outcome){.text = "summed", .target_met = -1};
    return STATUS_OK;
}

/* ------------------------------------------------------------------ stored terms */

/* Decodes terms and compares them with the trunk. */
static enum status read_terms(const struct learner_part *part,
                              const struct learner_trunk *trunk,
                              struct arena *arena,
                              struct ridge_terms *ret_t,
                              struct fault *f)
{
    const struct ridge_origin here = {
        .base = trunk->base, .state = trunk->state, .preprocessing = trunk->preprocessing};
    const struct arena_mark start = arena_mark(arena);
    TRY(ridge_terms_decode(part->bytes, part->size, arena, ret_t, f));
    enum status s = ridge_terms_check(ret_t, &here, f);
    if (s == STATUS_OK && ridge_map_width_of(&trunk->config, &ret_t->options) != ret_t->width)
        s = fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "features",
                      "terms of %zu numbers a row do not fit this model", ret_t->width);
    if (s != STATUS_OK)
        arena_rewind(arena, start);
    return s;
}

static size_t import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    (void)trunk;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_model));
    arena_plan_add(&p, ridge_terms_decode_plan(part->bytes, part->size), 1);
    return arena_plan_bytes(&p);
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
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a router's terms");
    m->learner = &learner_ridge;
    const enum status s = read_terms(part, trunk, arena, &m->terms, f);
    if (s != STATUS_OK) {
        arena_rewind(arena, start);
        return s;
    }
    *ret_model = m;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ all terms of a version */

static int is_terms(const struct learner_part *part)
{
    return strcmp(part->kind, learner_ridge.kind) == 0;
}

static void plan_labels(struct arena_plan *p, uint32_t n_classes)
{
    arena_plan_add(p, n_classes, sizeof(char *));
    arena_plan_add(p, n_classes, LABEL_SIZE);
}

static size_t join_plan(const struct learner_part *parts,
                        uint32_t n_parts,
                        const struct learner_trunk *trunk,
                        uint32_t threads,
                        size_t *ret_scratch)
{
    (void)trunk, (void)threads;
    struct arena_plan kept = {0}, scratch = {0};
    struct ridge_router_sizes all = {0};
    size_t solving;
    for (uint32_t i = 0; i < n_parts; i++) {
        struct ridge_terms_sizes s;
        if (!is_terms(&parts[i]))
            continue;
        arena_plan_add(&scratch, ridge_terms_decode_plan(parts[i].bytes, parts[i].size), 1);
        if (ridge_terms_sizes_of(parts[i].bytes, parts[i].size, &s) != 0)
            continue; /* join says what is wrong with it */
        all.width = s.width > all.width ? s.width : all.width;
        all.n_classes += s.n_classes;
        all.n_owners++;
    }
    arena_plan_add(&kept, 1, sizeof(struct learner_model));
    plan_labels(&kept, all.n_classes);
    arena_plan_add(&kept, ridge_router_plan(&all, &solving), 1);
    arena_plan_add(&scratch, n_parts, sizeof(struct ridge_terms));
    arena_plan_add(&scratch, n_parts, sizeof(struct ridge_source));
    arena_plan_add(&scratch, solving, 1);
    *ret_scratch = arena_plan_bytes(&scratch);
    return arena_plan_bytes(&kept);
}

/* All terms of a version. */
struct sources {
    const struct ridge_source *list; /* [n] */
    uint32_t n;
    struct ridge_options options;
};

/* Decodes every part's terms; all must have been made with the same options. */
static enum status read_all(const struct learner_part *parts,
                            uint32_t n_parts,
                            const struct learner_trunk *trunk,
                            struct arena *scratch,
                            struct sources *ret_s,
                            struct fault *f)
{
    struct ridge_terms *terms = arena_alloc(scratch, n_parts, sizeof *terms);
    struct ridge_source *sources = arena_alloc(scratch, n_parts, sizeof *sources);
    uint32_t n = 0;
    if (!terms || !sources)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    for (uint32_t i = 0; i < n_parts; i++) {
        if (!is_terms(&parts[i]))
            continue;
        TRY(read_terms(&parts[i], trunk, scratch, &terms[n], f));
        sources[n] = (struct ridge_source){&terms[n], parts[i].digest};
        if (!ridge_options_same(&terms[n].options, &terms[0].options))
            FAIL(f, STATUS_FAILED_PRECONDITION, "options",
                 "the terms of %s were made with other options than those of %s", terms[n].owner,
                 terms[0].owner);
        n++;
    }
    if (n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "router", "no terms to solve");
    *ret_s = (struct sources){sources, n, terms[0].options};
    return STATUS_OK;
}

/* OWNER 0x1f CLASS for every class. */
static enum status name_labels(struct learner_model *m, struct arena *arena, struct fault *f)
{
    const struct ridge_router *r = &m->router;
    char *text = arena_alloc(arena, r->n_classes, LABEL_SIZE);
    m->labels = arena_alloc(arena, r->n_classes, sizeof *m->labels);
    if (!text || !m->labels)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    for (uint32_t c = 0; c < r->n_classes; c++, text += LABEL_SIZE) {
        (void)snprintf(text, LABEL_SIZE, "%s%c%s", r->owners[r->owner_of[c]], LABEL_SEPARATOR,
                       r->classes[c]);
        m->labels[c] = text;
    }
    return STATUS_OK;
}

static enum status join_parts(const struct learner_part *parts,
                              uint32_t n_parts,
                              const struct learner_trunk *trunk,
                              const struct learner_tools *tools,
                              struct arena *scratch,
                              struct learner_model *m,
                              struct fault *f)
{
    struct sources s = {0};
    const struct ridge_memory memory = {tools->pool, tools->arena, scratch};
    TRY(read_all(parts, n_parts, trunk, scratch, &s, f));
    TRY(ridge_router_solve(s.list, s.n, &s.options, &memory, &m->router, f));
    return name_labels(m, tools->arena, f);
}

static enum status join(const struct learner_part *parts,
                        uint32_t n_parts,
                        const struct learner_trunk *trunk,
                        const struct learner_tools *tools,
                        struct arena *scratch,
                        struct learner_model **ret_model,
                        struct fault *f)
{
    const struct arena_mark start = arena_mark(tools->arena), working = arena_mark(scratch);
    struct learner_model *m = arena_alloc_zero(tools->arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a router");
    *m = (struct learner_model){.learner = &learner_ridge, .joined = 1};
    const enum status s = join_parts(parts, n_parts, trunk, tools, scratch, m, f);
    arena_rewind(scratch, working);
    if (s != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return s;
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
    struct arena_plan p = {0};
    if (n_models != 1 || !models[0]->joined)
        return SIZE_MAX;
    arena_plan_add(&p, 1, sizeof(struct learner_forward));
    ridge_parts_features_plan(&p, &models[0]->router, trunk, n_max, threads);
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
    if (n_models != 1 || !models[0]->joined)
        FAIL(f, STATUS_FAILED_PRECONDITION, "router", "terms answer together only");
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_forward *w = arena_alloc(tools->arena, 1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *w = (struct learner_forward){.model = models[0], .pool = tools->pool};
    const enum status s =
        ridge_parts_features(&models[0]->router, trunk, n_max, tools, &w->features, f);
    if (s != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return s;
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
    const struct ridge_router *r = &forward->model->router;
    const size_t n = (size_t)stream->n * r->n_classes;
    ridge_map_rows(forward->features.map, stream->n, stream->embeddings, forward->features.rows);
    ridge_router_scores(r, forward->features.rows, stream->n, forward->pool, logits[0]);
    for (size_t i = 0; i < n; i++)
        logits[0][i] = (logits[0][i] - (float)r->shares[i % r->n_classes]) / r->options.temperature;
}

static uint32_t labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->joined ? model->labels : model->terms.terms[0].classes;
    return model->joined ? model->router.n_classes : ridge_terms_classes(&model->terms);
}

/* ------------------------------------------------------------------ lineage and erasure */

static uint32_t
lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    const struct ridge_origin *o = model->joined ? &model->router.origin : &model->terms.origin;
    return ridge_parts_lineage(o, &o->data, ret_list, max);
}

static int has_class(const struct ridge_terms *t, const char *name)
{
    const char *const *names = t->terms[0].classes;
    const uint32_t n = ridge_terms_classes(t);
    for (uint32_t c = 0; c < n; c++)
        if (strcmp(names[c], name) == 0)
            return 1;
    return 0;
}

/* Classes of the erasure that the terms hold. */
static uint32_t count_hit(const struct ridge_terms *t, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_classes; i++)
        n += has_class(t, e->classes[i]) != 0;
    return n;
}

/*
 * Terms do not list their samples: whoever asks with sample keys has found them in the owner's
 * data, so that they count as hit.
 */
static enum learner_fate erase(const struct learner_model *model, const struct learner_erasure *e)
{
    INVARIANT(!model->joined);
    const struct ridge_terms *t = &model->terms;
    if (e->component && strcmp(e->component, t->owner) == 0)
        return LEARNER_DESTROY;
    const uint32_t hit = count_hit(t, e);
    if (hit == ridge_terms_classes(t))
        return LEARNER_DESTROY;
    if (hit || e->n_keys)
        return LEARNER_RETRAIN;
    for (uint32_t i = 0; i < e->n_sources; i++)
        if (digest_equal(&e->sources[i], &t->origin.data))
            return LEARNER_RETRAIN;
    return LEARNER_UNAFFECTED;
}

const struct learner learner_ridge = {
    .name = "ridge",
    .kind = "router",
    .text = "Closed-form router: ridge regression on random features of the frozen trunk",
    .plan = plan,
    .init = init,
    .step = step,
    .export = export_parts,
    .import_plan = import_plan,
    .import = import_part,
    .join_plan = join_plan,
    .join = join,
    .forward_plan = forward_plan,
    .forward_new = forward_new,
    .watch = watch,
    .forward = forward,
    .labels = labels,
    .lineage = lineage,
    .erase = erase,
};
