/* Set-up of a run, its schedule, validation and result. */
#include "learners/methods/multilane/multilane_internal.h"

#include "daemon/base/invariant.h"
#include "learners/data/sampler.h"
#include "learners/optim/adam.h"
#include "learners/optim/schedule.h"

#include <math.h>
#include <string.h>

#define MULTILANE_CHUNK_BYTES ((size_t)64 << 20) /* features of a chunk, about */
#define MULTILANE_CHUNK_MAX   64

/* ------------------------------------------------------------------ checks */

static enum status check_classes(const struct multilane_problem *p, struct fault *f)
{
    if (p->n_classes < 1 || p->n_classes > VIT_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "%u classes; a lane has 1 to %d", p->n_classes,
             VIT_MAX_CLASSES);
    for (uint32_t i = 0; i < p->n_classes; i++) {
        const size_t n = strlen(p->classes[i]);
        if (n < 1 || n >= LANE_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "class %u has no name of 1 to %d bytes", i,
                 LANE_NAME_SIZE - 1);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(p->classes[i], p->classes[j]) == 0)
                FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "'%.64s' is there twice",
                     p->classes[i]);
    }
    const size_t n = strlen(p->name);
    if (n < 1 || n >= LANE_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "a lane's name has 1 to %d bytes",
             LANE_NAME_SIZE - 1);
    return STATUS_OK;
}

/* Every image of the list has a label of the lane. */
static enum status check_labels(const struct multilane_problem *p,
                                const uint32_t *list,
                                uint32_t n,
                                const char *field,
                                struct fault *f)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *hot = p->hot ? p->hot + (size_t)list[i] * p->n_classes : NULL;
        uint32_t has = 0;
        for (uint32_t k = 0; hot && k < p->n_classes; k++) {
            if (hot[k] > 1)
                FAIL(f, STATUS_INVALID_ARGUMENT, field, "image %u has the mark %u; 0 or 1 is right",
                     list[i], hot[k]);
            has += hot[k];
        }
        if (hot && has == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, field, "image %u has no class of the lane", list[i]);
        if (!hot &&
            (p->images.labels[list[i]] < 0 || (uint32_t)p->images.labels[list[i]] >= p->n_classes))
            FAIL(f, STATUS_INVALID_ARGUMENT, field,
                 "image %u has label %d; the lane has %u classes", list[i],
                 p->images.labels[list[i]], p->n_classes);
    }
    return STATUS_OK;
}

static enum status check_images(const struct multilane_problem *p, struct fault *f)
{
    const struct image_table *t = &p->images;
    if (!t->pixels || (!t->labels && !p->hot) || t->size != p->config.image_size ||
        t->channels != p->config.channels)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images",
             "images of %ux%u with %u channels; the model reads %ux%u with %u", t->size, t->size,
             t->channels, p->config.image_size, p->config.image_size, p->config.channels);
    if (p->n_train == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "train", "no training image");
    TRY(images_check_list(t, p->train, p->n_train, "train", f));
    TRY(images_check_list(t, p->valid, p->n_valid, "valid", f));
    TRY(check_labels(p, p->train, p->n_train, "train", f));
    return check_labels(p, p->valid, p->n_valid, "valid", f);
}

static enum status
check_parent(const struct multilane_problem *p, const struct lane_options *o, struct fault *f)
{
    const struct lane *x = p->parent;
    if (o->init == LANE_INIT_FIXED)
        return STATUS_OK;
    if (!x)
        FAIL(f, STATUS_FAILED_PRECONDITION, "init", "no lane to start from");
    if (x->width != p->config.width || x->options.selectors != o->selectors ||
        x->options.prompts != o->prompts || x->options.prompt_blocks != o->prompt_blocks)
        FAIL(f, STATUS_FAILED_PRECONDITION, "init",
             "the lane to start from has %u selectors, %u prompts in %u blocks",
             x->options.selectors, x->options.prompts, x->options.prompt_blocks);
    return STATUS_OK;
}

static enum status
check_problem(const struct multilane_problem *p, const struct lane_options *o, struct fault *f)
{
    TRY(vit_config_check(&p->config, f));
    TRY(lane_options_check(o, &p->config, f));
    TRY(check_classes(p, f));
    if (o->all_classes != 0 && o->all_classes < p->n_classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "all_classes", "%u, but the lane alone has %u classes",
             o->all_classes, p->n_classes);
    TRY(check_images(p, f));
    const uint64_t steps = (uint64_t)o->epochs * ((p->n_train + o->batch - 1) / o->batch);
    if (steps > INT32_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "epochs", "%u epochs are more than %d steps", o->epochs,
             INT32_MAX);
    return check_parent(p, o, f);
}

