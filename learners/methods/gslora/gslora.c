#include "learners/methods/gslora/gslora.h"

#include "learners/methods/gslora/gslora_internal.h"
#include "learners/optim/schedule.h"

#include <math.h>
#include <string.h>

const char *gslora_outcome_text(enum gslora_outcome outcome)
{
    static const char *const texts[] = {"target met", "best H", "target not met", "all groups zero",
                                        "not validated"};
    return texts[outcome];
}

/* ------------------------------------------------------------------ checks */

static int validated(const struct gslora_problem *p, const struct gslora_options *o)
{
    return !o->few_shot && p->forget.n_valid > 0 && p->retain.n_valid > 0;
}

static enum status
check_lists(const struct gslora_problem *p, const struct gslora_options *o, struct fault *f)
{
    const struct image_table *t = &p->images;
    TRY(images_check_list(t, p->forget.train, p->forget.n_train, "forget.train", f));
    TRY(images_check_list(t, p->forget.valid, p->forget.n_valid, "forget.valid", f));
    TRY(images_check_list(t, p->retain.train, p->retain.n_train, "retain.train", f));
    TRY(images_check_list(t, p->retain.valid, p->retain.n_valid, "retain.valid", f));
    if (p->forget.n_train == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "forget", "no image of a class to erase");
    if (p->retain.n_train == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "retain", "no image of a class to keep");
    if (!o->few_shot && (p->forget.n_valid > 0) != (p->retain.n_valid > 0))
        FAIL(f, STATUS_FAILED_PRECONDITION, "validation",
             "validation images are needed for both sets or for none");
    return STATUS_OK;
}

/* Marks the classes of a list in `mark` [K] with `bit`. */
static void mark_classes(const struct gslora_problem *p,
                         const struct gslora_lists *lists,
                         uint8_t bit,
                         uint8_t *mark)
{
    for (uint32_t i = 0; i < lists->n_train; i++)
        mark[p->images.labels[lists->train[i]]] |= bit;
    for (uint32_t i = 0; i < lists->n_valid; i++)
        mark[p->images.labels[lists->valid[i]]] |= bit;
}

enum { CLASS_FORGET = 1, CLASS_RETAIN = 2 };

static enum status check_classes(const struct gslora_problem *p,
                                 const struct gslora_options *o,
                                 uint8_t *mark,
                                 struct fault *f)
{
    const int push = o->push < 0 ? o->depth == GSLORA_DEPTH_OFF : o->push > 0;
    const int needed = (push || o->pull > 0) && o->proto_source == GSLORA_PROTO_BASE;
    if (needed && (!p->prototypes || !p->prototype_counts))
        FAIL(f, STATUS_FAILED_PRECONDITION, "prototypes", "the prototype terms need prototypes");
    memset(mark, 0, p->config.classes);
    mark_classes(p, &p->forget, CLASS_FORGET, mark);
    mark_classes(p, &p->retain, CLASS_RETAIN, mark);
    for (uint32_t k = 0; k < p->config.classes; k++) {
        if (!p->samples && mark[k] == (CLASS_FORGET | CLASS_RETAIN))
            FAIL(f, STATUS_INVALID_ARGUMENT, "retain", "class %u is to be erased and kept", k);
        if (needed && mark[k] && p->prototype_counts[k] == 0)
            FAIL(f, STATUS_FAILED_PRECONDITION, "prototypes", "class %u has no prototype", k);
    }
    return STATUS_OK;
}

/* No image may be in two lists (or twice in a validation list). */
static enum status check_disjoint(const struct gslora_problem *p, uint8_t *seen, struct fault *f)
{
    memset(seen, 0, p->images.n);
    const struct gslora_lists *const sets[] = {&p->forget, &p->retain};
    for (int i = 0; i < 2; i++)
        for (uint32_t j = 0; j < sets[i]->n_train; j++)
            seen[sets[i]->train[j]] = 1;
    for (int i = 0; i < 2; i++)
        for (uint32_t j = 0; j < sets[i]->n_valid; j++)
            if (seen[sets[i]->valid[j]]++)
                FAIL(f, STATUS_INVALID_ARGUMENT, "validation", "image %u is in two lists",
                     sets[i]->valid[j]);
    return STATUS_OK;
}

static enum status
check_problem(const struct gslora_problem *p, const struct gslora_options *o, struct fault *f)
{
    const struct vit_config *c = &p->config;
    const struct image_shape shape = {c->image_size, c->channels, c->classes};
    TRY(gslora_options_check(o, f));
    TRY(vit_config_check(c, f));
    TRY(images_check(&p->images, &shape, f));
    return check_lists(p, o, f);
}

