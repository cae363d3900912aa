#include "learners/methods/tame/tame_fit.h"

#include "daemon/base/invariant.h"
#include "learners/data/sampler.h"
#include "learners/methods/tame/tame_prune.h"

#define MAGIC 0x54464954u

struct tame_fit {
    uint32_t magic;
    struct tame_fit_problem p;
    struct tame_shape shape;
    uint32_t epoch, at; /* next sample of the order */
    uint32_t *all, *order;
    const uint8_t **pictures; /* of the batch, with its targets, logits, gradient and losses */
    uint32_t *targets;
    float *logits, *dlogits, *losses;
    uint8_t *mask; /* [floats], NULL: nothing is pruned */
};

void tame_fit_selector(struct tame_fit_problem *p)
{
    p->epochs = 200;
    p->batch = 128;
    p->sgd = (struct sgd_options){.lr = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f};
    p->milestones[0] = p->milestones[1] = 0;
    p->factor = 1.0f;
}

void tame_fit_pruned(struct tame_fit_problem *p, double share, float lr)
{
    p->epochs = 200;
    p->batch = 128;
    p->sgd = (struct sgd_options){.lr = lr, .momentum = 0.9f, .weight_decay = 1e-4f};
    p->milestones[0] = 100;
    p->milestones[1] = 150;
    p->factor = 0.1f;
    p->share = share;
    p->rising = 0;
}

void tame_fit_thinned(struct tame_fit_problem *p, double share)
{
    tame_fit_pruned(p, share, 0.1f);
    p->sgd.weight_decay = 1e-3f;
    p->rising = p->milestones[0];
}

void tame_fit_shorten(struct tame_fit_problem *p, uint32_t epochs)
{
    for (size_t i = 0; i < TAME_FIT_MILESTONES; i++) {
        const uint64_t at = (uint64_t)p->milestones[i] * epochs / p->epochs;
        p->milestones[i] = p->milestones[i] && at == 0 ? 1 : (uint32_t)at;
    }
    p->rising = (uint32_t)((uint64_t)p->rising * epochs / p->epochs);
    p->epochs = epochs;
}

static size_t mask_bytes(const struct tame_fit_problem *p)
{
    return p->share > 0.0 ? tame_conv_net_floats(p->classes) : 0;
}

size_t tame_fit_plan(const struct tame_fit_problem *p)
{
    struct arena_plan a = {0};
    const size_t numbers = (size_t)p->batch * p->classes;
    arena_plan_add(&a, 1, sizeof(struct tame_fit));
    arena_plan_add(&a, p->n, sizeof(uint32_t));
    arena_plan_add(&a, p->n, sizeof(uint32_t));
    arena_plan_add(&a, p->batch, sizeof(const uint8_t *));
    arena_plan_add(&a, p->batch, sizeof(uint32_t));
    arena_plan_add(&a, numbers, sizeof(float));
    arena_plan_add(&a, numbers, sizeof(float));
    arena_plan_add(&a, p->batch, sizeof(float));
    arena_plan_add(&a, mask_bytes(p), 1);
    return arena_plan_bytes(&a);
}

static enum status check_problem(const struct tame_fit_problem *p, struct fault *f)
{
    struct tame_shape shape;
    tame_kind_conv.shape(p->net, &shape);
    if (p->n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "n", "there are no samples to train with");
    if (p->epochs == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "epochs", "0; at least 1 is needed");
    if (p->batch == 0 || p->batch > shape.batch_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch", "%u; 1 to %u are possible", p->batch,
             shape.batch_max);
    if (!(p->share >= 0.0 && p->share < 1.0))
        FAIL(f, STATUS_INVALID_ARGUMENT, "share", "%g; 0 and more, but less than 1, is possible",
             p->share);
    if (p->rising >= p->epochs)
        FAIL(f, STATUS_INVALID_ARGUMENT, "rising", "epoch %u of %u; the share must be reached",
             p->rising, p->epochs);
    for (uint32_t i = 0; i < p->n; i++)
        if (p->targets[i] >= p->classes)
            FAIL(f, STATUS_INVALID_ARGUMENT, "targets", "target %u of sample %u; there are %u",
                 p->targets[i], i, p->classes);
    return STATUS_OK;
}

