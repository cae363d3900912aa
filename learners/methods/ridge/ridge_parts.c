#include "learners/methods/ridge/ridge_parts.h"

#include <math.h>

/* ------------------------------------------------------------------ a run */

enum status
ridge_parts_options(const struct learner_problem *p, struct ridge_options *ret_o, struct fault *f)
{
    ridge_options_default(ret_o);
    for (uint32_t i = 0; i < p->n_options; i++)
        TRY(ridge_options_set(ret_o, p->options[i].name, p->options[i].value, f));
    return ridge_options_check(ret_o, f);
}

struct ridge_problem ridge_parts_problem(const struct learner_problem *p, const char *owner)
{
    return (struct ridge_problem){.config = p->trunk.config,
                                  .weights = p->trunk.weights,
                                  .origin = {.base = p->trunk.base,
                                             .state = p->trunk.state,
                                             .preprocessing = p->trunk.preprocessing,
                                             .data = p->memory,
                                             .request = p->request},
                                  .owner = owner,
                                  .images = p->images,
                                  .hot = p->hot,
                                  .n_classes = p->n_classes,
                                  .classes = p->classes,
                                  .train = p->lists[LEARNER_TRAIN].rows,
                                  .valid = p->lists[LEARNER_VALID].rows,
                                  .n_train = p->lists[LEARNER_TRAIN].n,
                                  .n_valid = p->lists[LEARNER_VALID].n};
}

enum status
ridge_parts_step(struct ridge_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    struct ridge_run_progress g;
    TRY(ridge_run_step(run, &g, f));
    *ret_progress = learner_progress_at(1, 1, g.step, g.steps);
    ret_progress->done = g.done;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ answers */

void ridge_parts_features_plan(struct arena_plan *a,
                               const struct ridge_router *r,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               uint32_t threads)
{
    arena_plan_add(a, n_max, r->width * sizeof(float));
    arena_plan_add(a, ridge_map_plan(&trunk->config, &r->options, n_max, threads), 1);
}

enum status ridge_parts_features(const struct ridge_router *r,
                                 const struct learner_trunk *trunk,
                                 uint32_t n_max,
                                 const struct learner_tools *tools,
                                 struct ridge_features *ret_features,
                                 struct fault *f)
{
    struct ridge_features x = {.rows = arena_alloc(tools->arena, n_max, r->width * sizeof *x.rows)};
    if (!x.rows)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    TRY(ridge_map_new(&trunk->config, &r->options, &r->origin.base, n_max, tools->pool,
                      tools->arena, &x.map, f));
    *ret_features = x;
    return STATUS_OK;
}

struct learner_watch ridge_parts_watch(const struct ridge_features *features)
{
    return (struct learner_watch){ridge_map_observe, features->map};
}

/* ------------------------------------------------------------------ lineage */

uint32_t ridge_parts_lineage(const struct ridge_origin *origin,
                             const struct digest *data,
                             struct learner_source *ret_list,
                             uint32_t max)
{
    const struct learner_source rows[] = {
        {.kind = "component", .name = "base", .digest = origin->base},
        {.kind = "component", .name = "trunk", .digest = origin->state},
        {.kind = "dataset", .name = "train", .digest = *data},
    };
    return learner_sources(rows, sizeof rows / sizeof *rows, ret_list, max);
}
