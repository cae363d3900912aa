#include "learners/methods/gslora/suppress.h"

#include "daemon/base/invariant.h"
#include "learners/data/sampler.h"
#include "learners/math/reduce.h"
#include "learners/math/softmax.h"
#include "learners/methods/gslora/gslora_internal.h"
#include "learners/methods/gslora/loss.h"
#include "learners/optim/adamw.h"
#include "learners/optim/group_prox.h"
#include "learners/optim/schedule.h"

#include <math.h>
#include <string.h>

#define SUPPRESS_MAGIC       0x53555050u
#define SUPPRESS_VALIDATIONS 8u /* at least so many, if there are as many steps */

/* Images of one list in the order of the epoch; positions in the list, not rows. */
struct suppress_cycle {
    const char *name; /* of the random stream */
    const struct learner_rows *rows;
    uint32_t *order; /* [rows->n] */
    uint32_t at, epoch;
};

struct suppress_figures {
    double acc_forget, acc_retain, h;
};

struct suppress_run {
    uint32_t magic;
    struct suppress_problem p;
    struct gslora_options o; /* resolved */
    float *origin, *change, *grad, *m, *v, *best; /* [floats] each */
    float *norms;                                 /* [groups] of the change */
    float *prototypes;                            /* [classes, width] */
    float *anchors;                               /* [n_retain, width] by position */
    uint32_t *positions;                          /* 0, 1, 2, ... */
    struct suppress_cycle retain, forget;
    struct vit_config config; /* classes, width and head only: what the loss reads */
    struct loss_terms terms;
    struct depth depth;
    /* of the batch */
    uint32_t n_max;
    uint32_t *list, *labels;
    float *logits, *features, *dlogits, *dfeatures, *held;
    /* where the run stands */
    uint32_t step, steps, per_epoch, interval, held_targets;
    double beta;
    struct suppress_figures before, last, best_figures;
    int validates, has_best, done;
};

void suppress_options_default(struct gslora_options *ret_o)
{
    gslora_options_default(ret_o);
    ret_o->eta = 0.3f;
    ret_o->beta = 1.0f;
    ret_o->depth_weight = 1.0f;
    ret_o->epochs = 60;
}

/* ------------------------------------------------------------------ checks */

static enum status check_list(const struct suppress_problem *p,
                              enum learner_list which,
                              const char *field,
                              struct fault *f)
{
    const struct learner_rows *r = &p->lists[which];
    for (uint32_t i = 0; i < r->n; i++) {
        const int32_t y = p->labels[r->rows[i]];
        if (y < 0 || (uint32_t)y >= p->engine.classes)
            FAIL(f, STATUS_INVALID_ARGUMENT, field, "image %u has label %d; there are %u classes",
                 r->rows[i], y, p->engine.classes);
    }
    return STATUS_OK;
}

static enum status check_problem(const struct suppress_problem *p, struct fault *f)
{
    TRY(gslora_options_check(&p->options, f));
    if (p->options.depth == GSLORA_DEPTH_LAYERS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "depth",
             "layers is for the base; a component has match or off");
    if (p->options.proto_space == GSLORA_PROTO_LOGITS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "proto_space",
             "logits is for the base; a component's prototypes are of its features");
    if (p->engine.classes < 2)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
             "the component has one class: nothing of it would be kept");
    if (p->lists[LEARNER_FORGET].n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "forget", "no image of what is to be forgotten");
    if (p->lists[LEARNER_TRAIN].n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "train", "no image of what is to be kept");
    TRY(check_list(p, LEARNER_TRAIN, "train", f));
    TRY(check_list(p, LEARNER_VALID, "valid", f));
    TRY(check_list(p, LEARNER_FORGET, "forget", f));
    return check_list(p, LEARNER_FORGET_VALID, "forget", f);
}

/* ------------------------------------------------------------------ memory */

static uint32_t most_images(const struct suppress_problem *p)
{
    return p->options.batch_retain + p->options.batch_forget;
}

