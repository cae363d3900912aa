/*
 * TAME as a learner: a run is one change of one stream (tame_learner.h), a component of kind
 * "expert" answers for itself.  An expert's seed comes from the problem's seed, the stream's name
 * and the expert's number, so that training it again gives the same bytes.
 */
#include "learners/methods/tame/tame_learner.h"

#include "daemon/base/rng.h"
#include "learners/methods/tame/tame_learner_internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ memory */

static size_t scratch_images(const struct tame_case *c)
{
    return (size_t)TAME_PROBE_BATCHES * c->options.batch_max;
}

static uint32_t most_numbers(const struct learner_problem *p, const struct tame_case *c)
{
    return p->n_classes > c->roll_rows ? p->n_classes : c->roll_rows;
}

/* Rows by key are needed where something is trained again. */
static uint32_t indexed_rows(const struct learner_problem *p, const struct tame_case *c)
{
    return c->action == TAME_ERASE || c->action == TAME_REFIT ? p->images.n : 0;
}

static size_t plan_run(const struct learner_problem *p, const struct tame_case *c, uint32_t threads)
{
    struct arena_plan a = {0};
    struct tame_shape shape;
    tame_adapter_shape(&p->trunk.config, &c->options, &shape);
    const size_t names = (size_t)c->room.experts_room + c->n_experts;
    arena_plan_add(&a, 1, sizeof(struct learner_run));
    tame_roll_plan(c->roll_rows, c->roll_pushes, &a);
    arena_plan_add(&a, c->roll_rows, 1);
    arena_plan_add(&a, c->roll_rows, 1);
    arena_plan_add(&a, c->roll_pushes, 1);
    arena_plan_add(&a, most_numbers(p, c), sizeof(uint32_t));
    arena_plan_add(&a, scratch_images(c), sizeof(const uint8_t *));
    arena_plan_add(&a, scratch_images(c), sizeof(uint32_t));
    arena_plan_add(&a, scratch_images(c), sizeof(uint64_t));
    arena_plan_add(&a, indexed_rows(p, c), sizeof(uint32_t));
    arena_plan_add(&a, LEARNER_EVENTS, sizeof(struct learner_event));
    arena_plan_add(&a, tame_adapter_plan(&p->trunk.config, &c->options, threads), 1);
    arena_plan_add(&a, tame_stream_plan_shape(&c->room, &shape), 1);
    arena_plan_add(&a, c->incoming ? c->incoming->size : 0, 1);
    arena_plan_add(&a, c->incoming ? c->roll_rows : 0, sizeof(uint32_t));
    arena_plan_add(&a, c->parts_bytes, 1); /* made by export, with names and alignment */
    for (size_t i = 0; i < 2 * names + 2; i++)
        arena_plan_add(&a, LEARNER_NAME_SIZE, 1);
    return arena_plan_bytes(&a);
}

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    struct tame_case c;
    return tame_case_read(p, &c, NULL) == STATUS_OK ? plan_run(p, &c, threads) : SIZE_MAX;
}

static int take_memory(struct learner_run *run)
{
    const struct tame_case *c = &run->c;
    struct arena *a = run->arena;
    const size_t images = scratch_images(c);
    if (!tame_roll_new(c->roll_rows, c->roll_pushes, a, &run->roll))
        return 0;
    run->used = arena_alloc(a, c->roll_rows, 1);
    run->anywhere = arena_alloc(a, c->roll_rows, 1);
    run->pushed = arena_alloc(a, c->roll_pushes, 1);
    run->numbers = arena_alloc(a, most_numbers(&run->problem, c), sizeof *run->numbers);
    run->inputs = arena_alloc(a, images, sizeof *run->inputs);
    run->labels = arena_alloc(a, images, sizeof *run->labels);
    run->ids = arena_alloc(a, images, sizeof *run->ids);
    run->queue.rows = arena_alloc(a, indexed_rows(&run->problem, c), sizeof *run->queue.rows);
    run->journal.ring = arena_alloc(a, LEARNER_EVENTS, sizeof *run->journal.ring);
    return run->used && run->anywhere && run->pushed && run->numbers && run->inputs &&
           run->labels && run->ids && run->queue.rows && run->journal.ring;
}

