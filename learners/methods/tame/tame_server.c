/*
 * Answers of several experts on one batch of images.  Every expert sees the images through a trunk
 * of its own, with its pairs folded in once, when the server is made; what lies before the first
 * adapted map is the same for all experts that begin at the same block, and computed once a batch.
 */
#include "learners/methods/tame/tame_learner_internal.h"
#include "learners/methods/tame/tame_model.h"
#include "learners/nn/head.h"

#include <string.h>

struct seat {
    const struct learner_model *model;
    struct vit_weights folded; /* the trunk's, with FFN maps of its own from block `first` on */
    uint32_t first;            /* first adapted block, from 1 */
};

struct learner_forward {
    struct vit_config c;
    const struct vit_weights *trunk;
    struct seat *seats; /* [n_seats] */
    uint32_t n_seats, n_max;
    struct vit_batch *batch;
    float *prefix;          /* [n_max, N, C], or [n_max, C] before the last block */
    const float **prefixes; /* [n_max] */
    float *embeddings;      /* [n_max, C] */
};

static uint32_t first_block(const struct vit_config *c, const struct tame_options *o)
{
    return o->blocks == 0 || o->blocks > c->depth ? 1 : c->depth - o->blocks + 1;
}

static size_t prefix_floats(const struct vit_config *c, uint32_t first)
{
    return (first == c->depth ? 1 : (size_t)vit_tokens(c)) * c->width;
}

/* Floats of the FFN maps that a model has of its own. */
static size_t fold_floats(const struct vit_config *c, const struct learner_model *m)
{
    const size_t blocks = c->depth - first_block(c, &m->options) + 1;
    return 2 * blocks * c->hidden * c->width;
}

size_t tame_server_plan(struct learner_model *const *models,
                        uint32_t n_models,
                        const struct learner_trunk *trunk,
                        uint32_t n_max,
                        uint32_t threads)
{
    const struct vit_config *c = &trunk->config;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_forward));
    arena_plan_add(&p, n_models, sizeof(struct seat));
    for (uint32_t i = 0; i < n_models; i++)
        arena_plan_add(&p, fold_floats(c, models[i]), sizeof(float));
    arena_plan_add(&p, n_max * prefix_floats(c, 0), sizeof(float));
    arena_plan_add(&p, n_max, sizeof(float *));
    arena_plan_add(&p, (size_t)n_max * c->width, sizeof(float));
    arena_plan_add(&p, vit_batch_plan(c, VIT_INFER, n_max, threads), 1);
    return arena_plan_bytes(&p);
}

/* W + s B A of both maps of every adapted block, in the layout of tame_adapter.h. */
static void fold(const struct vit_config *c, struct seat *x, float *memory)
{
    const struct tame_options *o = &x->model->options;
    const size_t width = c->width, hidden = c->hidden, rank = o->rank;
    float *at = x->model->weights;
    for (uint32_t l = x->first - 1; l < c->depth; l++) {
        struct vit_block *b = &x->folded.blocks[l];
        const float *a1 = at, *b1 = a1 + rank * width, *a2 = b1 + hidden * rank;
        const float *b2 = a2 + rank * hidden;
        vit_lora_fold(b->fc1_w, b1, a1, o->scale, hidden, width, o->rank, memory);
        b->fc1_w = memory;
        memory += hidden * width;
        vit_lora_fold(b->fc2_w, b2, a2, o->scale, width, hidden, o->rank, memory);
        b->fc2_w = memory;
        memory += hidden * width;
        at += 2 * rank * (width + hidden);
    }
}

static enum status start(struct learner_forward *w,
                         struct learner_model *const *models,
                         const struct learner_tools *tools)
{
    struct arena *arena = tools->arena;
    const struct vit_config *c = &w->c;
    w->seats = arena_alloc(arena, w->n_seats, sizeof *w->seats);
    if (!w->seats)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < w->n_seats; i++) {
        float *memory = arena_alloc(arena, fold_floats(c, models[i]), sizeof *memory);
        if (!memory)
            return STATUS_NO_MEMORY;
        struct seat *x = &w->seats[i];
        *x = (struct seat){models[i], *w->trunk, first_block(c, &models[i]->options)};
        fold(c, x, memory);
    }
    w->prefix = arena_alloc(arena, w->n_max * prefix_floats(c, 0), sizeof *w->prefix);
    w->prefixes = arena_alloc(arena, w->n_max, sizeof *w->prefixes);
    w->embeddings = arena_alloc(arena, (size_t)w->n_max * c->width, sizeof *w->embeddings);
    if (!w->prefix || !w->prefixes || !w->embeddings)
        return STATUS_NO_MEMORY;
    return vit_batch_new(c, VIT_INFER, w->n_max, tools->pool, arena, &w->batch);
}

enum status tame_server_new(struct learner_model *const *models,
                            uint32_t n_models,
                            const struct learner_trunk *trunk,
                            uint32_t n_max,
                            const struct learner_tools *tools,
                            struct learner_forward **ret_forward,
                            struct fault *f)
{
    const struct arena_mark mark = arena_mark(tools->arena);
    for (uint32_t i = 0; i < n_models; i++)
        TRY(tame_origin_check(&models[i]->origin, trunk, 1, f));
    struct learner_forward *w = arena_alloc_zero(tools->arena, 1, sizeof *w);
    enum status st = STATUS_NO_MEMORY;
    if (w) {
        w->c = trunk->config;
        w->trunk = trunk->weights;
        w->n_seats = n_models;
        w->n_max = n_max;
        st = start(w, models, tools);
    }
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, mark);
        FAIL(f, st, "memory", "the memory given is smaller than planned");
    }
    *ret_forward = w;
    return STATUS_OK;
}

/* The residual stream before the first adapted map, for experts that begin at this block. */
static void read_prefix(struct learner_forward *w, const struct learner_stream *s, uint32_t first)
{
    const size_t floats = prefix_floats(&w->c, first);
    const struct vit_input in = {.n = s->n, .images = s->images};
    const struct vit_output out = {.prefix = w->prefix, .prefix_block = first};
    vit_forward(w->batch, w->trunk, &in, &out);
    for (uint32_t i = 0; i < s->n; i++)
        w->prefixes[i] = w->prefix + i * floats;
}

static void answer(struct learner_forward *w, const struct seat *x, uint32_t n, float *logits)
{
    const struct vit_input in = {.n = n, .first = x->first, .prefix = w->prefixes};
    const struct vit_output out = {.embeddings = w->embeddings};
    const struct head_dims d = {.n = n, .width = w->c.width, .classes = x->model->classes};
    const float *head = x->model->weights + x->model->body;
    vit_forward(w->batch, &x->folded, &in, &out);
    head_forward(&d, w->embeddings, head, head + d.classes * d.width, NULL, logits);
}

void tame_server_run(struct learner_forward *forward,
                     const struct learner_stream *stream,
                     float *const *logits)
{
    uint32_t first = 0; /* of the prefix that is there */
    for (uint32_t m = 0; m < forward->n_seats && stream->n > 0; m++) {
        const struct seat *x = &forward->seats[m];
        if (x->first != first)
            read_prefix(forward, stream, x->first);
        first = x->first;
        answer(forward, x, stream->n, logits[m]);
    }
}
