#include "learners/methods/tame/tame_adapter.h"

#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"
#include "learners/data/images.h"
#include "learners/nn/head.h"
#include "learners/optim/adamw.h"

#include <math.h>
#include <string.h>

struct tame_adapter {
    struct vit_config c;
    const struct vit_weights *trunk;
    struct tame_options o;
    float scale[3], shift[3];
    struct tame_shape shape;
    uint32_t first; /* first adapted block, from 1 */
    size_t group;   /* floats of one block's pairs */
    struct vit_batch *batch;
    struct vit_weights folded;
    float *fold_memory;   /* [blocks, 2, F, C] */
    const float *fold_of; /* v[0] and revision of the expert that is folded; NULL: none */
    uint64_t fold_revision;
    uint32_t n;             /* samples loaded */
    float *pixels;          /* [batch_max, channels, S, S] */
    const float **images;   /* [batch_max] */
    float *prefix;          /* [batch_max, N or 1, C] U of the first adapted block */
    const float **prefixes; /* [batch_max] */
    float *embeddings;      /* [batch_max, C] of the last forward */
    float *dembeddings;     /* [batch_max, C] */
    float *gradient;        /* one weight vector at classes_max */
    int forwarded;          /* the batch's activations are those of the last forward */
};

static size_t block_floats(const struct vit_config *c, uint32_t rank)
{
    return 2 * (size_t)rank * ((size_t)c->width + c->hidden);
}

static uint32_t adapted_blocks(const struct vit_config *c, const struct tame_options *o)
{
    return o->blocks == 0 || o->blocks > c->depth ? c->depth : o->blocks;
}

static size_t pixel_floats(const struct vit_config *c)
{
    return (size_t)c->channels * c->image_size * c->image_size;
}

/* Floats of one image's prefix: the class row alone where only the last block is adapted. */
static size_t prefix_floats(const struct vit_config *c, uint32_t first)
{
    return (first == c->depth ? 1 : (size_t)vit_tokens(c)) * c->width;
}

static struct tame_shape shape_of(const struct vit_config *c, const struct tame_options *o)
{
    return (struct tame_shape){.input_bytes = pixel_floats(c),
                               .body = adapted_blocks(c, o) * block_floats(c, o->rank),
                               .head_width = c->width,
                               .vectors = 3,
                               .batch_max = o->batch_max,
                               .feature_width = c->width};
}

void tame_adapter_shape(const struct vit_config *c,
                        const struct tame_options *o,
                        struct tame_shape *ret_shape)
{
    *ret_shape = shape_of(c, o);
}

/* ------------------------------------------------------------------ memory */

size_t tame_adapter_plan(const struct vit_config *c, const struct tame_options *o, uint32_t threads)
{
    const size_t n = o->batch_max;
    const struct tame_shape shape = shape_of(c, o);
    const uint32_t blocks = adapted_blocks(c, o);
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct tame_adapter));
    arena_plan_add(&p, vit_batch_plan(c, VIT_TRAIN_LORA, o->batch_max, threads), 1);
    arena_plan_add(&p, 2 * (size_t)blocks * c->hidden, c->width * sizeof(float));
    arena_plan_add(&p, n * pixel_floats(c), sizeof(float));
    arena_plan_add(&p, n * prefix_floats(c, c->depth - blocks + 1), sizeof(float));
    for (int i = 0; i < 2; i++) {
        arena_plan_add(&p, n, sizeof(float *));
        arena_plan_add(&p, n * c->width, sizeof(float));
    }
    arena_plan_add(&p, tame_expert_floats(&shape, o->classes_max), sizeof(float));
    const size_t bytes = arena_plan_bytes(&p);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

static int take_memory(struct tame_adapter *a, struct arena *arena)
{
    const size_t n = a->o.batch_max, blocks = a->c.depth - a->first + 1;
    const size_t prefix = prefix_floats(&a->c, a->first);
    a->fold_memory = arena_alloc(arena, 2 * blocks * a->c.hidden, a->c.width * sizeof(float));
    a->pixels = arena_alloc(arena, n * pixel_floats(&a->c), sizeof(float));
    a->images = arena_alloc(arena, n, sizeof *a->images);
    a->prefix = arena_alloc(arena, n * prefix, sizeof(float));
    a->prefixes = arena_alloc(arena, n, sizeof *a->prefixes);
    a->embeddings = arena_alloc(arena, n * a->c.width, sizeof(float));
    a->dembeddings = arena_alloc(arena, n * a->c.width, sizeof(float));
    a->gradient =
        arena_alloc(arena, tame_expert_floats(&a->shape, a->o.classes_max), sizeof(float));
    if (!a->fold_memory || !a->pixels || !a->images || !a->prefix || !a->prefixes ||
        !a->embeddings || !a->dembeddings || !a->gradient)
        return 0;
    for (size_t i = 0; i < n; i++) {
        a->images[i] = a->pixels + i * pixel_floats(&a->c);
        a->prefixes[i] = a->prefix + i * prefix;
    }
    return 1;
}