static struct vit_config config_of(const struct suppress_problem *p)
{
    return (struct vit_config){.classes = p->engine.classes,
                               .width = p->engine.width,
                               .depth = 1,
                               .head = VIT_HEAD_LINEAR};
}

size_t suppress_plan(const struct suppress_problem *p)
{
    const struct suppress_engine *e = &p->engine;
    const struct learner_rows *keep = &p->lists[LEARNER_TRAIN], *drop = &p->lists[LEARNER_FORGET];
    const struct vit_config c = config_of(p);
    const size_t n = most_images(p);
    struct arena_plan a = {0};
    arena_plan_add(&a, 1, sizeof(struct suppress_run));
    for (int i = 0; i < 6; i++)
        arena_plan_add(&a, e->floats, sizeof(float));
    arena_plan_add(&a, e->n_groups, sizeof(float));
    arena_plan_add(&a, (size_t)e->classes * e->width, sizeof(float));
    arena_plan_add(&a, (size_t)keep->n * e->width, sizeof(float));
    arena_plan_add(&a, (size_t)keep->n + drop->n, sizeof(uint32_t));
    arena_plan_add(&a, keep->n, sizeof(uint32_t));
    arena_plan_add(&a, drop->n, sizeof(uint32_t));
    for (int i = 0; i < 2; i++) {
        arena_plan_add(&a, n, sizeof(uint32_t));
        arena_plan_add(&a, n * e->classes, sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        arena_plan_add(&a, n * e->width, sizeof(float));
    loss_plan(&c, &p->options, (uint32_t)n, &a);
    depth_plan(p->options.depth_directions, e->width, (uint32_t)n, &a);
    /* class sums of the set-up */
    arena_plan_add(&a, (size_t)e->classes * (e->width + 1u), sizeof(double));
    return arena_plan_bytes(&a);
}

static int take_memory(struct suppress_run *r, struct arena *a)
{
    const struct suppress_engine *e = &r->p.engine;
    const uint32_t keep = r->p.lists[LEARNER_TRAIN].n, drop = r->p.lists[LEARNER_FORGET].n;
    const size_t n = r->n_max;
    float **const whole[] = {&r->origin, &r->change, &r->grad, &r->m, &r->v, &r->best};
    int ok = 1;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        *whole[i] = arena_alloc_zero(a, e->floats, sizeof(float));
        ok &= *whole[i] != NULL;
    }
    r->norms = arena_alloc_zero(a, e->n_groups, sizeof(float));
    r->prototypes = arena_alloc_zero(a, (size_t)e->classes * e->width, sizeof(float));
    r->anchors = arena_alloc(a, (size_t)keep * e->width, sizeof(float));
    r->positions = arena_alloc(a, (size_t)keep + drop, sizeof(uint32_t));
    r->retain.order = arena_alloc(a, keep, sizeof(uint32_t));
    r->forget.order = arena_alloc(a, drop, sizeof(uint32_t));
    r->list = arena_alloc(a, n, sizeof(uint32_t));
    r->logits = arena_alloc(a, n * e->classes, sizeof(float));
    r->labels = arena_alloc(a, n, sizeof(uint32_t));
    r->dlogits = arena_alloc(a, n * e->classes, sizeof(float));
    r->features = arena_alloc(a, n * e->width, sizeof(float));
    r->dfeatures = arena_alloc(a, n * e->width, sizeof(float));
    r->held = arena_alloc(a, n * e->width, sizeof(float));
    return ok && r->norms && r->prototypes && r->anchors && r->positions && r->retain.order &&
           r->forget.order && r->list && r->logits && r->labels && r->dlogits && r->features &&
           r->dfeatures && r->held;
}

/* ------------------------------------------------------------------ the state before */

/* Calls `each` for the images of a list, in its order, with their rows of logits and features. */
typedef void suppress_row(
    void *context, struct suppress_run *r, uint32_t position, const float *z, const float *e);

static void run_list(struct suppress_run *r,
                     const struct learner_rows *rows,
                     suppress_row *each,
                     void *context)
{
    const struct suppress_engine *e = &r->p.engine;
    for (uint32_t at = 0; at < rows->n; at += r->n_max) {
        const uint32_t n = rows->n - at < r->n_max ? rows->n - at : r->n_max;
        e->forward(e->context, rows->rows + at, n, r->logits, r->features);
        for (uint32_t i = 0; i < n; i++)
            each(context, r, at + i, r->logits + (size_t)i * e->classes,
                 r->features + (size_t)i * e->width);
    }
}

/* What the component gave before the request. */
struct suppress_before {
    const struct learner_rows *rows;
    double *sums;   /* [classes, width] */
    double *counts; /* [classes] */
    int anchors;
};

static void
note_before(void *context, struct suppress_run *r, uint32_t position, const float *z, const float *e)
{
    (void)z;
    const struct suppress_before *x = context;
    const size_t width = r->p.engine.width, k = (size_t)r->p.labels[x->rows->rows[position]];
    x->counts[k] += 1.0;
    for (size_t j = 0; j < width; j++)
        x->sums[k * width + j] += (double)e[j];
    if (x->anchors)
        memcpy(r->anchors + position * width, e, width * sizeof *e);
}

static int note_prototypes(struct suppress_run *r, struct arena *arena)
{
    const struct suppress_engine *e = &r->p.engine;
    double *sums = arena_alloc_zero(arena, (size_t)e->classes * (e->width + 1u), sizeof *sums);
    if (!sums)
        return 0;
    struct suppress_before x = {.sums = sums, .counts = sums + (size_t)e->classes * e->width};
    const enum learner_list lists[] = {LEARNER_TRAIN, LEARNER_FORGET};
    for (size_t i = 0; i < 2; i++) {
        x.rows = &r->p.lists[lists[i]];
        x.anchors = lists[i] == LEARNER_TRAIN;
        run_list(r, x.rows, note_before, &x);
    }
    for (size_t k = 0; k < e->classes; k++)
        for (size_t j = 0; j < e->width && x.counts[k] > 0.0; j++)
            r->prototypes[k * e->width + j] = (float)(x.sums[k * e->width + j] / x.counts[k]);
    return 1;
}

/* ------------------------------------------------------------------ validation */

struct suppress_score {
    const struct learner_rows *rows;
    double right, loss;
};

/* Largest logit, the lowest number on a tie. */
static void score_row(
    void *context, struct suppress_run *r, uint32_t position, const float *z, const float *e)
{
    (void)e;
    struct suppress_score *x = context;
    const uint32_t y = (uint32_t)r->p.labels[x->rows->rows[position]];
    uint32_t best = 0;
    for (uint32_t k = 1; k < r->p.engine.classes; k++)
        if (z[k] > z[best])
            best = k;
    x->right += best == y;
    x->loss += (double)softmax_log_sum(z, r->p.engine.classes) - (double)z[y];
}

static struct suppress_score score(struct suppress_run *r, enum learner_list which)
{
    struct suppress_score x = {.rows = &r->p.lists[which]};
    run_list(r, x.rows, score_row, &x);
    x.right /= x.rows->n;
    x.loss /= x.rows->n;
    return x;
}

static int targets_met(const struct suppress_run *r, const struct suppress_figures *x)
{
    return x->acc_forget <= (double)r->o.target_forget &&
           x->acc_retain >= r->before.acc_retain - (double)r->o.target_drop;
}

static void validate(struct suppress_run *r)
{
    struct suppress_figures x = {.acc_forget = score(r, LEARNER_FORGET_VALID).right,
                                 .acc_retain = score(r, LEARNER_VALID).right};
    x.h = gslora_h_mean(x.acc_retain, r->before.acc_forget - x.acc_forget);
    const int met = targets_met(r, &x), best_met = r->has_best && targets_met(r, &r->best_figures);
    r->last = x;
    r->held_targets = met ? r->held_targets + 1 : 0;
    if (!met && x.acc_forget > (double)r->o.target_forget)
        r->beta = fmin(r->beta * (double)r->o.beta_raise, (double)r->o.beta_max);
    /* of two that met the targets the later one, which the penalty has had longer */
    if (!r->has_best || (met != best_met ? met : met || x.h > r->best_figures.h)) {
        r->best_figures = x;
        r->has_best = 1;
        memcpy(r->best, r->p.engine.theta, r->p.engine.floats * sizeof(float));
    }
}

/* ------------------------------------------------------------------ set-up */

static uint32_t steps_of(const struct suppress_run *r)
{
    const uint32_t n = r->p.lists[LEARNER_TRAIN].n;
    return (n + r->o.batch_retain - 1) / r->o.batch_retain;
}

static void resolve(struct suppress_run *r)
{
    const struct suppress_problem *p = &r->p;
    const struct gslora_sizes sizes = {.classes = p->engine.classes,
                                       .rank_inputs = 1,
                                       .n_retain = p->lists[LEARNER_TRAIN].n,
                                       .n_forget = p->lists[LEARNER_FORGET].n};
    const float alpha = r->o.alpha;
    r->validates = p->lists[LEARNER_VALID].n > 0 && p->lists[LEARNER_FORGET_VALID].n > 0;
    if (p->samples && p->lists[LEARNER_VALID].n > 0) {
        const struct suppress_score unseen = score(r, LEARNER_VALID);
        if (r->o.hinge_bound <= 0)
            r->o.hinge_bound = (float)fmax(unseen.loss, 1e-3);
        if (r->o.target_forget < 0)
            r->o.target_forget = (float)unseen.right;
    }
    gslora_options_resolve(&r->o, &sizes);
    r->o.alpha = alpha; /* each group has its own */
    if (r->validates) {
        r->before.acc_forget = score(r, LEARNER_FORGET_VALID).right;
        r->before.acc_retain = score(r, LEARNER_VALID).right;
    }
    r->per_epoch = steps_of(r);
    r->steps = r->per_epoch * r->o.epochs;
    const uint32_t most = r->steps / SUPPRESS_VALIDATIONS;
    r->interval = r->o.validate_steps < most ? r->o.validate_steps : most > 0 ? most : 1;
    r->beta = (double)r->o.beta;
}

static enum status set_up(struct suppress_run *r, struct arena *arena, struct fault *f)
{
    const struct suppress_engine *e = &r->p.engine;
    const uint32_t all = r->p.lists[LEARNER_TRAIN].n + r->p.lists[LEARNER_FORGET].n;
    r->retain.rows = &r->p.lists[LEARNER_TRAIN];
    r->forget.rows = &r->p.lists[LEARNER_FORGET];
    r->retain.name = "suppress/retain";
    r->forget.name = "suppress/forget";
    for (uint32_t i = 0; i < all; i++)
        r->positions[i] = i;
    memcpy(r->origin, e->theta, e->floats * sizeof(float));
    resolve(r);
    if (!note_prototypes(r, arena) ||
        !loss_new(&r->config, &r->o, r->prototypes, r->n_max, arena, &r->terms) ||
        !depth_new(r->o.depth_directions, e->width, r->n_max, arena, &r->depth))
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    r->terms.options = &r->o;
    return STATUS_OK;
}

enum status suppress_new(const struct suppress_problem *p,
                         struct arena *arena,
                         struct suppress_run **ret_run,
                         struct fault *f)
{
    TRY(check_problem(p, f));
    INVARIANT(p->engine.n_groups > 0 && p->engine.n_groups <= SUPPRESS_GROUPS);
    const struct arena_mark mark = arena_mark(arena);
    struct suppress_run *r = arena_alloc_zero(arena, 1, sizeof *r);
    enum status st = STATUS_NO_MEMORY;
    if (r) {
        r->magic = SUPPRESS_MAGIC;
        r->p = *p;
        r->o = p->options;
        r->n_max = most_images(p);
        r->config = config_of(p);
    }
    if (r && take_memory(r, arena))
        st = set_up(r, arena, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "memory",
                        "the memory given is smaller than planned");
    if (st != STATUS_OK) {
        arena_rewind(arena, mark);
        return st;
    }
    *ret_run = r;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ a step */

/* The next image of a list, as its position; every time through in another order. */
static uint32_t next_position(struct suppress_run *r, struct suppress_cycle *c)
{
    if (c->at == 0)
        sampler_epoch(&r->p.root, c->name, c->epoch++, r->positions, c->rows->n, c->order);
    const uint32_t position = c->order[c->at];
    c->at = c->at + 1 == c->rows->n ? 0 : c->at + 1;
    return position;
}

static void next_batch(struct suppress_run *r, uint32_t *ret_retain, uint32_t *ret_forget)
{
    const size_t width = r->p.engine.width;
    const uint32_t left = r->retain.rows->n - r->retain.at;
    const uint32_t n_r = left < r->o.batch_retain ? left : r->o.batch_retain;
    const uint32_t most = r->forget.rows->n;
    const uint32_t n_f = most < r->o.batch_forget ? most : r->o.batch_forget;
    for (uint32_t i = 0; i < n_r; i++) {
        const uint32_t at = next_position(r, &r->retain);
        r->list[i] = r->retain.rows->rows[at];
        memcpy(r->held + i * width, r->anchors + at * width, width * sizeof *r->held);
    }
    for (uint32_t i = 0; i < n_f; i++)
        r->list[n_r + i] = r->forget.rows->rows[next_position(r, &r->forget)];
    *ret_retain = n_r;
    *ret_forget = n_f;
}

/* The anchors are in r->held. */
static struct loss_values batch_loss(
    struct suppress_run *r, const uint32_t *list, uint32_t n_r, uint32_t n_f, uint64_t draw)
{
    const struct suppress_engine *e = &r->p.engine;
    const uint32_t n = n_r + n_f;
    struct loss_values values;
    e->forward(e->context, list, n, r->logits, r->features);
    for (uint32_t i = 0; i < n; i++)
        r->labels[i] = (uint32_t)r->p.labels[list[i]];
    memset(r->dlogits, 0, (size_t)n * e->classes * sizeof(float));
    memset(r->dfeatures, 0, (size_t)n * e->width * sizeof(float));
    const struct loss_batch batch = {.n_retain = n_r,
                                     .n_forget = n_f,
                                     .labels = r->labels,
                                     .logits = r->logits,
                                     .embeddings = r->features,
                                     .anchors = r->held,
                                     .dlogits = r->dlogits,
                                     .dembeddings = r->dfeatures};
    const int with_depth = r->o.depth != GSLORA_DEPTH_OFF;
    if (with_depth)
        depth_draw(&r->depth, &r->p.root, "suppress/depth", draw, n_f, n_r);
    loss_compute(&r->terms, &batch, r->beta, with_depth ? &r->depth : NULL, &values);
    return values;
}

double suppress_loss(
    struct suppress_run *r, const uint32_t *list, uint32_t n_retain, uint32_t n_forget, float *grad)
{
    INVARIANT(r->magic == SUPPRESS_MAGIC && n_retain + n_forget <= r->n_max);
    const struct suppress_engine *e = &r->p.engine;
    for (uint32_t i = 0; i < n_retain; i++) {
        uint32_t at = 0;
        while (r->retain.rows->rows[at] != list[i])
            at++;
        memcpy(r->held + (size_t)i * e->width, r->anchors + (size_t)at * e->width,
               e->width * sizeof(float));
    }
    const struct loss_values v = batch_loss(r, list, n_retain, n_forget, 0);
    if (grad)
        e->backward(e->context, list, n_retain + n_forget, r->dlogits, r->dfeatures, grad);
    return v.total;
}

static float alpha_of(const struct suppress_run *r, const struct suppress_group *g)
{
    return r->o.alpha > 0 ? r->o.alpha : r->o.eta * sqrtf((float)g->n);
}

/* AdamW and proximal step on each group's change; what is in no group stays. */
static enum status update(struct suppress_run *r, float lr, struct fault *f)
{
    const struct suppress_engine *e = &r->p.engine;
    const struct adamw_options adamw = {.lr = lr,
                                        .beta1 = 0.9f,
                                        .beta2 = 0.999f,
                                        .eps = 1e-8f,
                                        .weight_decay = r->o.weight_decay};
    const int penalty = (double)r->step >= (double)r->o.warm_epochs * r->per_epoch;
    for (uint32_t k = 0; k < e->n_groups; k++) {
        const struct suppress_group *g = &e->groups[k];
        float *d = r->change + g->first;
        adamw_step(&adamw, (uint64_t)r->step + 1, d, r->grad + g->first, r->m + g->first,
                   r->v + g->first, g->n);
        r->norms[k] = penalty ? (float)group_prox(d, g->n, (double)(lr * alpha_of(r, g)))
                              : (float)sqrt(reduce_squares(d, g->n));
        if (!isfinite(r->norms[k]))
            FAIL(f, STATUS_FAILED_PRECONDITION, "lr",
                 "the erasure diverged at step %u with lr %g", r->step, (double)r->o.lr);
        for (size_t i = 0; i < g->n; i++)
            e->theta[g->first + i] = r->origin[g->first + i] + d[i];
    }
    return STATUS_OK;
}

/* The targets held twice and the penalty has had its time. */
static int may_stop(const struct suppress_run *r)
{
    const double settle = (double)r->o.settle_epochs * r->per_epoch;
    return r->held_targets >= 2 && (double)r->step >= fmin(settle, 0.5 * r->steps);
}

enum status
suppress_step(struct suppress_run *r, struct learner_progress *ret_progress, struct fault *f)
{
    INVARIANT(r->magic == SUPPRESS_MAGIC && !r->done);
    const struct suppress_engine *e = &r->p.engine;
    const uint32_t epoch = r->step / r->per_epoch;
    const struct schedule s = {.lr_max = r->o.lr, .lr_min = r->o.lr_min, .total = r->o.epochs};
    uint32_t n_r, n_f;
    next_batch(r, &n_r, &n_f);
    const struct loss_values v = batch_loss(r, r->list, n_r, n_f, r->step);
    e->backward(e->context, r->list, n_r + n_f, r->dlogits, r->dfeatures, r->grad);
    TRY(update(r, schedule_cosine(&s, epoch), f));
    r->step++;
    r->done = r->step == r->steps;
    if (r->validates && (r->done || r->step % r->interval == 0)) {
        validate(r);
        r->done |= may_stop(r);
    }
    *ret_progress = learner_progress_at(epoch + 1, r->o.epochs, r->step, r->steps);
    ret_progress->loss = (float)v.total;
    ret_progress->loss_retain = (float)v.retain;
    ret_progress->loss_forget = (float)v.forget;
    ret_progress->loss_depth = (float)v.depth;
    if (r->has_best) {
        ret_progress->acc_forget = (float)r->last.acc_forget;
        ret_progress->acc_retain = (float)r->last.acc_retain;
    }
    ret_progress->n_groups = e->n_groups;
    ret_progress->group_norms = r->norms;
    ret_progress->done = r->done;
    return STATUS_OK;
}

void suppress_finish(struct suppress_run *r, struct learner_outcome *ret_outcome)
{
    INVARIANT(r->magic == SUPPRESS_MAGIC && r->done);
    const struct suppress_engine *e = &r->p.engine;
    uint32_t zero = 0;
    if (r->has_best)
        memcpy(e->theta, r->best, e->floats * sizeof(float));
    for (uint32_t k = 0; k < e->n_groups; k++) {
        const struct suppress_group *g = &e->groups[k];
        zero += memcmp(e->theta + g->first, r->origin + g->first, g->n * sizeof(float)) == 0;
    }
    const int met = r->has_best && targets_met(r, &r->best_figures);
    *ret_outcome = (struct learner_outcome){.text = !r->has_best           ? "not validated"
                                                    : zero == e->n_groups ? "all groups zero"
                                                    : met                 ? "target met"
                                                                          : "target not met",
                                            .target_met = r->has_best ? met : -1,
                                            .groups_total = e->n_groups,
                                            .groups_zero = zero};
}
