/* A small random ViT with its batch, for the tests of the engine. One file-scope memory a test. */
#ifndef LETHE_TESTS_VIT_FIXTURE_H
#define LETHE_TESTS_VIT_FIXTURE_H

#include "daemon/base/rng.h"
#include "learners/vit/vit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vit_fixture {
    struct vit_config c;
    size_t floats;
    float *weight_block, *grad_block;
    struct vit_weights w, grad;
    void *pool_memory, *arena_memory;
    struct pool *pool;
    struct arena arena;
    struct vit_batch *batch;
    float *pixels;
    const float **images;
    uint32_t n;
};

static inline void *vit_fixture_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        abort();
    return p;
}

static inline struct vit_config vit_fixture_tiny(void)
{
    return (struct vit_config){.image_size = 8,
                               .channels = 1,
                               .patch_size = 4,
                               .width = 8,
                               .depth = 3,
                               .heads = 2,
                               .hidden = 12,
                               .classes = 3,
                               .ln_eps = 1e-5f,
                               .attention_scale = 0.5f,
                               .qkv_bias = 1,
                               .head_bias = 1,
                               .class_position = 1,
                               .head = VIT_HEAD_LINEAR,
                               .head_scale = 4.0f};
}

/* Layer norm weights near 1, everything else normal with the given deviation. */
static inline void vit_fixture_weights(struct vit_fixture *x, uint64_t seed, float deviation)
{
    struct vit_tensor t[VIT_MAX_DEPTH * 12 + 8];
    const size_t n = vit_tensors(&x->c, t, sizeof t / sizeof *t);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "weights", 0);
    for (size_t k = 0; k < n; k++) {
        const int is_norm = strstr(t[k].kind, "ln") == t[k].kind || !strcmp(t[k].kind, "norm_w");
        const float base = is_norm && strchr(t[k].kind, 'w') ? 1.0f : 0.0f;
        for (size_t i = 0; i < t[k].rows * t[k].cols; i++)
            x->weight_block[t[k].offset + i] = base + deviation * rng_normal(&r);
    }
    if (!x->c.class_position)
        memset(x->w.pos, 0, x->c.width * sizeof(float));
}

static inline void vit_fixture_init(struct vit_fixture *x,
                                    const struct vit_config *c,
                                    enum vit_mode mode,
                                    uint32_t n,
                                    uint32_t threads)
{
    *x = (struct vit_fixture){.c = *c, .n = n, .floats = vit_weights_floats(c)};
    x->weight_block = vit_fixture_alloc(x->floats, sizeof(float));
    x->grad_block = vit_fixture_alloc(x->floats, sizeof(float));
    vit_weights_map(c, x->weight_block, &x->w);
    vit_weights_map(c, x->grad_block, &x->grad);
    vit_fixture_weights(x, 7, 0.3f);
    x->pool_memory = vit_fixture_alloc(1, pool_plan(threads));
    if (pool_init(x->pool_memory, threads, &x->pool) != STATUS_OK)
        abort();
    const size_t bytes = vit_batch_plan(c, mode, n, threads);
    x->arena_memory = vit_fixture_alloc(1, bytes);
    arena_init(&x->arena, x->arena_memory, bytes);
    if (vit_batch_new(c, mode, n, x->pool, &x->arena, &x->batch) != STATUS_OK)
        abort();
    const size_t image = (size_t)c->channels * c->image_size * c->image_size;
    x->pixels = vit_fixture_alloc(n * image, sizeof(float));
    x->images = vit_fixture_alloc(n, sizeof *x->images);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 3}, "pixels", 0);
    for (size_t i = 0; i < n * image; i++)
        x->pixels[i] = rng_normal(&r);
    for (size_t i = 0; i < n; i++)
        x->images[i] = x->pixels + i * image;
}

static inline void vit_fixture_fini(struct vit_fixture *x)
{
    pool_fini(x->pool);
    arena_fini(&x->arena);
    free(x->arena_memory);
    free(x->pool_memory);
    free(x->weight_block);
    free(x->grad_block);
    free(x->pixels);
    free(x->images);
}

static inline float *vit_fixture_normal(size_t n, const char *stream, float deviation)
{
    float *x = vit_fixture_alloc(n, sizeof *x);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 11}, stream, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * rng_normal(&r);
    return x;
}

static inline double vit_fixture_dot(const float *x, const float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

#endif