/* ------------------------------------------------------------------ result */

static size_t theta_floats(const struct gslora_problem *p, const struct gslora_options *o)
{
    const struct vit_config *c = &p->config;
    return c->depth * delta_group_floats(c->width, c->hidden, o->rank);
}

static int outputs_new(const struct gslora_problem *p,
                       const struct gslora_options *o,
                       struct arena *a,
                       struct gslora_outputs *x)
{
    x->mark = arena_alloc(a, p->config.classes, 1);
    x->erased = arena_alloc(a, p->config.classes, sizeof *x->erased);
    x->kept = arena_alloc(a, p->config.classes, sizeof *x->kept);
    x->theta = arena_alloc(a, theta_floats(p, o), sizeof(float));
    x->history = arena_alloc(a, GSLORA_HISTORY, sizeof *x->history);
    return x->mark && x->erased && x->kept && x->theta && x->history;
}

size_t gslora_plan(const struct gslora_problem *p, const struct gslora_options *o, uint32_t threads)
{
    if (check_problem(p, o, NULL) != STATUS_OK)
        return SIZE_MAX;
    struct arena_plan plan = {0};
    arena_plan_add(&plan, p->config.classes, 1);
    arena_plan_add(&plan, p->config.classes, sizeof(uint32_t));
    arena_plan_add(&plan, p->config.classes, sizeof(uint32_t));
    arena_plan_add(&plan, theta_floats(p, o), sizeof(float));
    arena_plan_add(&plan, GSLORA_HISTORY, sizeof(struct gslora_figures));
    struct arena_plan seen = plan;
    arena_plan_add(&seen, p->images.n, 1);
    arena_plan_add(&plan, 1, sizeof(struct gslora_run));
    gslora_run_plan(p, o, threads, &plan);
    return arena_plan_bytes(plan.bytes > seen.bytes ? &plan : &seen);
}

static uint32_t list_classes(const uint8_t *mark, uint32_t classes, uint8_t bit, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < classes; k++)
        if (mark[k] & bit)
            out[n++] = k;
    return n;
}

/* The delta of the set's present state, with its matrices copied to x->theta. */
static void
make_delta(const struct gslora_run *run, const struct gslora_outputs *x, struct delta *d)
{
    const struct gslora_problem *p = run->problem;
    const struct active_set *s = &run->set;
    *d = (struct delta){.origin = p->origin,
                        .depth = p->config.depth,
                        .width = p->config.width,
                        .hidden = p->config.hidden,
                        .classes = p->config.classes,
                        .options = run->options,
                        .erased = x->erased,
                        .trained_with = x->kept,
                        .lora = {.rank = s->rank, .scale = s->lora.scale}};
    /* the whole lists count, also where an option takes only part of a class's images */
    d->n_erased = p->samples ? 0 : list_classes(x->mark, d->classes, CLASS_FORGET, x->erased);
    d->n_trained_with = list_classes(x->mark, d->classes, CLASS_RETAIN, x->kept);
    memcpy(x->theta, s->theta, s->depth * s->group * sizeof(float));
    for (uint32_t l = 0; l < s->depth; l++) {
        const struct vit_lora_block *from = &s->lora.blocks[l];
        if (!from->awake)
            continue;
        d->lora.blocks[l] = (struct vit_lora_block){.a1 = x->theta + (from->a1 - s->theta),
                                                    .b1 = x->theta + (from->b1 - s->theta),
                                                    .a2 = x->theta + (from->a2 - s->theta),
                                                    .b2 = x->theta + (from->b2 - s->theta),
                                                    .awake = 1};
    }
}

/* ------------------------------------------------------------------ training */

/* Retained and forget images of the next step into the batch. */
static void next_batch(struct gslora_run *run, int forget_first)
{
    struct gslora_batch *b = &run->batch;
    struct gslora_cycle *lead = forget_first ? &run->forget : &run->retain;
    struct gslora_cycle *other = forget_first ? &run->retain : &run->forget;
    const uint32_t size_lead = forget_first ? run->options.batch_forget : run->options.batch_retain;
    const uint32_t size_other =
        forget_first ? run->options.batch_retain : run->options.batch_forget;
    const uint32_t left = lead->n - lead->at;
    const uint32_t n_lead = left < size_lead ? left : size_lead;
    const uint32_t n_other = other->n < size_other ? other->n : size_other;
    b->n_retain = forget_first ? n_other : n_lead;
    b->n_forget = forget_first ? n_lead : n_other;
    uint32_t *retain = b->list, *forget = b->list + b->n_retain;
    gslora_cycle_take(lead, &run->root, n_lead, forget_first ? forget : retain);
    gslora_cycle_take(other, &run->root, n_other, forget_first ? retain : forget);
}