/* ------------------------------------------------------------------ opening */

static uint64_t stream_seed(const struct learner_problem *p)
{
    char name[LEARNER_NAME_SIZE + 16] = "tame/stream/";
    struct rng r;
    memcpy(name + strlen(name), p->name, strlen(p->name) + 1);
    rng_init(&r, &(struct rng_root){.seed = p->seed}, name, 0);
    return rng_u64(&r);
}

static enum status open_engine(struct learner_run *run, struct pool *pool, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    struct tame_adapter_setup setup = {.config = p->trunk.config,
                                       .trunk = p->trunk.weights,
                                       .options = run->c.options,
                                       .pool = pool};
    memcpy(setup.scale, p->images.scale, sizeof setup.scale);
    memcpy(setup.shift, p->images.shift, sizeof setup.shift);
    return tame_adapter_new(&setup, run->arena, &run->engine, f);
}

static struct tame_setup setup_of(struct learner_run *run)
{
    const struct learner_problem *p = &run->problem;
    struct tame_setup s = run->c.room;
    s.kind = &tame_adapter_kind;
    s.engine = run->engine;
    s.seed = stream_seed(p);
    s.trunk = run->c.stream ? run->c.head.origin.state : p->trunk.state;
    s.tombstones = (struct tame_cut){.expert = UINT32_MAX};
    if (run->c.action != TAME_PUSH || !p->erasure)
        return s;
    run->forgotten = TAME_FORGOTTEN;
    s.tombstones.classes = &run->forgotten;
    s.tombstones.n_classes = 1;
    s.tombstones.ids = p->erasure->keys;
    s.tombstones.n_ids = p->erasure->n_keys;
    return s;
}

/* Collects whether every class number of a record has a name. */
struct name_check {
    const struct tame_roll *roll;
    int failed;
};

static void check_name(void *context, const struct tame_met *met)
{
    struct name_check *x = context;
    x->failed |= met->label >= x->roll->n || x->roll->rows[met->label].name[0] == '\0';
}

static enum status attach(struct learner_run *run, uint32_t i, struct fault *f)
{
    struct tame_case_expert x;
    struct name_check check = {.roll = &run->roll};
    TRY(tame_case_expert(&run->problem, &run->c, i, &x, f));
    tame_survey_samples(&x.survey, check_name, &check);
    for (uint32_t k = 0; k < x.survey.classes; k++)
        check_name(&check, &(struct tame_met){.label = tame_survey_label(&x.survey, k)});
    if (check.failed)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "expert %s has a class that the stream does not",
             x.part->name);
    return tame_stream_attach(run->stream, x.survey.record, x.survey.size, f);
}

static enum status
open_recorded(struct learner_run *run, const struct tame_setup *s, struct fault *f)
{
    const struct learner_part *part = run->c.stream;
    const struct tame_head *h = &run->c.head;
    const uint8_t *inner = (const uint8_t *)part->bytes + h->inner;
    const size_t size = part->size - h->inner;
    struct name_check check = {.roll = &run->roll};
    uint32_t held;
    tame_roll_read(part->bytes, part->size, h, &run->roll);
    TRY(tame_survey_held(inner, size, check_name, &check, &held, f));
    if (check.failed)
        FAIL(f, STATUS_BAD_FORMAT, "held", "a kept sample is of a class that is not there");
    TRY(tame_stream_open(s, inner, size, run->arena, &run->stream, f));
    for (uint32_t i = 0; i < run->c.n_experts; i++)
        TRY(attach(run, i, f));
    return tame_stream_seal(run->stream, f);
}