/* ------------------------------------------------------------------ memory */

/* Either hands out memory from `arena`, or (arena NULL) only adds up. */
struct run_taker {
    struct arena *arena;
    struct arena_plan plan;
    int failed;
};

static void *run_take(struct run_taker *t, size_t a, size_t b, size_t size)
{
    size_t n;
    if (!size_mul(a, b, &n))
        n = SIZE_MAX;
    if (!t->arena) {
        arena_plan_add(&t->plan, n, size);
        return NULL;
    }
    void *p = arena_alloc_zero(t->arena, n, size);
    if (!p)
        t->failed = 1;
    return p;
}

/* The run's sizes; nothing is allocated. */
static struct multilane_run
run_make(const struct multilane_problem *p, const struct lane_options *o, struct pool *pool)
{
    const size_t fit = MULTILANE_CHUNK_BYTES / feature_cache_image_bytes(&p->config);
    const size_t images = fit < MULTILANE_CHUNK_MAX ? fit : MULTILANE_CHUNK_MAX;
    const uint32_t shards = (uint32_t)(images / MULTILANE_SHARD);
    struct multilane_run r = {
        .magic = MULTILANE_MAGIC,
        .problem = p,
        .options = *o,
        .root = lane_root(&p->origin),
        .pool = pool,
        .floats = lane_floats(&p->config, o, p->n_classes),
        .chunk = MULTILANE_SHARD * (shards ? shards : 1),
        .steps = o->epochs * ((p->n_train + o->batch - 1) / o->batch),
    };
    r.sum_floats = r.floats + (p->config.depth - 1) * (size_t)o->selectors * p->config.width;
    return r;
}

static void run_take_all(struct run_taker *t, struct multilane_run *r, uint32_t threads)
{
    const struct multilane_problem *p = r->problem;
    const size_t depth = p->config.depth, c = p->config.width, n = p->n_classes;
    r->theta = run_take(t, r->floats, 1, sizeof(float));
    r->grad = run_take(t, r->floats, 1, sizeof(float));
    r->m = run_take(t, r->floats, 1, sizeof(float));
    r->v = run_take(t, r->floats, 1, sizeof(float));
    r->best = run_take(t, r->floats, 1, sizeof(float));
    r->shat = run_take(t, depth * r->options.selectors, c, sizeof(float));
    for (size_t i = 0; i < MULTILANE_LANES; i++)
        r->sums[i].block = run_take(t, r->sum_floats, 1, sizeof(float));
    r->pathways = run_take(t, threads, 1, sizeof(struct pathway *));
    r->order = run_take(t, p->n_train, 1, sizeof *r->order);
    r->classes = run_take(t, n, 1, sizeof *r->classes);
    r->keys = run_take(t, p->keys ? (size_t)p->n_train + p->n_valid : 0, 1, sizeof *r->keys);
    r->features = run_take(t, depth, r->chunk, sizeof *r->features);
    r->logits = run_take(t, r->chunk, n, sizeof(float));
    r->losses = run_take(t, r->chunk, 1, sizeof(double));
    r->shard_features = run_take(t, threads * depth, MULTILANE_SHARD, sizeof *r->shard_features);
    r->dz = run_take(t, (size_t)threads * MULTILANE_SHARD, n, sizeof(float));
}

static struct pathway_sizes run_sizes(const struct multilane_run *r)
{
    return (struct pathway_sizes){MULTILANE_SHARD, r->options.selectors, r->options.prompts};
}

/* Changed images are not kept, so then only those of the validation are. */
static struct feature_cache_sizes run_features(const struct multilane_run *r)
{
    const struct multilane_problem *p = r->problem;
    return (struct feature_cache_sizes){
        .n_images = p->images.n,
        .n_kept = p->n_valid + (lane_options_augment(&r->options) ? 0 : p->n_train),
        .budget_bytes = (size_t)r->options.cache_mib << 20,
        .n_max = r->chunk};
}

