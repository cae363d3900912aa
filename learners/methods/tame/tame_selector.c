#include "learners/methods/tame/tame_selector.h"

#include "daemon/base/invariant.h"
#include "learners/nn/head.h"
#include "learners/nn/l2norm.h"
#include "learners/nn/linear.h"
#include "learners/nn/xent.h"
#include "learners/optim/sgd.h"

#include <string.h>

/* Sizes of what a selector of this choice needs; 0 where it needs nothing. */
struct selector_sizes {
    size_t floats, samples, features, batch, net;
};

static struct selector_sizes sizes_of(const struct tame_options *o, const struct tame_shape *shape)
{
    struct selector_sizes z = {0};
    if (o->selector == TAME_SELECTOR_NONE)
        return z;
    z.samples = o->buffer;
    if (o->selector == TAME_SELECTOR_NET) {
        z.net = tame_expert_memory(shape, o->experts_max);
        return z;
    }
    z.floats = (size_t)o->experts_max * ((size_t)shape->feature_width + 1);
    z.features = z.samples * shape->feature_width;
    z.batch = (size_t)o->selector_batch * o->experts_max;
    return z;
}

void tame_selector_plan(const struct tame_options *o,
                        const struct tame_shape *shape,
                        struct arena_plan *p)
{
    const struct selector_sizes z = sizes_of(o, shape);
    arena_plan_add(p, o->experts_max, sizeof(uint32_t));
    for (int i = 0; i < 3; i++)
        arena_plan_add(p, z.floats, sizeof(float));
    arena_plan_add(p, z.features, sizeof(float));
    arena_plan_add(p, z.samples, sizeof(uint32_t));
    arena_plan_add(p, z.samples, sizeof(uint32_t));
    arena_plan_add(p, z.batch, sizeof(float));
    arena_plan_add(p, z.batch, sizeof(float));
    arena_plan_add(p, o->selector_batch, sizeof(float));
    arena_plan_add(p, z.net, sizeof(float));
}

int tame_selector_new(const struct tame_options *o,
                      const struct tame_shape *shape,
                      struct arena *arena,
                      struct tame_selector *ret_selector)
{
    const struct selector_sizes z = sizes_of(o, shape);
    struct tame_selector s = {.width = shape->feature_width};
    s.ids = arena_alloc(arena, o->experts_max, sizeof *s.ids);
    s.w = arena_alloc(arena, z.floats, sizeof(float));
    s.momentum = arena_alloc(arena, z.floats, sizeof(float));
    s.gradient = arena_alloc(arena, z.floats, sizeof(float));
    s.x = arena_alloc(arena, z.features, sizeof(float));
    s.order = arena_alloc(arena, z.samples, sizeof *s.order);
    s.targets = arena_alloc(arena, z.samples, sizeof *s.targets);
    s.logits = arena_alloc(arena, z.batch, sizeof(float));
    s.dlogits = arena_alloc(arena, z.batch, sizeof(float));
    s.weights = arena_alloc(arena, o->selector_batch, sizeof(float));
    float *net = arena_alloc(arena, z.net, sizeof(float));
    if (!s.ids || !s.w || !s.momentum || !s.gradient || !s.x || !s.order || !s.targets ||
        !s.logits || !s.dlogits || !s.weights || !net)
        return 0;
    if (z.net)
        tame_expert_map(shape, o->experts_max, net, &s.net);
    *ret_selector = s;
    return 1;
}

void tame_selector_wipe(struct tame_selector *s,
                        const struct tame_options *o,
                        const struct tame_shape *shape)
{
    const struct selector_sizes z = sizes_of(o, shape);
    s->ready = 0;
    s->n_experts = 0;
    memset(s->w, 0, z.floats * sizeof(float));
    memset(s->momentum, 0, z.floats * sizeof(float));
    memset(s->gradient, 0, z.floats * sizeof(float));
    memset(s->x, 0, z.features * sizeof(float));
    if (z.net)
        memset(s->net.v[0], 0, z.net * sizeof(float));
}

static struct head_dims dims_of(const struct tame_selector *s, size_t n)
{
    return (struct head_dims){.n = n, .width = s->width, .classes = s->n_experts};
}

void tame_selector_logits(const struct tame_selector *s, float *x, float *z)
{
    const struct head_dims d = dims_of(s, 1);
    l2norm_forward(x, s->width, x);
    head_forward(&d, x, s->w, s->w + (size_t)s->n_experts * s->width, NULL, z);
}

/* One step on samples at .. at + n - 1; counts [E] are the samples of each expert, all of `total`.
 */
static void fit_step(struct tame_selector *s,
                     const struct tame_options *o,
                     size_t at,
                     uint32_t n,
                     const uint32_t *counts,
                     uint32_t total)
{
    const size_t floats = (size_t)s->n_experts * ((size_t)s->width + 1);
    const struct head_dims d = dims_of(s, n);
    const struct xent_dims x = {.n = n, .classes = s->n_experts};
    float *bias = s->w + (size_t)s->n_experts * s->width;
    head_forward(&d, s->x + at * s->width, s->w, bias, NULL, s->logits);
    /* an expert's samples weigh total / (E n_e): every expert counts the same */
    for (uint32_t i = 0; i < n; i++)
        s->weights[i] =
            (float)total / ((float)s->n_experts * (float)counts[s->targets[at + i]]) / (float)n;
    memset(s->dlogits, 0, (size_t)n * s->n_experts * sizeof(float));
    xent_backward(&x, s->logits, s->targets + at, s->weights, s->dlogits);
    memset(s->gradient, 0, floats * sizeof(float));
    linear_backward_weights(
        &(struct linear_dims){n, s->width, s->n_experts, s->width, s->n_experts}, s->dlogits,
        s->x + at * s->width, s->gradient, s->gradient + (size_t)s->n_experts * s->width);
    const struct sgd_options sgd = {
        .lr = o->selector_lr, .momentum = 0.9f, .weight_decay = o->selector_decay};
    sgd_step(&sgd, s->w, s->gradient, s->momentum, floats);
}

void tame_selector_fit(struct tame_selector *s, const struct tame_options *o, uint32_t n)
{
    const size_t floats = (size_t)s->n_experts * ((size_t)s->width + 1);
    uint32_t counts[TAME_EXPERTS_MAX] = {0};
    INVARIANT(s->n_experts >= 1 && s->n_experts <= TAME_EXPERTS_MAX);
    for (uint32_t i = 0; i < n; i++)
        counts[s->targets[i]]++;
    memset(s->w, 0, floats * sizeof(float));
    memset(s->momentum, 0, floats * sizeof(float));
    for (uint32_t epoch = 0; epoch < o->selector_epochs; epoch++)
        for (uint32_t at = 0; at < n; at += o->selector_batch) {
            const uint32_t b = n - at < o->selector_batch ? n - at : o->selector_batch;
            fit_step(s, o, at, b, counts, n);
        }
}
