/* Memory of a run: gslora_run_plan adds up exactly what gslora_run_new takes. */
#include "learners/methods/gslora/gslora_internal.h"

#include "learners/data/replay.h"
#include "learners/methods/gslora/prototype_means.h"

#include <string.h>

/* Upper bounds that plan and allocation share; the lists may shrink by train_per_class later. */
struct run_sizes {
    uint32_t n_batch;
    uint32_t n_depth; /* rows of one side of a training batch */
    uint32_t n_valid;
    struct prefix_sizes cache;
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct run_sizes sizes_of(const struct gslora_problem *p, const struct gslora_options *o)
{
    struct run_sizes s;
    const uint32_t n_r = least(o->batch_retain, p->retain.n_train);
    const uint32_t n_f = least(o->batch_forget, p->forget.n_train);
    s.n_batch = n_r + n_f;
    s.n_depth = n_r > n_f ? n_r : n_f;
    /* a wake check takes half a batch of each kind */
    if (s.n_depth < (s.n_batch + 1) / 2)
        s.n_depth = (s.n_batch + 1) / 2;
    s.n_valid = p->forget.n_valid + p->retain.n_valid;
    s.cache = (struct prefix_sizes){.n_images = p->images.n,
                                    .n_used = p->forget.n_train + p->retain.n_train + s.n_valid,
                                    .n_chunk = GSLORA_CHUNK,
                                    .n_max = s.n_batch > GSLORA_CHUNK ? s.n_batch : GSLORA_CHUNK,
                                    .limit_bytes = o->cache ? (size_t)o->cache_mib << 20 : 0};
    return s;
}

static size_t pixel_floats(const struct vit_config *c)
{
    return (size_t)c->channels * c->image_size * c->image_size;
}

/* ------------------------------------------------------------------ plan */

static void plan_lists(const struct gslora_problem *p, struct arena_plan *plan)
{
    const uint32_t most =
        p->retain.n_train > p->forget.n_train ? p->retain.n_train : p->forget.n_train;
    arena_plan_add(plan, p->config.classes, sizeof(uint32_t));
    arena_plan_add(plan, most, sizeof(uint32_t));
    for (int i = 0; i < 2; i++) {
        arena_plan_add(plan, p->retain.n_train, sizeof(uint32_t));
        arena_plan_add(plan, p->forget.n_train, sizeof(uint32_t));
    }
    arena_plan_add(plan, p->retain.n_valid, sizeof(uint32_t));
    arena_plan_add(plan, p->forget.n_valid, sizeof(uint32_t));
}

static void plan_batch(const struct vit_config *c, size_t n, int layers, struct arena_plan *plan)
{
    arena_plan_add(plan, n, sizeof(uint32_t));
    arena_plan_add(plan, n, sizeof(uint32_t));
    arena_plan_add(plan, n * pixel_floats(c), sizeof(float));
    arena_plan_add(plan, n, sizeof(float *));
    for (int i = 0; i < 2; i++) {
        arena_plan_add(plan, n * c->classes, sizeof(float));
        arena_plan_add(plan, n * c->width, sizeof(float));
        if (layers)
            arena_plan_add(plan, n * c->depth * 2 * c->width, sizeof(float));
    }
}

static void plan_validation(const struct gslora_problem *p,
                            const struct gslora_options *o,
                            const struct run_sizes *s,
                            struct arena_plan *plan)
{
    const struct vit_config *c = &p->config;
    arena_plan_add(plan, GSLORA_CHUNK * (size_t)c->classes, sizeof(float));
    arena_plan_add(plan, s->n_valid * (size_t)c->width, sizeof(float));
    arena_plan_add(plan, GSLORA_CHUNK * pixel_floats(c), sizeof(float));
    depth_plan(o->depth_directions, c->width, GSLORA_DEPTH_SAMPLES, plan);
}

static void
plan_anchors(const struct gslora_problem *p, const struct run_sizes *s, struct arena_plan *plan)
{
    arena_plan_add(plan, p->images.n, sizeof(uint32_t));
    arena_plan_add(plan, (size_t)p->retain.n_train * p->config.width, sizeof(float));
    arena_plan_add(plan, (size_t)s->n_batch * p->config.width, sizeof(float));
}

void gslora_run_plan(const struct gslora_problem *p,
                     const struct gslora_options *o,
                     uint32_t threads,
                     struct arena_plan *plan)
{
    const struct vit_config *c = &p->config;
    const struct run_sizes s = sizes_of(p, o);
    plan_lists(p, plan);
    active_set_plan(c, o->rank, plan);
    arena_plan_add(plan, delta_fold_floats(c), sizeof(float));
    arena_plan_add(plan, vit_batch_plan(c, VIT_TRAIN_LORA, s.n_batch, threads), 1);
    arena_plan_add(plan, vit_batch_plan(c, VIT_INFER, GSLORA_CHUNK, threads), 1);
    prefix_cache_plan(c, &s.cache, plan);
    plan_batch(c, s.n_batch, o->depth == GSLORA_DEPTH_LAYERS, plan);
    loss_plan(c, o, s.n_batch, plan);
    depth_plan(o->depth_directions, c->width, s.n_depth, plan);
    if (o->keep > 0)
        plan_anchors(p, &s, plan);
    if (o->depth_seek > 0)
        depth_seek_plan(c->width, c->classes, s.n_batch, plan);
    plan_validation(p, o, &s, plan);
    arena_plan_add(plan, c->depth * delta_group_floats(c->width, c->hidden, o->rank),
                   sizeof(float));
    arena_plan_add(plan, c->depth, 1);
    if (o->proto_source == GSLORA_PROTO_CURRENT) {
        const size_t widest = c->width > c->classes ? c->width : c->classes;
        arena_plan_add(plan, c->classes * widest, sizeof(float));
        arena_plan_add(plan, c->classes, sizeof(uint64_t));
        arena_plan_add(plan, p->retain.n_train + (size_t)p->forget.n_train, sizeof(uint32_t));
        arena_plan_add(plan, prototype_means_plan(c, threads), 1);
    }
}

/* ------------------------------------------------------------------ allocation */

static enum status exhausted(struct fault *f)
{
    FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
}

/* Copy of a list, cut to `per_class` images of each class (0: all). */
static uint32_t *copy_list(struct gslora_run *run,
                           struct arena *arena,
                           const uint32_t *from,
                           uint32_t n,
                           uint32_t per_class,
                           uint32_t *ret_n)
{
    const struct gslora_problem *p = run->problem;
    const uint32_t most = per_class ? per_class : UINT32_MAX;
    uint32_t *list = arena_alloc(arena, n, sizeof *list);
    if (list)
        *ret_n = replay_cap(p->images.labels, from, n, p->config.classes, most, run->counts, list);
    return list;
}

/* Cuts a cycle's list to k images of each class. */
static enum status cut_few_shot(struct gslora_run *run, struct gslora_cycle *c, struct fault *f)
{
    const struct gslora_problem *p = run->problem;
    memcpy(c->items, c->list, c->n * sizeof *c->items);
    return replay_few_shot(p->images.labels, c->items, c->n, p->config.classes,
                           run->options.few_shot, &run->root, run->scratch, c->list, &c->n, f);
}

static enum status new_cycle(struct gslora_run *run,
                             struct arena *arena,
                             const struct gslora_lists *lists,
                             const char *name,
                             struct gslora_cycle *ret_cycle,
                             struct fault *f)
{
    struct gslora_cycle c = {.name = name};
    c.list =
        copy_list(run, arena, lists->train, lists->n_train, run->options.train_per_class, &c.n);
    c.items = arena_alloc(arena, lists->n_train, sizeof *c.items);
    if (!c.list || !c.items)
        return exhausted(f);
    if (run->options.few_shot)
        TRY(cut_few_shot(run, &c, f));
    gslora_cycle_restart(&c, &run->root, 0);
    *ret_cycle = c;
    return STATUS_OK;
}

static enum status new_lists(struct gslora_run *run, struct arena *arena, struct fault *f)
{
    const struct gslora_problem *p = run->problem;
    const uint32_t most =
        p->retain.n_train > p->forget.n_train ? p->retain.n_train : p->forget.n_train;
    struct gslora_validation *v = &run->validation;
    const uint32_t per_class = run->options.validate_per_class;
    run->counts = arena_alloc(arena, p->config.classes, sizeof *run->counts);
    run->scratch = arena_alloc(arena, most, sizeof *run->scratch);
    if (!run->counts || !run->scratch)
        return exhausted(f);
    TRY(new_cycle(run, arena, &p->retain, "shuffle_r", &run->retain, f));
    TRY(new_cycle(run, arena, &p->forget, "shuffle_f", &run->forget, f));
    v->retain = copy_list(run, arena, p->retain.valid, p->retain.n_valid, per_class, &v->n_retain);
    v->forget = copy_list(run, arena, p->forget.valid, p->forget.n_valid, per_class, &v->n_forget);
    if (!v->retain || !v->forget)
        return exhausted(f);
    if (run->options.few_shot)
        v->n_retain = v->n_forget = 0;
    return STATUS_OK;
}

static int new_batch(
    const struct vit_config *c, size_t n, int layers, struct arena *arena, struct gslora_batch *b)
{
    b->n_max = (uint32_t)n;
    b->list = arena_alloc(arena, n, sizeof *b->list);
    b->labels = arena_alloc(arena, n, sizeof *b->labels);
    b->pixels = arena_alloc(arena, n * pixel_floats(c), sizeof(float));
    b->inputs = arena_alloc(arena, n, sizeof *b->inputs);
    b->logits = arena_alloc(arena, n * c->classes, sizeof(float));
    b->dlogits = arena_alloc(arena, n * c->classes, sizeof(float));
    b->embeddings = arena_alloc(arena, n * c->width, sizeof(float));
    b->dembeddings = arena_alloc(arena, n * c->width, sizeof(float));
    int ok = b->list && b->labels && b->pixels && b->inputs && b->logits && b->dlogits &&
             b->embeddings && b->dembeddings;
    if (layers) {
        b->taps = arena_alloc(arena, n * c->depth * 2 * c->width, sizeof(float));
        b->dtaps = arena_alloc(arena, n * c->depth * 2 * c->width, sizeof(float));
        ok = ok && b->taps && b->dtaps;
    }
    return ok;
}

static int new_validation(struct gslora_run *run, const struct run_sizes *s, struct arena *arena)
{
    const struct vit_config *c = &run->problem->config;
    struct gslora_validation *v = &run->validation;
    v->logits = arena_alloc(arena, GSLORA_CHUNK * (size_t)c->classes, sizeof(float));
    v->embeddings = arena_alloc(arena, s->n_valid * (size_t)c->width, sizeof(float));
    v->pixels = arena_alloc(arena, GSLORA_CHUNK * pixel_floats(c), sizeof(float));
    v->stride = 1;
    return v->logits && v->embeddings && v->pixels &&
           depth_new(run->options.depth_directions, c->width, GSLORA_DEPTH_SAMPLES, arena,
                     &v->depth);
}

static int new_anchors(const struct gslora_problem *p,
                       const struct run_sizes *s,
                       struct arena *arena,
                       struct gslora_anchors *a)
{
    const size_t width = p->config.width;
    a->slot = arena_alloc_zero(arena, p->images.n, sizeof *a->slot);
    a->rows = arena_alloc(arena, p->retain.n_train * width, sizeof(float));
    a->batch = arena_alloc(arena, s->n_batch * width, sizeof(float));
    return a->slot && a->rows && a->batch;
}

/* Prototypes of the current weights over the request's own training images (parity). */
static enum status current_prototypes(struct gslora_run *run, struct arena *arena, struct fault *f)
{
    const struct gslora_problem *p = run->problem;
    const size_t classes = p->config.classes;
    const int logits = run->options.proto_space == GSLORA_PROTO_LOGITS;
    const uint32_t n = run->retain.n + run->forget.n;
    float *means =
        arena_alloc(arena, classes * (logits ? classes : p->config.width), sizeof *means);
    uint64_t *counts = arena_alloc(arena, classes, sizeof *counts);
    uint32_t *list = arena_alloc(arena, n, sizeof *list);
    if (!means || !counts || !list)
        return exhausted(f);
    memcpy(list, run->retain.list, run->retain.n * sizeof *list);
    memcpy(list + run->retain.n, run->forget.list, run->forget.n * sizeof *list);
    const struct prototype_means_job job = {.config = &p->config,
                                            .weights = p->weights,
                                            .images = &p->images,
                                            .list = list,
                                            .n = n,
                                            .space =
                                                logits ? GSLORA_PROTO_LOGITS : GSLORA_PROTO_EMBED};
    TRY(prototype_means_compute(&job, run->tools->pool, arena, means, counts, f));
    run->prototypes = means;
    return STATUS_OK;
}

static enum status
new_network(struct gslora_run *run, const struct run_sizes *s, struct arena *arena, struct fault *f)
{
    const struct gslora_problem *p = run->problem;
    const struct vit_config *c = &p->config;
    struct pool *pool = run->tools->pool;
    if (!active_set_new(c, &run->options, &run->root, arena, &run->set))
        return exhausted(f);
    run->fold_memory = arena_alloc(arena, delta_fold_floats(c), sizeof(float));
    if (!run->fold_memory)
        return exhausted(f);
    run->folded = *p->weights;
    if (vit_batch_new(c, VIT_TRAIN_LORA, s->n_batch, pool, arena, &run->train) != STATUS_OK ||
        vit_batch_new(c, VIT_INFER, GSLORA_CHUNK, pool, arena, &run->infer) != STATUS_OK ||
        !prefix_cache_new(c, &s->cache, p->weights, &p->images, run->infer, arena, &run->cache))
        return exhausted(f);
    return STATUS_OK;
}

enum status gslora_run_new(struct gslora_run *run, struct arena *arena, struct fault *f)
{
    const struct gslora_problem *p = run->problem;
    const struct vit_config *c = &p->config;
    const struct gslora_options *o = &run->options;
    const struct run_sizes s = sizes_of(p, o);
    TRY(new_lists(run, arena, f));
    gslora_options_resolve(&run->options,
                           &(struct gslora_sizes){.classes = c->classes,
                                                  .rank_inputs = c->width + c->hidden,
                                                  .n_retain = run->retain.n,
                                                  .n_forget = run->forget.n});
    TRY(new_network(run, &s, arena, f));
    run->prototypes = p->prototypes;
    if (o->proto_source == GSLORA_PROTO_CURRENT && (o->push > 0 || o->pull > 0))
        TRY(current_prototypes(run, arena, f));
    run->best_theta = arena_alloc(arena, c->depth * run->set.group, sizeof(float));
    run->best_awake = arena_alloc(arena, c->depth, 1);
    if (!run->best_theta || !run->best_awake ||
        !new_batch(c, s.n_batch, o->depth == GSLORA_DEPTH_LAYERS, arena, &run->batch) ||
        !loss_new(c, o, run->prototypes, s.n_batch, arena, &run->terms) ||
        !depth_new(o->depth_directions, c->width, s.n_depth, arena, &run->depth) ||
        !new_validation(run, &s, arena))
        return exhausted(f);
    if (o->depth_seek > 0 && !depth_seek_new(c->width, c->classes, s.n_batch, arena, &run->seek))
        return exhausted(f);
    if (o->keep > 0 && !new_anchors(p, &s, arena, &run->anchors))
        return exhausted(f);
    run->terms.seek = o->depth_seek > 0 ? &run->seek : NULL;
    return STATUS_OK;
}
