#include "learners/methods/gslora/active_set.h"

#include "daemon/base/invariant.h"
#include "learners/math/reduce.h"
#include "learners/optim/adamw.h"
#include "learners/optim/group_prox.h"

#include <math.h>
#include <string.h>

static size_t group_floats(const struct vit_config *c, uint32_t rank)
{
    return 2 * (size_t)rank * ((size_t)c->width + c->hidden);
}

void active_set_plan(const struct vit_config *c, uint32_t rank, struct arena_plan *p)
{
    for (int i = 0; i < 6; i++)
        arena_plan_add(p, c->depth * group_floats(c, rank), sizeof(float));
    arena_plan_add(p, c->depth, sizeof(uint32_t));
    arena_plan_add(p, c->depth, sizeof(float));
    arena_plan_add(p, c->depth, 1);
}

/* Points A1, B1, A2, B2 of every block into one memory of [L, n_g] floats, in this order. */
static void map_groups(const struct active_set *s, float *memory, struct vit_lora *lora)
{
    const size_t r = s->rank, c = s->width, h = s->hidden;
    for (uint32_t l = 0; l < s->depth; l++) {
        float *at = memory + l * s->group;
        lora->blocks[l] = (struct vit_lora_block){
            .a1 = at, .b1 = at + r * c, .a2 = at + r * (c + h), .b2 = at + r * (c + 2 * h)};
    }
}

/* A ~ U(-bound, bound), bound = init_scale / sqrt(in). */
static void
draw_matrix(const struct active_set *s, const char *name, uint32_t l, float *a, size_t in)
{
    struct rng r;
    rng_init(&r, &s->root, name, l);
    const float bound = s->init_scale / sqrtf((float)in);
    for (size_t i = 0; i < s->rank * in; i++)
        a[i] = rng_range(&r, -bound, bound);
}

/* Group l at its dormant point (A0, B = 0), moments cleared. */
static void reset_group(struct active_set *s, uint32_t l)
{
    memset(s->theta + l * s->group, 0, s->group * sizeof(float));
    memset(s->m + l * s->group, 0, s->group * sizeof(float));
    memset(s->v + l * s->group, 0, s->group * sizeof(float));
    draw_matrix(s, "init/a1", l, s->lora.blocks[l].a1, s->width);
    draw_matrix(s, "init/a2", l, s->lora.blocks[l].a2, s->hidden);
    s->group_steps[l] = 0;
}

static void set_awake(struct active_set *s, uint32_t l, int awake)
{
    s->lora.blocks[l].awake = awake;
    s->grad.blocks[l].awake = awake;
}

static void measure_group(struct active_set *s, uint32_t l)
{
    s->norms[l] = s->lora.blocks[l].awake
                      ? (float)sqrt(reduce_squares(s->theta + l * s->group, s->group))
                      : 0.0f;
}

int active_set_new(const struct vit_config *c,
                   const struct gslora_options *o,
                   const struct rng_root *root,
                   struct arena *arena,
                   struct active_set *ret_set)
{
    struct active_set s = {.depth = c->depth,
                           .width = c->width,
                           .hidden = c->hidden,
                           .rank = o->rank,
                           .group = group_floats(c, o->rank),
                           .init_scale = o->init_scale,
                           .root = *root};
    s.lora.rank = s.grad.rank = s.part_grad.rank = o->rank;
    s.lora.scale = s.grad.scale = s.part_grad.scale = o->scale;
    float **const arrays[] = {&s.theta, &s.gradient, &s.m, &s.v, &s.asleep_v, &s.part};
    int ok = 1;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i] = arena_alloc_zero(arena, c->depth * s.group, sizeof(float));
        ok = ok && *arrays[i];
    }
    s.group_steps = arena_alloc_zero(arena, c->depth, sizeof(uint32_t));
    s.norms = arena_alloc_zero(arena, c->depth, sizeof(float));
    s.has_v = arena_alloc_zero(arena, c->depth, 1);
    if (!ok || !s.group_steps || !s.norms || !s.has_v)
        return 0;
    map_groups(&s, s.theta, &s.lora);
    map_groups(&s, s.gradient, &s.grad);
    map_groups(&s, s.part, &s.part_grad);
    for (uint32_t l = 0; l < s.depth; l++) {
        reset_group(&s, l);
        set_awake(&s, l, o->start_blocks == 0 || l + o->start_blocks >= s.depth);
        measure_group(&s, l);
    }
    *ret_set = s;
    return 1;
}

