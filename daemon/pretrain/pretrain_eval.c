#include "daemon/pretrain/pretrain_eval.h"

#include "daemon/base/sysio.h"
#include "learners/nn/xent.h"

#include <string.h>

#define EVALUATOR_BATCH 256

struct evaluator {
    struct vit_config config;
    struct pool *pool;
    struct arena arena;
    void *memory;
    struct vit_batch *batch;
    float *inputs; /* [EVALUATOR_BATCH, image] */
    const float **images;
    float *logits, *embeddings, *losses;
    uint32_t *labels;
};

static size_t evaluator_image_floats(const struct vit_config *c)
{
    return (size_t)c->channels * c->image_size * c->image_size;
}

static size_t evaluator_plan(const struct vit_config *c, uint32_t threads)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, EVALUATOR_BATCH, evaluator_image_floats(c) * sizeof(float));
    arena_plan_add(&p, EVALUATOR_BATCH, sizeof(float *));
    arena_plan_add(&p, EVALUATOR_BATCH, c->classes * sizeof(float));
    arena_plan_add(&p, EVALUATOR_BATCH, c->width * sizeof(float));
    arena_plan_add(&p, EVALUATOR_BATCH, sizeof(float));
    arena_plan_add(&p, EVALUATOR_BATCH, sizeof(uint32_t));
    const size_t own = arena_plan_bytes(&p);
    const size_t batch = vit_batch_plan(c, VIT_INFER, EVALUATOR_BATCH, threads);
    return batch > SIZE_MAX - own ? SIZE_MAX : own + batch;
}

static enum status evaluator_fill(struct evaluator *e, struct fault *f)
{
    const struct vit_config *c = &e->config;
    const size_t image = evaluator_image_floats(c);
    e->inputs = arena_alloc(&e->arena, EVALUATOR_BATCH, image * sizeof(float));
    e->images = arena_alloc(&e->arena, EVALUATOR_BATCH, sizeof(float *));
    e->logits = arena_alloc(&e->arena, EVALUATOR_BATCH, c->classes * sizeof(float));
    e->embeddings = arena_alloc(&e->arena, EVALUATOR_BATCH, c->width * sizeof(float));
    e->losses = arena_alloc(&e->arena, EVALUATOR_BATCH, sizeof(float));
    e->labels = arena_alloc(&e->arena, EVALUATOR_BATCH, sizeof(uint32_t));
    if (!e->inputs || !e->images || !e->logits || !e->embeddings || !e->losses || !e->labels)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no room for the evaluation");
    for (size_t i = 0; i < EVALUATOR_BATCH; i++)
        e->images[i] = e->inputs + i * image;
    return vit_batch_new(c, VIT_INFER, EVALUATOR_BATCH, e->pool, &e->arena, &e->batch);
}

enum status evaluator_new(const struct vit_config *c,
                          struct pool *pool,
                          struct evaluator **ret_evaluator,
                          struct fault *f)
{
    const size_t bytes = evaluator_plan(c, pool_threads(pool));
    struct evaluator *e = sysio_alloc(1, sizeof *e);
    if (e)
        e->memory = sysio_alloc(1, bytes);
    if (!e || !e->memory) {
        evaluator_free(e);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the evaluation: %zu bytes", bytes);
    }
    e->config = *c;
    e->pool = pool;
    arena_init(&e->arena, e->memory, bytes);
    const enum status st = evaluator_fill(e, f);
    if (st == STATUS_OK)
        *ret_evaluator = e;
    else
        evaluator_free(e);
    return st;
}

void evaluator_free(struct evaluator *e)
{
    if (!e)
        return;
    if (e->memory && e->config.width > 0)
        arena_fini(&e->arena);
    sysio_free(e->memory);
    sysio_free(e);
}

static void evaluator_forward(struct evaluator *e,
                              const struct vit_weights *w,
                              const struct image_table *t,
                              const uint32_t *list,
                              uint32_t n)
{
    const size_t image = evaluator_image_floats(&e->config);
    for (uint32_t i = 0; i < n; i++) {
        images_load(t, list[i], e->inputs + i * image);
        e->labels[i] = (uint32_t)t->labels[list[i]];
    }
    const struct vit_input in = {.n = n, .images = e->images};
    const struct vit_output out = {.logits = e->logits, .embeddings = e->embeddings};
    vit_forward(e->batch, w, &in, &out);
}

static uint32_t evaluator_argmax(const float *z, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (z[i] > z[best])
            best = i;
    return best;
}

struct eval_result evaluator_run(struct evaluator *e,
                                 const struct vit_weights *w,
                                 const struct image_table *t,
                                 const uint32_t *list,
                                 uint32_t n)
{
    const uint32_t classes = e->config.classes;
    uint32_t right = 0;
    double loss = 0;
    for (uint32_t at = 0; at < n; at += EVALUATOR_BATCH) {
        const uint32_t part = n - at < EVALUATOR_BATCH ? n - at : EVALUATOR_BATCH;
        evaluator_forward(e, w, t, list + at, part);
        const struct xent_dims d = {.n = part, .classes = classes};
        xent_forward(&d, e->logits, e->labels, e->losses);
        for (uint32_t i = 0; i < part; i++) {
            right += evaluator_argmax(e->logits + (size_t)i * classes, classes) == e->labels[i];
            loss += (double)e->losses[i];
        }
    }
    if (n == 0)
        return (struct eval_result){0};
    return (struct eval_result){.accuracy = (double)right / n, .loss = loss / n};
}

void evaluator_prototypes(struct evaluator *e,
                          const struct vit_weights *w,
                          const struct image_table *t,
                          const uint32_t *list,
                          uint32_t n,
                          double *sums,
                          float *prototypes,
                          int64_t *counts)
{
    const size_t width = e->config.width, classes = e->config.classes;
    memset(sums, 0, classes * width * sizeof *sums);
    memset(counts, 0, classes * sizeof *counts);
    for (uint32_t at = 0; at < n; at += EVALUATOR_BATCH) {
        const uint32_t part = n - at < EVALUATOR_BATCH ? n - at : EVALUATOR_BATCH;
        evaluator_forward(e, w, t, list + at, part);
        for (uint32_t i = 0; i < part; i++) {
            double *sum = sums + e->labels[i] * width;
            for (size_t j = 0; j < width; j++)
                sum[j] += (double)e->embeddings[i * width + j];
            counts[e->labels[i]]++;
        }
    }
    for (size_t c = 0; c < classes; c++)
        for (size_t j = 0; j < width; j++)
            prototypes[c * width + j] =
                counts[c] > 0 ? (float)(sums[c * width + j] / (double)counts[c]) : 0;
}