static float epoch_lr(const struct gslora_options *o, uint32_t epoch)
{
    const struct schedule s = {.lr_max = o->lr, .lr_min = o->lr_min, .total = o->epochs};
    return schedule_cosine(&s, epoch);
}

static void
report(const struct gslora_run *run, const struct loss_values *v, float lr, int measured)
{
    if (!run->tools->observer)
        return;
    const struct gslora_progress p = {.epoch = run->epoch,
                                      .epochs = run->options.epochs,
                                      .step = run->step,
                                      .steps = run->steps_per_epoch * run->options.epochs,
                                      .lr = lr,
                                      .beta = (float)run->beta,
                                      .loss = (float)v->total,
                                      .loss_retain = (float)v->retain,
                                      .loss_forget = (float)v->forget,
                                      .loss_push = (float)v->push,
                                      .loss_pull = (float)v->pull,
                                      .loss_depth = (float)v->depth,
                                      .n_groups = run->set.depth,
                                      .group_norms = run->set.norms,
                                      .first_awake = active_set_first(&run->set),
                                      .validated = measured,
                                      .figures = run->validation.done ? &run->last : NULL};
    run->tools->observer(run->tools->observer_context, &p);
}

static void raise_beta(struct gslora_run *run)
{
    const struct gslora_options *o = &run->options;
    if (run->last.acc_forget <= (double)o->target_forget)
        return;
    run->beta *= (double)o->beta_raise;
    if (run->beta > (double)o->beta_max)
        run->beta = (double)o->beta_max;
}

/* The targets held twice, the group step has run long enough and no group wants to wake. */
static int may_stop(struct gslora_run *run)
{
    const double settle = (double)run->options.settle_epochs * run->steps_per_epoch;
    if (run->held < 2 || run->penalty_steps < settle)
        return 0;
    return !run->options.wake_images || gslora_wake_check(run) == 0;
}

/* One step and what follows it; `last` is the last step of all. */
static enum gslora_end train_step(struct gslora_run *run, float lr, int last)
{
    const struct gslora_options *o = &run->options;
    const int validate = validated(run->problem, o);
    if (run->tools->cancel && atomic_load_explicit(run->tools->cancel, memory_order_relaxed))
        return GSLORA_END_CANCELLED;
    const int penalty = (double)run->step >= (double)o->warm_epochs * (double)run->steps_per_epoch;
    struct loss_values values;
    gslora_step(run, lr, penalty, &values);
    run->step++;
    run->penalty_steps += penalty != 0;
    const double wake_steps = (double)o->wake_epochs * run->steps_per_epoch;
    if (active_set_awake(&run->set) == 0 && gslora_wake_check(run) == 0)
        return GSLORA_END_ALL_ZERO;
    if (wake_steps >= 1 && fmod((double)run->step, floor(wake_steps)) < 0.5 &&
        active_set_awake(&run->set) < run->set.depth)
        gslora_wake_check(run);
    const int measure = validate && (last || run->step % o->validate_steps == 0);
    if (measure) {
        gslora_validate(run);
        raise_beta(run);
    }
    report(run, &values, lr, measure);
    return measure && !last && may_stop(run) ? GSLORA_END_STOPPED : GSLORA_END_NONE;
}

/* The set that an epoch passes through once; the other is cycled along. */
static int forget_leads(const struct gslora_run *run)
{
    return run->options.few_shot && run->forget.n > run->retain.n;
}

static void count_steps(struct gslora_run *run)
{
    const struct gslora_options *o = &run->options;
    const uint32_t n = forget_leads(run) ? run->forget.n : run->retain.n;
    const uint32_t batch = forget_leads(run) ? o->batch_forget : o->batch_retain;
    run->steps_per_epoch = (n + batch - 1) / batch;
}