static enum status open_stream(struct learner_run *run, struct fault *f)
{
    const struct tame_setup s = setup_of(run);
    run->origin = (struct tame_origin){.base = run->problem.trunk.base,
                                       .state = run->problem.trunk.state,
                                       .preprocessing = run->problem.trunk.preprocessing};
    if (run->c.stream)
        return open_recorded(run, &s, f);
    return tame_stream_open(&s, NULL, 0, run->arena, &run->stream, f);
}

/* What the action does before its first step. */
static enum status begin(struct learner_run *run, struct fault *f)
{
    run->steps = 1;
    run->loss = (double)NAN;
    if (run->c.action == TAME_PUSH)
        return tame_push_begin(run, f);
    if (run->c.action == TAME_ERASE || run->c.action == TAME_REFIT)
        return tame_forget_begin(run, f);
    return STATUS_OK;
}

static enum status start(struct learner_run *run, struct pool *pool, struct fault *f)
{
    if (!take_memory(run))
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    TRY(open_engine(run, pool, f));
    TRY(open_stream(run, f));
    return begin(run, f);
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    struct tame_case c;
    TRY(tame_case_read(p, &c, f));
    const struct arena_mark mark = arena_mark(tools->arena);
    struct learner_run *run = arena_alloc_zero(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    run->learner = &learner_tame;
    run->problem = *p;
    run->c = c;
    run->arena = tools->arena;
    run->cancel = tools->cancel;
    const enum status st = start(run, tools->pool, f);
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, mark);
        return st;
    }
    *ret_run = run;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ steps */

const uint8_t *tame_learner_pixels(const struct learner_run *run, uint32_t row)
{
    const struct image_table *t = &run->problem.images;
    return t->pixels + (size_t)row * images_floats(t);
}

enum status tame_learner_settle(struct learner_run *run, struct fault *f)
{
    if (run->c.options.selector == TAME_SELECTOR_NONE || tame_stream_buffer(run->stream)->n == 0)
        return STATUS_OK;
    return tame_stream_fit_selector(run->stream, f);
}

static enum status act(struct learner_run *run, struct fault *f)
{
    switch (run->c.action) {
    case TAME_PUSH:
        return tame_push_step(run, f);
    case TAME_CLOSE:
        return tame_close_step(run, f);
    case TAME_ERASE:
    case TAME_REFIT:
        return tame_forget_step(run, f);
    case TAME_IMPORT:
        return tame_import_step(run, f);
    case TAME_OPEN:
        break;
    }
    run->step++;
    return STATUS_OK;
}

static enum status
step(struct learner_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    if (run->cancel && atomic_load(run->cancel))
        FAIL(f, STATUS_CANCELLED, "run", "cancelled after %u steps", run->step);
    if (run->step == run->steps)
        FAIL(f, STATUS_FAILED_PRECONDITION, "run", "it is over after %u steps", run->steps);
    TRY(act(run, f));
    *ret_progress = learner_progress_at(1, 1, run->step, run->steps);
    ret_progress->loss = (float)run->loss;
    ret_progress->done = run->step == run->steps;
    return STATUS_OK;
}

/* Experts read pictures themselves: nothing of the frozen stream is watched. */
static struct learner_watch watch(struct learner_forward *forward)
{
    (void)forward;
    return (struct learner_watch){NULL, NULL};
}

const struct learner learner_tame = {
    .name = "tame",
    .kind = TAME_EXPERT_KIND,
    .text = "TAME: experts for a stream whose tasks change without notice",
    .plan = plan,
    .init = init,
    .step = step,
    .export = tame_learner_export,
    .import_plan = tame_model_plan,
    .import = tame_model_read,
    .forward_plan = tame_server_plan,
    .forward_new = tame_server_new,
    .watch = watch,
    .forward = tame_server_run,
    .labels = tame_model_labels,
    .lineage = tame_model_lineage,
    .erase = tame_model_erase,
};
