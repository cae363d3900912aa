/*
 * A small world for the GS-LoRA++ tests: 8x8 pictures of a few classes (one bright patch pattern a
 * class, with noise), a tiny ViT with random or briefly trained weights, index lists, prototypes.
 */
#ifndef LETHE_TESTS_GSLORA_FIXTURE_H
#define LETHE_TESTS_GSLORA_FIXTURE_H

#include "learners/methods/gslora/gslora.h"
#include "learners/methods/gslora/prototype_means.h"
#include "learners/nn/xent.h"
#include "learners/optim/adamw.h"
#include "tests/property/learners/vit_fixture.h"

#define GSLORA_FIXTURE_CLASSES 5
#define GSLORA_FIXTURE_EACH    36 /* images a class: 24 training, 12 validation */
#define GSLORA_FIXTURE_IMAGES  (GSLORA_FIXTURE_CLASSES * GSLORA_FIXTURE_EACH)

struct gslora_fixture {
    struct vit_config c;
    float *weight_block;
    struct vit_weights w;
    void *pool_memory, *arena_memory;
    struct pool *pool;
    struct arena arena;
    uint8_t pixels[GSLORA_FIXTURE_IMAGES * 64];
    int32_t labels[GSLORA_FIXTURE_IMAGES];
    uint32_t lists[4][GSLORA_FIXTURE_IMAGES]; /* forget train, valid, retain train, valid */
    float *prototypes;
    uint64_t counts[GSLORA_FIXTURE_CLASSES];
    struct gslora_problem problem;
    struct gslora_tools tools;
};

static inline struct vit_config gslora_fixture_config(uint32_t depth)
{
    struct vit_config c = vit_fixture_tiny();
    c.width = 16;
    c.hidden = 24;
    c.depth = depth;
    c.classes = GSLORA_FIXTURE_CLASSES;
    c.attention_scale = 0.35f;
    return c;
}

/* Image i of class k: noise, and brightness where the class's 4x4 mask has a bit. */
static inline void gslora_fixture_draw(struct gslora_fixture *x)
{
    static const uint32_t masks[GSLORA_FIXTURE_CLASSES] = {0x000f, 0x8888, 0x0660, 0xa5a5, 0xf000};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 21}, "pictures", 0);
    for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++) {
        const uint32_t k = i % GSLORA_FIXTURE_CLASSES;
        x->labels[i] = (int32_t)k;
        for (uint32_t p = 0; p < 64; p++) {
            const uint32_t cell = p / 16 * 4 + p % 8 / 2;
            const uint64_t noise = rng_below(&r, 100);
            x->pixels[i * 64 + p] = (uint8_t)(noise + (masks[k] >> cell & 1 ? 110 : 0));
        }
    }
}

/* Class `erased` is to be forgotten; the first 24 images of a class train, the others validate. */
static inline void gslora_fixture_lists(struct gslora_fixture *x, int32_t erased)
{
    uint32_t n[4] = {0};
    for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++) {
        const int which = (x->labels[i] == erased ? 0 : 2) + (i / GSLORA_FIXTURE_CLASSES >= 24);
        x->lists[which][n[which]++] = i;
    }
    x->problem.forget = (struct gslora_lists){x->lists[0], x->lists[1], n[0], n[1]};
    x->problem.retain = (struct gslora_lists){x->lists[2], x->lists[3], n[2], n[3]};
}

static inline void
gslora_fixture_init(struct gslora_fixture *x, const struct vit_config *c, uint32_t threads)
{
    memset(x, 0, sizeof *x);
    x->c = *c;
    x->weight_block = vit_fixture_alloc(vit_weights_floats(c), sizeof(float));
    vit_weights_map(c, x->weight_block, &x->w);
    struct vit_fixture weights = {.c = *c, .weight_block = x->weight_block, .w = x->w};
    vit_fixture_weights(&weights, 7, 0.2f);
    x->pool_memory = vit_fixture_alloc(1, pool_plan(threads));
    if (pool_init(x->pool_memory, threads, &x->pool) != STATUS_OK)
        abort();
    const size_t bytes = (size_t)64 << 20;
    x->arena_memory = vit_fixture_alloc(1, bytes);
    arena_init(&x->arena, x->arena_memory, bytes);
    gslora_fixture_draw(x);
    x->prototypes = vit_fixture_alloc((size_t)c->classes * c->width, sizeof(float));
    x->problem = (struct gslora_problem){.config = *c,
                                         .weights = &x->w,
                                         .prototypes = x->prototypes,
                                         .prototype_counts = x->counts,
                                         .images = {.pixels = x->pixels,
                                                    .labels = x->labels,
                                                    .n = GSLORA_FIXTURE_IMAGES,
                                                    .size = 8,
                                                    .channels = 1,
                                                    .scale = {0.01f},
                                                    .shift = {-1.0f}},
                                         .origin = {.seed = 5}};
    gslora_fixture_lists(x, 1);
    x->tools = (struct gslora_tools){.pool = x->pool, .arena = &x->arena};
}

