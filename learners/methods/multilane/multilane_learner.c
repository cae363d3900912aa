/*
 * MULTI-LANE as a learner: a run trains one lane.  A lane reads nothing of another one, so
 * forgetting what it was trained on is exact: it is dropped, or trained again from its own seed
 * without the data.  Its random streams are keyed by the problem's seed and the lane's name, not by
 * the request, so that training it again gives the same bytes.
 */
#include "learners/learner.h"
#include "learners/methods/multilane/lane_server.h"
#include "learners/methods/multilane/multilane_erase.h"
#include "learners/methods/multilane/multilane_run.h"

#include <math.h>
#include <string.h>

struct learner_run {
    const struct learner *learner;
    struct multilane_problem problem;
    struct lane parent;
    struct multilane_run *run;
    struct multilane_progress progress;
    struct multilane_erase *erase; /* instead of `run`: what is there is to be suppressed */
    struct arena *arena;
    const atomic_int *cancel;
};

struct learner_model {
    const struct learner *learner;
    struct lane lane;
    const struct learner_trunk *trunk;
    const char **labels;      /* [n_classes] */
    struct lane_ready *ready; /* for the trunk's state at import */
};

struct learner_forward {
    struct lane_server *server;
};

/* ------------------------------------------------------------------ a run */

static enum status
read_options(const struct learner_problem *p, struct lane_options *ret_o, struct fault *f)
{
    lane_options_default(ret_o);
    /* the default means "at most all"; a number that was asked for is checked as it is */
    if (ret_o->prompt_blocks > p->trunk.config.depth)
        ret_o->prompt_blocks = p->trunk.config.depth;
    for (uint32_t i = 0; i < p->n_options; i++)
        TRY(lane_options_set(ret_o, p->options[i].name, p->options[i].value, f));
    return lane_options_check(ret_o, &p->trunk.config, f);
}

/* The last lane among the parts: what init=previous and init=anchor start from. */
static const struct learner_part *parent_part(const struct learner_problem *p)
{
    for (uint32_t i = p->n_parts; i-- > 0;)
        if (strcmp(p->parts[i].kind, learner_multilane.kind) == 0)
            return &p->parts[i];
    return NULL;
}

static struct multilane_problem problem_of(const struct learner_problem *p)
{
    return (struct multilane_problem){
        .config = p->trunk.config,
        .weights = p->trunk.weights,
        .origin = {.id = lane_id_of_name(p->name),
                   .base = p->trunk.base,
                   .trunk = p->trunk.state,
                   .preprocessing = p->trunk.preprocessing,
                   .memory = p->memory,
                   .seed = p->seed},
        .name = p->name,
        .images = p->images,
        .hot = p->hot,
        .keys = p->keys,
        .train = p->lists[LEARNER_TRAIN].rows,
        .valid = p->lists[LEARNER_VALID].rows,
        .n_train = p->lists[LEARNER_TRAIN].n,
        .n_valid = p->lists[LEARNER_VALID].n,
        .n_classes = p->n_classes,
        .classes = p->classes,
    };
}

static size_t plus(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* Bytes of the record that the run makes, about and never less. */
static size_t record_bytes(const struct learner_problem *p, const struct lane_options *o)
{
    const size_t keys = p->keys ? (size_t)p->lists[LEARNER_TRAIN].n + p->lists[LEARNER_VALID].n : 0;
    return lane_floats(&p->trunk.config, o, p->n_classes) * sizeof(float) +
           keys * sizeof(uint64_t) + (size_t)p->n_classes * sizeof(struct lane_class) +
           sizeof(struct lane) + 4096;
}

/* The lane that is changed is as large as its record, and so is the one that comes out. */
static size_t plan_erase(const struct learner_problem *p, uint32_t threads)
{
    struct arena_plan more = {0};
    size_t bytes = multilane_erase_plan(p, threads);
    arena_plan_add(&more, 1, sizeof(struct learner_run));
    for (uint32_t i = 0; i < p->n_parts; i++)
        arena_plan_add(&more, p->parts[i].size, 1);
    return plus(bytes, arena_plan_bytes(&more));
}

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    struct lane_options o;
    if (multilane_erase_is(p))
        return plan_erase(p, threads);
    if (read_options(p, &o, NULL) != STATUS_OK)
        return SIZE_MAX;
    const struct learner_part *parent = o.init == LANE_INIT_FIXED ? NULL : parent_part(p);
    const struct multilane_problem problem = problem_of(p);
    struct lane_options fixed = o; /* the parent is not read yet, and needs no memory of the run */
    fixed.init = LANE_INIT_FIXED;
    struct arena_plan more = {0};
    arena_plan_add(&more, 1, sizeof(struct learner_run));
    arena_plan_add(&more, record_bytes(p, &o), 1);
    const size_t bytes =
        plus(arena_plan_bytes(&more), multilane_run_plan(&problem, &fixed, threads));
    return plus(bytes, parent ? lane_decode_plan(parent->size) : 0);
}

