/*
 * Speed of the engine: images a second for inference, a low-rank step (fold, forward, backward,
 * AdamW) and a full step (forward, backward, AdamW), best of several, on random weights and images.
 * Prints one JSON object a line.  Nothing is freed: the process ends after one table.
 *
 *     build/bench/vit_speed [tiny28|face|vit-b16] [THREADS] [BATCH]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/shapes/bench_shape.h"
#include "daemon/base/clock.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "learners/math/gemm.h"
#include "learners/nn/xent.h"
#include "learners/optim/adamw.h"
#include "learners/vit/vit.h"

#define REPEATS 5
#define RANK    8

/* Everything one mode needs; the process frees it by ending. */
struct run {
    const struct vit_config *c;
    enum vit_mode mode;
    uint32_t n, threads;
    struct pool *pool;
    struct arena arena;
    struct vit_batch *batch;
    struct vit_weights w, base, grad;
    struct vit_lora lora, lora_grad;
    float *weights, *gradient, *m, *v; /* what is trained */
    size_t trained;
    float *logits, *dlogits, *shares;
    uint32_t *labels;
    const float **images;
    uint64_t step;
};

static void *take(size_t count, size_t size)
{
    void *p = sysio_alloc(count, size);
    if (!p) {
        (void)fputs("vit_speed: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static float *normal(size_t n, const char *stream, float deviation)
{
    float *x = take(n, sizeof *x);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 1}, stream, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * rng_normal(&r);
    return x;
}

static void map_lora(const struct vit_config *c, float *memory, struct vit_lora *lora)
{
    const size_t a = (size_t)RANK * c->width, b = (size_t)RANK * c->hidden;
    *lora = (struct vit_lora){.rank = RANK, .scale = 1.0f / RANK};
    for (size_t l = 0; l < c->depth; l++, memory += 2 * (a + b))
        lora->blocks[l] =
            (struct vit_lora_block){memory, memory + a, memory + a + b, memory + a + 2 * b, 1};
}

static void prepare_training(struct run *r)
{
    const struct vit_config *c = r->c;
    const int low_rank = r->mode == VIT_TRAIN_LORA;
    r->trained =
        low_rank ? (size_t)c->depth * RANK * 2 * (c->width + c->hidden) : vit_weights_floats(c);
    if (low_rank)
        r->weights = normal(r->trained, "lora", 0.01f);
    r->gradient = take(r->trained, sizeof(float));
    r->m = take(r->trained, sizeof(float));
    r->v = take(r->trained, sizeof(float));
    if (low_rank) {
        map_lora(c, r->weights, &r->lora);
        map_lora(c, r->gradient, &r->lora_grad);
    } else {
        vit_weights_map(c, r->gradient, &r->grad);
    }
}

static void prepare(struct run *r)
{
    const struct vit_config *c = r->c;
    const size_t floats = vit_weights_floats(c),
                 bytes = vit_batch_plan(c, r->mode, r->n, r->threads);
    const size_t image = (size_t)c->channels * c->image_size * c->image_size;
    r->weights = normal(floats, "weights", 0.05f);
    vit_weights_map(c, r->weights, &r->w);
    vit_weights_map(c, normal(floats, "weights", 0.05f), &r->base);
    arena_init(&r->arena, take(bytes, 1), bytes);
    if (pool_init(take(pool_plan(r->threads), 1), r->threads, &r->pool) != STATUS_OK ||
        vit_batch_new(c, r->mode, r->n, r->pool, &r->arena, &r->batch) != STATUS_OK) {
        (void)fputs("vit_speed: the batch cannot be made\n", stderr);
        exit(1);
    }
    r->logits = take((size_t)r->n * c->classes, sizeof(float));
    r->dlogits = take((size_t)r->n * c->classes, sizeof(float));
    r->shares = take(r->n, sizeof(float));
    r->labels = take(r->n, sizeof(uint32_t));
    r->images = take(r->n, sizeof *r->images);
    const float *pixels = normal(r->n * image, "pixels", 1.0f);
    for (uint32_t i = 0; i < r->n; i++) {
        r->images[i] = pixels + i * image;
        r->labels[i] = i % c->classes;
        r->shares[i] = 1.0f / (float)r->n;
    }
    if (r->mode != VIT_INFER)
        prepare_training(r);
}

static void fold(struct run *r)
{
    const struct vit_config *c = r->c;
    for (size_t l = 0; l < c->depth; l++) {
        const struct vit_lora_block *k = &r->lora.blocks[l];
        const struct vit_block *from = &r->base.blocks[l], *to = &r->w.blocks[l];
        const float s = r->lora.scale;
        vit_lora_fold(from->fc1_w, k->b1, k->a1, s, c->hidden, c->width, RANK, to->fc1_w);
        vit_lora_fold(from->fc2_w, k->b2, k->a2, s, c->width, c->hidden, RANK, to->fc2_w);
    }
}

static void train(struct run *r)
{
    const struct vit_config *c = r->c;
    const struct xent_dims d = {.n = r->n, .classes = c->classes};
    const struct vit_output_grad dout = {.dlogits = r->dlogits};
    const struct adamw_options o = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    memset(r->dlogits, 0, (size_t)r->n * c->classes * sizeof(float));
    xent_backward(&d, r->logits, r->labels, r->shares, r->dlogits);
    memset(r->gradient, 0, r->trained * sizeof(float));
    if (r->mode == VIT_TRAIN_LORA)
        vit_backward_lora(r->batch, &r->w, &r->lora, &dout, &r->lora_grad);
    else
        vit_backward_full(r->batch, &r->w, &dout, &r->grad);
    adamw_step(&o, ++r->step, r->weights, r->gradient, r->m, r->v, r->trained);
}

static double seconds_of_one(struct run *r)
{
    const int64_t start = clock_mono_us();
    if (r->mode == VIT_TRAIN_LORA)
        fold(r);
    const struct vit_input in = {.n = r->n, .images = r->images};
    vit_forward(r->batch, &r->w, &in, &(struct vit_output){.logits = r->logits});
    if (r->mode != VIT_INFER)
        train(r);
    return (double)(clock_mono_us() - start) * 1e-6;
}

static void
measure(const struct bench_shape *s, enum vit_mode mode, uint32_t threads, uint32_t batch)
{
    static const char *const names[] = {"inference", "low-rank step", "full step"};
    struct run r = {.c = &s->config, .mode = mode, .n = batch, .threads = threads};
    prepare(&r);
    double best = seconds_of_one(&r);
    for (int i = 1; i < REPEATS; i++) {
        const double t = seconds_of_one(&r);
        best = t < best ? t : best;
    }
    (void)printf("{\"shape\": \"%s\", \"work\": \"%s\", \"threads\": %u, \"batch\": %u, "
                 "\"seconds\": %.4f, \"images_per_s\": %.1f, \"kernel\": \"%s\"}\n",
                 s->name, names[mode], (unsigned)threads, (unsigned)batch, best,
                 (double)batch / best, gemm_kernel_name());
    (void)fflush(stdout);
    pool_fini(r.pool);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "tiny28";
    const unsigned long threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    const unsigned long batch = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    const struct bench_shape *shape = bench_shape_get(name);
    if (shape && threads >= 1 && threads <= POOL_MAX_THREADS && batch <= 4096) {
        const uint32_t n = batch ? (uint32_t)batch : shape->batch;
        measure(shape, VIT_INFER, (uint32_t)threads, n);
        measure(shape, VIT_TRAIN_LORA, (uint32_t)threads, n);
        measure(shape, VIT_TRAIN_FULL, (uint32_t)threads, n);
        return 0;
    }
    (void)fputs("usage: vit_speed [tiny28|face|vit-b16] [THREADS] [BATCH]\n", stderr);
    return 2;
}