enum status gslora_next(struct gslora_run *run, int *ret_done, struct fault *f)
{
    const struct gslora_options *o = &run->options;
    struct gslora_cycle *lead = forget_leads(run) ? &run->forget : &run->retain;
    if (run->epoch_step == 0)
        gslora_cycle_restart(lead, &run->root, run->epoch);
    next_batch(run, forget_leads(run));
    const int last_of_epoch = run->epoch_step + 1 == run->steps_per_epoch;
    const int last = run->epoch + 1 == o->epochs && last_of_epoch;
    run->end = train_step(run, epoch_lr(o, run->epoch), last);
    if (run->end == GSLORA_END_CANCELLED)
        FAIL(f, STATUS_CANCELLED, NULL, "cancelled at step %u", run->step);
    run->epoch += last_of_epoch ? 1 : 0;
    run->epoch_step = last_of_epoch ? 0 : run->epoch_step + 1;
    *ret_done = last || run->end != GSLORA_END_NONE;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ one request */

/* Brings the set to the state that becomes the delta and says how the request ended. */
static enum gslora_outcome choose_state(struct gslora_run *run, struct gslora_figures *ret_after)
{
    *ret_after = run->last;
    if (run->end == GSLORA_END_ALL_ZERO)
        return GSLORA_ALL_ZERO;
    if (!validated(run->problem, &run->options))
        return GSLORA_NOT_VALIDATED;
    if (run->end == GSLORA_END_STOPPED)
        return GSLORA_TARGET_MET;
    active_set_restore(&run->set, run->best_theta, run->best_awake);
    *ret_after = run->best;
    return gslora_targets_met(run, &run->best) ? GSLORA_BEST_H : GSLORA_TARGET_NOT_MET;
}

void gslora_finish(struct gslora_run *run, struct gslora_result *ret_result)
{
    struct arena *arena = run->tools->arena;
    const struct arena_mark kept = run->kept;
    struct gslora_result *r = ret_result;
    *r = (struct gslora_result){.groups_total = run->set.depth,
                                .steps = run->step,
                                .sleeps = run->set.sleeps,
                                .wakes = run->set.wakes,
                                .before = run->before,
                                .n_history = run->validation.n_history,
                                .history = run->outputs.history};
    r->outcome = choose_state(run, &r->after);
    r->groups_zero = run->set.depth - active_set_awake(&run->set);
    r->snapshot_step = r->after.n_forget ? r->after.step : run->step;
    make_delta(run, &run->outputs, &r->delta);
    arena_rewind(arena, kept);
}

/* Marks of the classes, checked; the scratch is given back. */
static enum status check_sets(const struct gslora_problem *p,
                              const struct gslora_options *o,
                              struct arena *arena,
                              uint8_t *mark,
                              struct fault *f)
{
    const struct arena_mark before = arena_mark(arena);
    uint8_t *seen = arena_alloc(arena, p->images.n, 1);
    if (!seen)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    const enum status st = check_disjoint(p, seen, f);
    arena_rewind(arena, before);
    TRY(st);
    return check_classes(p, o, mark, f);
}

static enum status run_start(const struct gslora_problem *p,
                             const struct gslora_options *o,
                             const struct gslora_tools *tools,
                             struct gslora_run **ret_run,
                             struct fault *f)
{
    struct gslora_outputs x;
    if (!outputs_new(p, o, tools->arena, &x))
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    const struct arena_mark kept = arena_mark(tools->arena);
    TRY(check_sets(p, o, tools->arena, x.mark, f));
    struct gslora_run *run = arena_alloc(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *run = (struct gslora_run){.problem = p,
                               .tools = tools,
                               .options = *o,
                               .root = {.seed = p->origin.seed},
                               .outputs = x,
                               .kept = kept};
    memcpy(run->root.request, p->origin.request.b, sizeof run->root.request);
    run->validation.history = x.history;
    TRY(gslora_run_new(run, tools->arena, f));
    run->beta = (double)run->options.beta;
    count_steps(run);
    *ret_run = run;
    return STATUS_OK;
}

enum status gslora_start(const struct gslora_problem *p,
                         const struct gslora_options *o,
                         const struct gslora_tools *tools,
                         struct gslora_run **ret_run,
                         struct fault *f)
{
    TRY(check_problem(p, o, f));
    const struct arena_mark start = arena_mark(tools->arena);
    const enum status st = run_start(p, o, tools, ret_run, f);
    if (st != STATUS_OK)
        arena_rewind(tools->arena, start);
    return st;
}

enum status gslora_run(const struct gslora_problem *p,
                       const struct gslora_options *o,
                       const struct gslora_tools *tools,
                       struct gslora_result *ret_result,
                       struct fault *f)
{
    const struct arena_mark start = arena_mark(tools->arena);
    struct gslora_run *run;
    enum status st = STATUS_OK;
    TRY(gslora_start(p, o, tools, &run, f));
    for (int done = 0; !done && st == STATUS_OK;)
        st = gslora_next(run, &done, f);
    if (st == STATUS_OK)
        gslora_finish(run, ret_result);
    else
        arena_rewind(tools->arena, start);
    return st;
}