static inline void gslora_fixture_fini(struct gslora_fixture *x)
{
    pool_fini(x->pool);
    arena_fini(&x->arena);
    free(x->arena_memory);
    free(x->pool_memory);
    free(x->weight_block);
    free(x->prototypes);
}

/* Prototypes of the present weights over the training images. */
static inline void gslora_fixture_prototypes(struct gslora_fixture *x)
{
    uint32_t list[GSLORA_FIXTURE_IMAGES], n = 0;
    for (uint32_t i = 0; i < 24 * GSLORA_FIXTURE_CLASSES; i++)
        list[n++] = i;
    const struct prototype_means_job job = {.config = &x->c,
                                            .weights = &x->w,
                                            .images = &x->problem.images,
                                            .list = list,
                                            .n = n,
                                            .space = GSLORA_PROTO_EMBED};
    if (prototype_means_compute(&job, x->pool, &x->arena, x->prototypes, x->counts, NULL) !=
        STATUS_OK)
        abort();
}

/* A short training of all weights on the training images, so that there is something to erase. */
static inline void gslora_fixture_train(struct gslora_fixture *x, int steps)
{
    enum { BATCH = 24 };
    const struct arena_mark mark = arena_mark(&x->arena);
    const size_t floats = vit_weights_floats(&x->c), classes = x->c.classes;
    struct vit_batch *batch;
    if (vit_batch_new(&x->c, VIT_TRAIN_FULL, BATCH, x->pool, &x->arena, &batch) != STATUS_OK)
        abort();
    float *grad_block = arena_alloc(&x->arena, floats, sizeof(float));
    float *m = arena_alloc_zero(&x->arena, floats, sizeof(float));
    float *v = arena_alloc_zero(&x->arena, floats, sizeof(float));
    float *pixels = arena_alloc(&x->arena, BATCH * 64, sizeof(float));
    float logits[BATCH * GSLORA_FIXTURE_CLASSES], dlogits[BATCH * GSLORA_FIXTURE_CLASSES];
    float weights[BATCH];
    uint32_t labels[BATCH];
    const float *images[BATCH];
    if (!grad_block || !m || !v || !pixels)
        abort();
    struct vit_weights grad;
    vit_weights_map(&x->c, grad_block, &grad);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 8}, "train", 0);
    for (int step = 1; step <= steps; step++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            const uint32_t at = (uint32_t)rng_below(&r, 24 * GSLORA_FIXTURE_CLASSES);
            images_load(&x->problem.images, at, pixels + i * 64);
            images[i] = pixels + i * 64;
            labels[i] = (uint32_t)x->labels[at];
            weights[i] = 1.0f / BATCH;
        }
        vit_forward(batch, &x->w, &(struct vit_input){.n = BATCH, .images = images},
                    &(struct vit_output){.logits = logits});
        const struct xent_dims d = {.n = BATCH, .classes = classes};
        memset(dlogits, 0, sizeof dlogits);
        memset(grad_block, 0, floats * sizeof *grad_block);
        xent_backward(&d, logits, labels, weights, dlogits);
        vit_backward_full(batch, &x->w, &(struct vit_output_grad){.dlogits = dlogits}, &grad);
        const struct adamw_options o = {.lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
        adamw_step(&o, (uint64_t)step, x->weight_block, grad_block, m, v, floats);
    }
    arena_rewind(&x->arena, mark);
}

#endif