/* Weights that are 0 already are the smallest, so a mask is only ever narrowed. */
static void prune(struct tame_fit *t)
{
    const struct tame_fit_problem *p = &t->p;
    struct tame_conv_net_layer layers[TAME_CONV_NET_LAYERS];
    struct tame_prune_range ranges[TAME_CONV_NET_LAYERS];
    const size_t floats = tame_conv_net_floats(p->classes);
    tame_conv_net_layers(p->classes, layers);
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++)
        ranges[i] = (struct tame_prune_range){layers[i].first, layers[i].weights};
    (void)tame_prune_mask(p->weights, floats, ranges, TAME_CONV_NET_LAYERS,
                          tame_prune_rising(p->share, t->epoch, p->rising), t->mask);
    tame_prune_apply(t->mask, floats, p->weights, p->momentum);
}

static void begin_epoch(struct tame_fit *t)
{
    sampler_epoch(&t->p.root, "tame-fit", t->epoch, t->all, t->p.n, t->order);
    t->at = 0;
    if (t->mask && !tame_fit_done(t))
        prune(t);
}

enum status tame_fit_new(const struct tame_fit_problem *p,
                         struct arena *arena,
                         struct tame_fit **ret_fit,
                         struct fault *f)
{
    TRY(check_problem(p, f));
    const struct arena_mark start = arena_mark(arena);
    const size_t numbers = (size_t)p->batch * p->classes;
    struct tame_fit *t = arena_alloc(arena, 1, sizeof *t);
    struct tame_fit made = {.magic = MAGIC, .p = *p};
    made.all = arena_alloc(arena, p->n, sizeof *made.all);
    made.order = arena_alloc(arena, p->n, sizeof *made.order);
    made.pictures = arena_alloc(arena, p->batch, sizeof *made.pictures);
    made.targets = arena_alloc(arena, p->batch, sizeof *made.targets);
    made.logits = arena_alloc(arena, numbers, sizeof *made.logits);
    made.dlogits = arena_alloc(arena, numbers, sizeof *made.dlogits);
    made.losses = arena_alloc(arena, p->batch, sizeof *made.losses);
    made.mask = mask_bytes(p) ? arena_alloc(arena, mask_bytes(p), 1) : NULL;
    if (!t || (mask_bytes(p) && !made.mask) || !made.all || !made.order || !made.pictures ||
        !made.targets || !made.logits || !made.dlogits || !made.losses) {
        arena_rewind(arena, start);
        FAIL(f, STATUS_NO_MEMORY, "arena", "the fit takes %zu bytes", tame_fit_plan(p));
    }
    *t = made;
    tame_kind_conv.shape(p->net, &t->shape);
    for (uint32_t i = 0; i < p->n; i++)
        t->all[i] = i;
    begin_epoch(t);
    *ret_fit = t;
    return STATUS_OK;
}

uint64_t tame_fit_steps(const struct tame_fit_problem *p)
{
    return (uint64_t)p->epochs * ((p->n + p->batch - 1) / p->batch);
}

static struct sgd_options rate_of(const struct tame_fit *t)
{
    struct sgd_options o = t->p.sgd;
    for (size_t i = 0; i < TAME_FIT_MILESTONES; i++)
        if (t->p.milestones[i] && t->epoch >= t->p.milestones[i])
            o.lr *= t->p.factor;
    return o;
}

double tame_fit_step(struct tame_fit *t)
{
    INVARIANT(t->magic == MAGIC && !tame_fit_done(t));
    const struct tame_fit_problem *p = &t->p;
    const uint32_t left = p->n - t->at, n = left < p->batch ? left : p->batch;
    const struct sgd_options sgd = rate_of(t);
    for (uint32_t i = 0; i < n; i++) {
        t->pictures[i] = p->pictures[t->order[t->at + i]];
        t->targets[i] = p->targets[t->order[t->at + i]];
    }
    tame_conv_net_load(p->net, n, t->pictures);
    tame_conv_net_forward(p->net, p->weights, p->classes, t->logits);
    const double loss =
        tame_expert_loss(&t->shape, n, p->classes, t->logits, t->targets, t->losses);
    tame_expert_gradient(&t->shape, n, p->classes, t->logits, t->targets, t->dlogits);
    tame_conv_net_step(p->net, &sgd, p->classes, t->dlogits, t->mask, p->weights, p->momentum);
    t->at += n;
    if (t->at == p->n) {
        t->epoch++;
        begin_epoch(t);
    }
    return loss;
}

int tame_fit_done(const struct tame_fit *t)
{
    return t->epoch == t->p.epochs;
}

uint32_t tame_fit_epoch(const struct tame_fit *t)
{
    return t->epoch;
}

void tame_fit_resume(struct tame_fit *t, uint32_t epoch)
{
    INVARIANT(t->magic == MAGIC && epoch <= t->p.epochs);
    t->epoch = epoch;
    begin_epoch(t);
}