static enum status read_parent(const struct learner_problem *p,
                               const struct lane_options *o,
                               struct learner_run *run,
                               struct fault *f)
{
    if (o->init == LANE_INIT_FIXED)
        return STATUS_OK;
    const struct learner_part *part = parent_part(p);
    if (!part)
        FAIL(f, STATUS_FAILED_PRECONDITION, "init", "there is no lane to start from");
    TRY(lane_decode(part->bytes, part->size, &p->trunk.config, &p->trunk.base, run->arena,
                    &run->parent, f));
    run->problem.parent = &run->parent;
    run->problem.origin.parent_id = run->parent.origin.id;
    run->problem.origin.parent = part->digest;
    return STATUS_OK;
}

static enum status init_lane(const struct learner_problem *p,
                             const struct learner_tools *tools,
                             struct learner_run *run,
                             struct fault *f)
{
    struct lane_options o;
    TRY(read_options(p, &o, f));
    TRY(read_parent(p, &o, run, f));
    return multilane_run_new(&run->problem, &o, tools->pool, tools->arena, &run->run, f);
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_run *run = arena_alloc_zero(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    run->learner = &learner_multilane;
    run->problem = problem_of(p);
    run->arena = tools->arena;
    run->cancel = tools->cancel;
    const enum status st = multilane_erase_is(p) ? multilane_erase_new(p, tools, &run->erase, f)
                                                 : init_lane(p, tools, run, f);
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
    if (run->cancel && atomic_load(run->cancel))
        FAIL(f, STATUS_CANCELLED, "run", "cancelled after %u steps", run->progress.step);
    if (run->erase) {
        TRY(multilane_erase_step(run->erase, ret_progress, f));
        run->progress.step = ret_progress->step;
        return STATUS_OK;
    }
    TRY(multilane_run_step(run->run, &run->progress, f));
    const struct multilane_progress *g = &run->progress;
    *ret_progress = learner_progress_at(g->epoch, g->epochs, g->step, g->steps);
    ret_progress->loss = (float)g->loss;
    ret_progress->acc_valid = g->last.epoch ? (float)g->last.accuracy : NAN;
    ret_progress->done = g->done;
    return STATUS_OK;
}

static void
result_of(struct learner_run *run, struct lane *ret_lane, struct learner_outcome *ret_outcome)
{
    if (run->erase) {
        multilane_erase_result(run->erase, ret_lane, ret_outcome);
        return;
    }
    multilane_run_result(run->run, ret_lane);
    const int validated = run->progress.best.epoch > 0;
    *ret_outcome =
        (struct learner_outcome){.text = validated ? "best epoch by validation" : "not validated",
                                 .target_met = validated ? 1 : -1};
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    struct lane lane;
    result_of(run, &lane, ret_outcome);
    const size_t size = lane_encoded_size(&lane);
    void *bytes = arena_alloc(run->arena, size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a lane of %zu bytes", size);
    lane_encode(&lane, bytes, size);
    ret_parts[0] = (struct learner_part){
        .kind = learner_multilane.kind, .name = run->problem.name, .bytes = bytes, .size = size};
    *ret_n = 1;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ a stored lane */

static size_t import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    /* a record of this size has at most this many classes and selectors */
    const size_t names = part->size / sizeof(float), width = trunk->config.width;
    const size_t most = part->size / (width * sizeof(float));
    struct lane_options o = {.selectors = most < 256 ? (uint32_t)most : 256};
    struct arena_plan more = {0};
    arena_plan_add(&more, 1, sizeof(struct learner_model));
    arena_plan_add(&more, names < VIT_MAX_CLASSES ? names : VIT_MAX_CLASSES, sizeof(char *));
    return plus(plus(arena_plan_bytes(&more), lane_decode_plan(part->size)),
                lane_ready_plan(&trunk->config, &o));
}

/* What comes after the record: names and selectors. */
static enum status prepare(struct learner_model *m, struct arena *arena, struct fault *f)
{
    const struct learner_trunk *t = m->trunk;
    const struct lane_trunk trunk = {&t->config, t->weights};
    TRY(lane_check_model(&m->lane, &t->base, &t->preprocessing, f));
    m->labels = arena_alloc(arena, m->lane.n_classes, sizeof *m->labels);
    if (!m->labels || lane_ready_new(&m->lane, &trunk, &t->state, arena, &m->ready) != STATUS_OK)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for lane '%.64s'", m->lane.name);
    for (uint32_t i = 0; i < m->lane.n_classes; i++)
        m->labels[i] = m->lane.classes[i].name;
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
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a lane");
    m->learner = &learner_multilane;
    m->trunk = trunk;
    enum status st =
        lane_decode(part->bytes, part->size, &trunk->config, &trunk->base, arena, &m->lane, f);
    if (st == STATUS_OK)
        st = prepare(m, arena, f);
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
    struct lane_server_sizes sizes = {0};
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_forward));
    arena_plan_add(&p, n_models, sizeof(struct lane_ready *));
    size_t bytes = arena_plan_bytes(&p);
    for (uint32_t i = 0; i < n_models; i++) {
        const struct lane_ready *ready = models[i]->ready;
        lane_server_count(&sizes, &ready->view);
        if (!digest_equal(&ready->state, &trunk->state))
            bytes = plus(bytes, lane_ready_plan(&trunk->config, ready->view.options));
    }
    return plus(bytes, lane_server_plan(&trunk->config, &sizes, n_max, threads));
}