static struct tame_adapter *make(const struct tame_adapter_setup *setup, struct arena *arena)
{
    struct tame_adapter *a = arena_alloc_zero(arena, 1, sizeof *a);
    if (!a)
        return NULL;
    a->c = setup->config;
    a->trunk = setup->trunk;
    a->o = setup->options;
    memcpy(a->scale, setup->scale, sizeof a->scale);
    memcpy(a->shift, setup->shift, sizeof a->shift);
    a->shape = shape_of(&a->c, &a->o);
    a->first = a->c.depth - adapted_blocks(&a->c, &a->o) + 1;
    a->group = block_floats(&a->c, a->o.rank);
    a->folded = *a->trunk;
    if (vit_batch_new(&a->c, VIT_TRAIN_LORA, a->o.batch_max, setup->pool, arena, &a->batch) !=
            STATUS_OK ||
        !take_memory(a, arena))
        return NULL;
    return a;
}

enum status tame_adapter_new(const struct tame_adapter_setup *setup,
                             struct arena *arena,
                             struct tame_adapter **ret_engine,
                             struct fault *f)
{
    const struct tame_options *o = &setup->options;
    TRY(vit_config_check(&setup->config, f));
    TRY(tame_options_check(o, f));
    if (o->blocks > setup->config.depth)
        FAIL(f, STATUS_INVALID_ARGUMENT, "blocks", "%u; the model has %u", o->blocks,
             setup->config.depth);
    if (!(o->scale > 0))
        FAIL(f, STATUS_INVALID_ARGUMENT, "scale", "automatic settings are not resolved");
    const struct arena_mark mark = arena_mark(arena);
    struct tame_adapter *a = make(setup, arena);
    if (!a) {
        arena_rewind(arena, mark);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    *ret_engine = a;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ weights */

/* Points A1, B1, A2, B2 of every adapted block into one vector. */
static void map_pairs(const struct tame_adapter *a, float *vector, struct vit_lora *ret_lora)
{
    const size_t r = a->o.rank, c = a->c.width, h = a->c.hidden;
    *ret_lora = (struct vit_lora){.rank = a->o.rank, .scale = a->o.scale};
    for (uint32_t l = a->first - 1; l < a->c.depth; l++) {
        float *at = vector + (l - (a->first - 1)) * a->group;
        ret_lora->blocks[l] = (struct vit_lora_block){.a1 = at,
                                                      .b1 = at + r * c,
                                                      .a2 = at + r * (c + h),
                                                      .b2 = at + r * (c + 2 * h),
                                                      .awake = 1};
    }
}

void tame_adapter_map(const struct tame_adapter *a,
                      const struct tame_weights *w,
                      uint32_t vector,
                      struct vit_lora *ret_lora)
{
    map_pairs(a, w->v[vector], ret_lora);
}

static void draw(const struct tame_adapter *a,
                 const struct rng_root *root,
                 const char *name,
                 uint32_t l,
                 size_t in,
                 float *to)
{
    struct rng r;
    rng_init(&r, root, name, l);
    const float bound = a->o.init_scale / sqrtf((float)in);
    for (size_t i = 0; i < a->o.rank * in; i++)
        to[i] = rng_range(&r, -bound, bound);
}

static void adapter_init(void *engine, struct tame_weights *w)
{
    const struct tame_adapter *a = engine;
    const struct rng_root root = {.seed = w->seed};
    struct vit_lora lora;
    map_pairs(a, w->v[0], &lora);
    for (uint32_t l = a->first - 1; l < a->c.depth; l++) {
        draw(a, &root, "init/a1", l, a->c.width, lora.blocks[l].a1);
        draw(a, &root, "init/a2", l, a->c.hidden, lora.blocks[l].a2);
    }
}

static void fold(struct tame_adapter *a, const struct tame_weights *w)
{
    if (a->fold_of == w->v[0] && a->fold_revision == w->revision)
        return;
    const size_t c = a->c.width, h = a->c.hidden;
    struct vit_lora lora;
    map_pairs(a, w->v[0], &lora);
    for (uint32_t l = a->first - 1; l < a->c.depth; l++) {
        const struct vit_lora_block *b = &lora.blocks[l];
        const struct vit_block *from = &a->trunk->blocks[l];
        struct vit_block *to = &a->folded.blocks[l];
        to->fc1_w = a->fold_memory + 2 * (l - (a->first - 1)) * c * h;
        to->fc2_w = to->fc1_w + c * h;
        vit_lora_fold(from->fc1_w, b->b1, b->a1, lora.scale, h, c, lora.rank, to->fc1_w);
        vit_lora_fold(from->fc2_w, b->b2, b->a2, lora.scale, c, h, lora.rank, to->fc2_w);
    }
    a->fold_of = w->v[0];
    a->fold_revision = w->revision;
}

/* ------------------------------------------------------------------ computing */

static void adapter_shape(const void *engine, struct tame_shape *ret_shape)
{
    const struct tame_adapter *a = engine;
    *ret_shape = a->shape;
}

static void adapter_reset(void *engine)
{
    struct tame_adapter *a = engine;
    a->fold_of = NULL;
    a->n = 0;
    a->forwarded = 0;
    a->folded = *a->trunk;
}

static void adapter_load(void *engine, uint32_t n, const uint8_t *const *inputs)
{
    struct tame_adapter *a = engine;
    struct image_table one = {.n = 1, .size = a->c.image_size, .channels = a->c.channels};
    INVARIANT(n >= 1 && n <= a->o.batch_max);
    memcpy(one.scale, a->scale, sizeof one.scale);
    memcpy(one.shift, a->shift, sizeof one.shift);
    for (uint32_t i = 0; i < n; i++) {
        one.pixels = inputs[i];
        images_load(&one, 0, a->pixels + i * pixel_floats(&a->c));
    }
    const struct vit_input in = {.n = n, .images = a->images};
    const struct vit_output out = {.prefix = a->prefix, .prefix_block = a->first};
    vit_forward(a->batch, a->trunk, &in, &out);
    a->n = n;
    a->forwarded = 0;
}

static void run(struct tame_adapter *a, const struct vit_weights *w, float *embeddings)
{
    const struct vit_input in = {.n = a->n, .first = a->first, .prefix = a->prefixes};
    const struct vit_output out = {.embeddings = embeddings};
    INVARIANT(a->n > 0);
    vit_forward(a->batch, w, &in, &out);
}

static struct head_dims head_of(const struct tame_adapter *a, const struct tame_weights *w)
{
    return (struct head_dims){.n = a->n, .width = a->c.width, .classes = w->classes};
}

static void adapter_forward(void *engine, const struct tame_weights *w, int train, float *logits)
{
    struct tame_adapter *a = engine;
    const struct head_dims d = head_of(a, w);
    const float *head = w->v[0] + a->shape.body;
    fold(a, w);
    run(a, &a->folded, a->embeddings);
    head_forward(&d, a->embeddings, head, head + d.classes * d.width, NULL, logits);
    a->forwarded = train;
}

static void adapter_features(void *engine, float *features)
{
    struct tame_adapter *a = engine;
    run(a, a->trunk, features);
    a->forwarded = 0;
}

/* Gradient of all weights from dlogits, after a forward on the same expert. */
static void backward(struct tame_adapter *a, const struct tame_weights *w, const float *dlogits)
{
    const struct head_dims d = head_of(a, w);
    const float *head = w->v[0] + a->shape.body;
    float *dhead = a->gradient + a->shape.body;
    struct vit_lora lora, dlora;
    memset(a->gradient, 0, tame_expert_floats(&a->shape, w->classes) * sizeof(float));
    memset(a->dembeddings, 0, d.n * d.width * sizeof(float));
    const struct head_gradient g = {.e = a->embeddings,
                                    .w = head,
                                    .dz = dlogits,
                                    .de = a->dembeddings,
                                    .dw = dhead,
                                    .db = dhead + d.classes * d.width};
    head_backward(&d, &g);
    map_pairs(a, w->v[0], &lora);
    map_pairs(a, a->gradient, &dlora);
    vit_backward_lora(a->batch, &a->folded, &lora,
                      &(struct vit_output_grad){.dembeddings = a->dembeddings}, &dlora);
}

static void adapter_step(void *engine, struct tame_weights *w, const float *dlogits)
{
    struct tame_adapter *a = engine;
    INVARIANT(a->forwarded);
    backward(a, w, dlogits);
    const size_t n = tame_expert_floats(&a->shape, w->classes), biases = n - w->classes;
    struct adamw_options o = {.lr = a->o.lr,
                              .beta1 = 0.9f,
                              .beta2 = 0.999f,
                              .eps = 1e-8f,
                              .weight_decay = a->o.weight_decay};
    adamw_step(&o, w->steps, w->v[0], a->gradient, w->v[1], w->v[2], biases);
    o.weight_decay = 0;
    adamw_step(&o, w->steps, w->v[0] + biases, a->gradient + biases, w->v[1] + biases,
               w->v[2] + biases, w->classes);
    a->fold_of = NULL;
    a->forwarded = 0;
}

const struct tame_kind tame_adapter_kind = {.name = "adapter",
                                            .shape = adapter_shape,
                                            .reset = adapter_reset,
                                            .init = adapter_init,
                                            .load = adapter_load,
                                            .forward = adapter_forward,
                                            .step = adapter_step,
                                            .features = adapter_features};