uint32_t active_set_first(const struct active_set *s)
{
    for (uint32_t l = 0; l < s->depth; l++)
        if (s->lora.blocks[l].awake)
            return l + 1;
    return s->depth + 1;
}

uint32_t active_set_awake(const struct active_set *s)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < s->depth; l++)
        n += s->lora.blocks[l].awake != 0;
    return n;
}

void active_set_fold(const struct active_set *s,
                     const struct vit_weights *frozen,
                     float *memory,
                     struct vit_weights *out)
{
    const size_t c = s->width, h = s->hidden;
    for (uint32_t l = 0; l < s->depth; l++) {
        const struct vit_lora_block *b = &s->lora.blocks[l];
        const struct vit_block *w = &frozen->blocks[l];
        struct vit_block *to = &out->blocks[l];
        if (!b->awake) {
            to->fc1_w = w->fc1_w;
            to->fc2_w = w->fc2_w;
            continue;
        }
        to->fc1_w = memory + 2 * l * c * h;
        to->fc2_w = to->fc1_w + c * h;
        vit_lora_fold(w->fc1_w, b->b1, b->a1, s->lora.scale, h, c, s->rank, to->fc1_w);
        vit_lora_fold(w->fc2_w, b->b2, b->a2, s->lora.scale, c, h, s->rank, to->fc2_w);
    }
}

void active_set_clear_gradient(struct active_set *s)
{
    memset(s->gradient, 0, s->depth * s->group * sizeof(float));
}

/* ------------------------------------------------------------------ update */

/* Bias-corrected second moments of group l, kept for its wake checks. */
static void keep_moments(struct active_set *s, uint32_t l)
{
    const double correction = 1.0 - pow(0.999, s->group_steps[l]);
    const float *v = s->v + l * s->group;
    float *to = s->asleep_v + l * s->group;
    for (size_t i = 0; i < s->group; i++)
        to[i] = (float)((double)v[i] / correction);
    s->has_v[l] = 1;
}

static void fall_asleep(struct active_set *s, uint32_t l)
{
    keep_moments(s, l);
    reset_group(s, l);
    set_awake(s, l, 0);
    s->sleeps++;
}

/* Mean of the bias-corrected second moments of group l. */
static double mean_moment(const struct active_set *s, uint32_t l)
{
    double sum = 0;
    for (size_t i = 0; i < s->group; i++)
        sum += (double)s->v[l * s->group + i];
    return sum / (double)s->group / (1.0 - pow(0.999, s->group_steps[l]));
}

/* Distance that the proximal step takes from |theta_l|. */
static double
shrink(const struct active_set *s, const struct gslora_options *o, float lr, uint32_t l)
{
    const double step = (double)lr * (double)o->alpha;
    if (o->prox_metric == GSLORA_METRIC_PLAIN)
        return step;
    return step / (sqrt(mean_moment(s, l)) + 1e-8);
}

/* The reference's penalty: alpha theta / |theta| added to the gradient. */
static void add_subgradient(struct active_set *s, const struct gslora_options *o, uint32_t l)
{
    if (s->norms[l] <= 0)
        return;
    const float factor = o->alpha / s->norms[l];
    const float *theta = s->theta + l * s->group;
    float *gradient = s->gradient + l * s->group;
    for (size_t i = 0; i < s->group; i++)
        gradient[i] += factor * theta[i];
}