/*
 * The lanes as they are ready; one that was made ready on another state of the trunk is made ready
 * again, in the forward pass's own memory.
 */
static enum status collect(struct learner_model *const *models,
                           uint32_t n_models,
                           const struct learner_trunk *trunk,
                           struct arena *arena,
                           const struct lane_ready **lanes)
{
    const struct lane_trunk frozen = {&trunk->config, trunk->weights};
    for (uint32_t i = 0; i < n_models; i++) {
        lanes[i] = models[i]->ready;
        if (digest_equal(&models[i]->ready->state, &trunk->state))
            continue;
        struct lane_ready *again;
        TRY(lane_ready_new(&models[i]->lane, &frozen, &trunk->state, arena, &again));
        lanes[i] = again;
    }
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
    struct arena *arena = tools->arena;
    const struct arena_mark start = arena_mark(arena);
    const struct lane_trunk frozen = {&trunk->config, trunk->weights};
    struct learner_forward *w = arena_alloc(arena, 1, sizeof *w);
    const struct lane_ready **lanes = arena_alloc(arena, n_models, sizeof *lanes);
    enum status st = w && lanes ? STATUS_OK : STATUS_NO_MEMORY;
    if (st == STATUS_OK)
        st = collect(models, n_models, trunk, arena, lanes);
    if (st == STATUS_OK)
        st = lane_server_new(&frozen, &trunk->state, lanes, n_models, n_max,
                             pool_threads(tools->pool), arena, &w->server, f);
    if (st != STATUS_OK) {
        arena_rewind(arena, start);
        FAIL(f, st, "memory", "the memory given is smaller than planned");
    }
    *ret_forward = w;
    return STATUS_OK;
}

static struct learner_watch watch(struct learner_forward *forward)
{
    return (struct learner_watch){lane_server_observe, forward->server};
}

static void
forward(struct learner_forward *forward, const struct learner_stream *stream, float *const *logits)
{
    lane_server_read(forward->server, stream->n, logits);
}

static uint32_t labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->labels;
    return model->lane.n_classes;
}

/* The sigmoid of a logit is above it where that of the logit over the temperature is above t. */
static float threshold(const struct learner_model *model, uint32_t label)
{
    const struct lane *x = &model->lane;
    if (!x->multi_label)
        return -1.0f;
    const double t = (double)x->classes[label].threshold;
    if (t <= 0.0 || t >= 1.0)
        return (float)t;
    const double z = log(t / (1.0 - t)) * (double)x->options.temperature;
    return (float)(1.0 / (1.0 + exp(-z)));
}

/* ------------------------------------------------------------------ lineage and erasure */

static void id_text(const struct lane_id *id, char text[LEARNER_NAME_SIZE])
{
    hex_format(id->b, LANE_ID_SIZE, text);
}

static uint32_t
lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    const struct lane_origin *o = &model->lane.origin;
    struct learner_source rows[] = {
        {.kind = "component", .name = "base", .digest = o->base},
        {.kind = "memory", .name = "", .digest = o->memory},
        {.kind = "component", .name = "", .digest = o->parent},
    };
    id_text(&o->id, rows[1].name);
    id_text(&o->parent_id, rows[2].name);
    return learner_sources(rows, sizeof rows / sizeof *rows, ret_list, max);
}

static int has_source(const struct learner_erasure *e, const struct digest *d)
{
    for (uint32_t i = 0; i < e->n_sources && !digest_is_zero(d); i++)
        if (digest_equal(&e->sources[i], d))
            return 1;
    return 0;
}

/* How many classes of the lane are among those erased. */
static uint32_t erased_classes(const struct lane *x, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n_classes; i++) {
        int hit = 0;
        for (uint32_t k = 0; k < e->n_classes; k++)
            hit |= strcmp(e->classes[k], x->classes[i].name) == 0;
        n += hit != 0;
    }
    return n;
}

static enum learner_fate erase(const struct learner_model *model,
                               const struct learner_erasure *erasure)
{
    const struct lane *x = &model->lane;
    if (erasure->component && strcmp(erasure->component, x->name) == 0)
        return LEARNER_DESTROY;
    const uint32_t classes = erased_classes(x, erasure);
    if (classes == x->n_classes || has_source(erasure, &x->origin.memory))
        return LEARNER_DESTROY;
    if (classes > 0 || lane_has_key(x, erasure->keys, erasure->n_keys) ||
        has_source(erasure, &x->origin.parent))
        return LEARNER_RETRAIN;
    return LEARNER_UNAFFECTED;
}

const struct learner learner_multilane = {
    .name = "multilane",
    .kind = "lane",
    .text = "MULTI-LANE: one independent pathway of selectors and prompts a task",
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
    .threshold = threshold,
    .lineage = lineage,
    .erase = erase,
};