static size_t add_or_max(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

size_t multilane_run_plan(const struct multilane_problem *p,
                          const struct lane_options *o,
                          uint32_t threads)
{
    return check_problem(p, o, NULL) == STATUS_OK ? multilane_run_size(p, o, threads) : SIZE_MAX;
}

size_t multilane_run_size(const struct multilane_problem *p,
                          const struct lane_options *o,
                          uint32_t threads)
{
    struct run_taker t = {0};
    struct multilane_run r = run_make(p, o, NULL);
    arena_plan_add(&t.plan, 1, sizeof r);
    run_take_all(&t, &r, threads);
    const struct feature_cache_sizes features = run_features(&r);
    const struct pathway_sizes sizes = run_sizes(&r);
    size_t bytes = arena_plan_bytes(&t.plan);
    bytes = add_or_max(bytes, feature_cache_plan(&p->config, &features, threads));
    bytes = add_or_max(bytes, selector_chain_plan(&p->config, o->selectors));
    for (uint32_t i = 0; i < threads; i++)
        bytes = add_or_max(bytes, pathway_plan(&p->config, &sizes, 1));
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

/* The parts that have memory of their own kind. */
static enum status run_take_parts(struct multilane_run *r, struct arena *arena)
{
    const struct multilane_problem *p = r->problem;
    const struct feature_cache_sizes features = run_features(r);
    const struct pathway_sizes sizes = run_sizes(r);
    TRY(feature_cache_new(&p->config, p->weights, &p->images, &features, r->pool, arena,
                          &r->cache));
    TRY(selector_chain_new(&p->config, r->options.selectors,
                           (enum selector_mode)r->options.replace_mode, arena, &r->chain));
    for (uint32_t i = 0; i < pool_threads(r->pool); i++)
        TRY(pathway_new(&p->config, &sizes, 1, arena, &r->pathways[i]));
    return STATUS_OK;
}

/* ------------------------------------------------------------------ start */

/* Ascending, each key once. */
static void run_sort_keys(struct multilane_run *r)
{
    /* heap sort: no recursion and no allocation; the lists are long */
    uint64_t *x = r->keys;
    for (size_t n = r->n_keys, start = n / 2; n > 1;) {
        if (start > 0) {
            start--;
        } else {
            const uint64_t top = x[0];
            x[0] = x[--n];
            x[n] = top;
        }
        size_t root = start;
        for (size_t child; (child = 2 * root + 1) < n; root = child) {
            child += child + 1 < n && x[child + 1] > x[child];
            if (x[root] >= x[child])
                break;
            const uint64_t lower = x[root];
            x[root] = x[child];
            x[child] = lower;
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_keys; i++)
        if (i == 0 || x[i] != x[i - 1])
            x[kept++] = x[i];
    r->n_keys = kept;
}

static void run_collect_keys(struct multilane_run *r)
{
    const struct multilane_problem *p = r->problem;
    if (!p->keys)
        return;
    for (uint32_t i = 0; i < p->n_train; i++)
        r->keys[r->n_keys++] = p->keys[p->train[i]];
    for (uint32_t i = 0; i < p->n_valid; i++)
        r->keys[r->n_keys++] = p->keys[p->valid[i]];
    run_sort_keys(r);
}

static void run_begin(struct multilane_run *r)
{
    const struct multilane_problem *p = r->problem;
    const struct vit_config *c = &p->config;
    const size_t shat = (size_t)c->depth * r->options.selectors * c->width;
    lane_map(c, &r->options, p->n_classes, r->theta, &r->p);
    lane_map(c, &r->options, p->n_classes, r->grad, &r->dp);
    for (size_t i = 0; i < MULTILANE_LANES; i++) {
        struct pathway_gradient *g = &r->sums[i].g;
        g->shat = r->sums[i].block;
        g->prompts = g->shat + shat;
        g->head_w = g->prompts + lane_prompt_floats(c, &r->options);
        g->head_b = g->head_w + (size_t)p->n_classes * c->width;
    }
    lane_init_parameters(c, &r->options, p->n_classes, &r->root,
                         r->options.init == LANE_INIT_FIXED ? NULL : p->parent->block, r->theta);
    r->view = (struct pathway_lane){&r->options, p->n_classes, r->p, r->shat};
    for (uint32_t i = 0; i < p->n_classes; i++) {
        r->classes[i].threshold = r->options.threshold;
        memcpy(r->classes[i].name, p->classes[i], strlen(p->classes[i]) + 1);
    }
    run_collect_keys(r);
}

enum status multilane_run_new(const struct multilane_problem *p,
                              const struct lane_options *o,
                              struct pool *pool,
                              struct arena *arena,
                              struct multilane_run **ret_run,
                              struct fault *f)
{
    TRY(check_problem(p, o, f));
    const struct arena_mark mark = arena_mark(arena);
    struct run_taker t = {.arena = arena};
    struct multilane_run *r = arena_alloc(arena, 1, sizeof *r);
    enum status s = r ? STATUS_OK : STATUS_NO_MEMORY;
    if (r) {
        *r = run_make(p, o, pool);
        run_take_all(&t, r, pool_threads(pool));
        s = t.failed ? STATUS_NO_MEMORY : run_take_parts(r, arena);
    }
    if (s != STATUS_OK) {
        arena_rewind(arena, mark);
        FAIL(f, s, "memory", "the memory given is smaller than planned");
    }
    run_begin(r);
    *ret_run = r;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ steps */

static float run_rate(const struct multilane_run *r)
{
    const struct schedule s = {
        .lr_max = r->options.lr, .lr_min = r->options.lr_min, .total = r->options.epochs};
    return schedule_cosine(&s, r->epoch);
}

/* With one label by accuracy, then loss; with several by loss. */
static int run_better(const struct multilane_run *r, const struct multilane_figures *x)
{
    const struct multilane_figures *best = &r->best_figures;
    if (!r->has_best)
        return 1;
    if (!r->problem->hot && (x->accuracy > best->accuracy || x->accuracy < best->accuracy))
        return x->accuracy > best->accuracy;
    return x->loss < best->loss;
}

static void run_validate(struct multilane_run *r)
{
    multilane_measure(r, r->problem->valid, r->problem->n_valid, &r->last);
    r->last.epoch = r->epoch;
    if (!run_better(r, &r->last))
        return;
    r->best_figures = r->last;
    r->has_best = 1;
    memcpy(r->best, r->theta, r->floats * sizeof *r->best);
}

/* At the end of an epoch; returns whether it validated. */
static int run_end_epoch(struct multilane_run *r)
{
    r->at = 0;
    r->epoch++;
    const int due = r->epoch % r->options.validate_epochs == 0 || r->epoch == r->options.epochs;
    if (!due || r->problem->n_valid == 0)
        return 0;
    run_validate(r);
    return 1;
}

static enum status run_check_finite(const struct multilane_run *r, double loss, struct fault *f)
{
    int finite = isfinite(loss);
    for (size_t i = 0; i < r->floats && finite; i++)
        finite = isfinite(r->theta[i]);
    if (!finite)
        FAIL(f, STATUS_FAILED_PRECONDITION, "lr", "training diverged at step %u with lr %g",
             r->step, (double)r->options.lr);
    return STATUS_OK;
}

enum status multilane_run_step(struct multilane_run *r,
                               struct multilane_progress *ret_progress,
                               struct fault *f)
{
    INVARIANT(r->magic == MULTILANE_MAGIC && r->epoch < r->options.epochs);
    const struct lane_options *o = &r->options;
    const struct multilane_problem *p = r->problem;
    const float lr = run_rate(r);
    if (r->at == 0)
        sampler_epoch(&r->root, "lane/shuffle", r->epoch, p->train, p->n_train, r->order);
    const uint32_t left = p->n_train - r->at, n = left < o->batch ? left : o->batch;
    const double loss = multilane_gradient(r, r->order + r->at, n);
    const struct adam_options adam = {lr, o->beta1, o->beta2, o->epsilon, o->weight_decay};
    adam_step(&adam, ++r->step, r->theta, r->grad, r->m, r->v, r->floats);
    TRY(run_check_finite(r, loss, f));
    r->at += n;
    const uint32_t begun = r->epoch + 1;
    const int validated = r->at == p->n_train && run_end_epoch(r);
    *ret_progress = (struct multilane_progress){.epoch = begun,
                                                .epochs = o->epochs,
                                                .step = r->step,
                                                .steps = r->steps,
                                                .lr = lr,
                                                .loss = loss,
                                                .validated = validated,
                                                .last = r->last,
                                                .best = r->best_figures,
                                                .done = r->epoch == o->epochs};
    return STATUS_OK;
}

void multilane_run_result(struct multilane_run *r, struct lane *ret_lane)
{
    INVARIANT(r->magic == MULTILANE_MAGIC && r->epoch == r->options.epochs);
    const struct multilane_problem *p = r->problem;
    *ret_lane = (struct lane){.origin = p->origin,
                              .width = p->config.width,
                              .depth = p->config.depth,
                              .heads = p->config.heads,
                              .hidden = p->config.hidden,
                              .multi_label = p->hot != NULL,
                              .options = r->options,
                              .best_epoch = r->has_best ? r->best_figures.epoch : r->epoch,
                              .n_keys = r->n_keys,
                              .keys = r->keys,
                              .n_classes = p->n_classes,
                              .classes = r->classes,
                              .block = r->has_best ? r->best : r->theta};
    memcpy(ret_lane->name, p->name, strlen(p->name) + 1);
    if (r->options.init == LANE_INIT_FIXED) {
        ret_lane->origin.parent_id = (struct lane_id){0};
        ret_lane->origin.parent = (struct digest){0};
    }
}

struct feature_cache_counts multilane_run_features(const struct multilane_run *r)
{
    return feature_cache_counts(r->cache);
}