static int update_group(
    struct active_set *s, const struct gslora_options *o, float lr, int penalty, uint32_t l)
{
    const size_t at = l * s->group;
    if (penalty && o->sparse == GSLORA_SPARSE_SUBGRADIENT)
        add_subgradient(s, o, l);
    s->group_steps[l]++;
    const struct adamw_options adamw = {
        .lr = lr, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = o->weight_decay};
    adamw_step(&adamw, s->group_steps[l], s->theta + at, s->gradient + at, s->m + at, s->v + at,
               s->group);
    int asleep = 0;
    if (penalty && o->sparse == GSLORA_SPARSE_PROXIMAL)
        asleep = group_prox(s->theta + at, s->group, shrink(s, o, lr, l)) <= 0;
    if (asleep)
        fall_asleep(s, l);
    measure_group(s, l);
    return asleep;
}

uint32_t
active_set_update(struct active_set *s, const struct gslora_options *o, float lr, int penalty)
{
    uint32_t asleep = 0;
    for (uint32_t l = 0; l < s->depth; l++)
        if (s->lora.blocks[l].awake)
            asleep += update_group(s, o, lr, penalty, l) != 0;
    return asleep;
}

/* ------------------------------------------------------------------ waking */

void active_set_clear_moments(struct active_set *s)
{
    for (uint32_t l = 0; l < s->depth; l++)
        if (!s->has_v[l])
            memset(s->asleep_v + l * s->group, 0, s->group * sizeof(float));
}

void active_set_begin_part(struct active_set *s)
{
    memset(s->part, 0, s->depth * s->group * sizeof(float));
}

void active_set_end_part(struct active_set *s, uint32_t n_parts)
{
    for (size_t i = 0; i < s->depth * s->group; i++)
        s->gradient[i] += s->part[i];
    /* a part holds 1/n of the mean gradient: the mean of (n part)^2 is the sum of n part^2 */
    for (uint32_t l = 0; l < s->depth; l++) {
        const float *part = s->part + l * s->group;
        float *v = s->asleep_v + l * s->group;
        for (size_t i = 0; !s->has_v[l] && i < s->group; i++)
            v[i] += (float)n_parts * part[i] * part[i];
    }
}

double active_set_pressure(const struct active_set *s, const struct gslora_options *o, uint32_t l)
{
    const size_t r = s->rank, c = s->width, h = s->hidden;
    const size_t starts[2] = {r * c, r * (c + 2 * h)}, counts[2] = {h * r, c * r};
    const int plain = o->prox_metric == GSLORA_METRIC_ADAPTIVE;
    double sum = 0;
    for (int k = 0; k < 2; k++) {
        const float *g = s->gradient + l * s->group + starts[k];
        const float *v = s->asleep_v + l * s->group + starts[k];
        for (size_t i = 0; i < counts[k]; i++) {
            const double x = plain ? (double)g[i] : (double)g[i] / (sqrt((double)v[i]) + 1e-8);
            sum += x * x;
        }
    }
    return sqrt(sum);
}

void active_set_wake(struct active_set *s, uint32_t l)
{
    INVARIANT(!s->lora.blocks[l].awake);
    reset_group(s, l);
    set_awake(s, l, 1);
    measure_group(s, l);
    s->wakes++;
}

void active_set_save(const struct active_set *s, float *theta, uint8_t *awake)
{
    memcpy(theta, s->theta, s->depth * s->group * sizeof *theta);
    for (uint32_t l = 0; l < s->depth; l++)
        awake[l] = s->lora.blocks[l].awake != 0;
}

void active_set_restore(struct active_set *s, const float *theta, const uint8_t *awake)
{
    memcpy(s->theta, theta, s->depth * s->group * sizeof *theta);
    for (uint32_t l = 0; l < s->depth; l++) {
        set_awake(s, l, awake[l]);
        measure_group(s, l);
    }
}
