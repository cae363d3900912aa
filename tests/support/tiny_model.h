/*
 * A model so small that a daemon trains on it in a moment, and data that it can learn from: width
 * 32, depth 2, images 8x8x1, 4 classes.  The weights are random, but the network is not useless:
 * the head's rows are set to the class means of the final embedding, so that the base knows its
 * classes well (nearest class mean) without any training.  Header only: most tests do not link the
 * learners.
 */
#ifndef LETHE_TESTS_SUPPORT_TINY_MODEL_H
#define LETHE_TESTS_SUPPORT_TINY_MODEL_H

#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"
#include "learners/math/gemm.h"
#include "learners/math/pool.h"
#include "learners/vit/vit.h"

#define TINY_SIZE    8u
#define TINY_CLASSES 4u
#define TINY_WIDTH   32u
#define TINY_PIXELS  (TINY_SIZE * TINY_SIZE)

__attribute__((unused)) static const char *tiny_labels[TINY_CLASSES] = {"Circle", "Square", "Cross",
                                                                        "Stripe"};

__attribute__((unused)) static struct vit_config tiny_config(void)
{
    return (struct vit_config){.image_size = TINY_SIZE,
                               .channels = 1,
                               .patch_size = 2,
                               .width = TINY_WIDTH,
                               .depth = 2,
                               .heads = 4,
                               .hidden = 64,
                               .classes = TINY_CLASSES,
                               .ln_eps = 1e-6f,
                               .attention_scale = 0.35355339f,
                               .qkv_bias = 1,
                               .head_bias = 1,
                               .class_position = 1,
                               .head = VIT_HEAD_LINEAR};
}

/* Image i of a class: a fixed pattern of the class, with noise that differs per image and seed. */
__attribute__((unused)) static void
tiny_image(uint32_t label, uint64_t seed, uint32_t i, uint8_t pixels[TINY_PIXELS])
{
    struct rng pattern, noise;
    const struct rng_root class_root = {.seed = 77}, root = {.seed = seed};
    rng_init(&pattern, &class_root, "pattern", label);
    rng_init(&noise, &root, "noise", (uint64_t)label * 1000003u + i);
    for (uint32_t p = 0; p < TINY_PIXELS; p++) {
        const float clean = rng_uniform(&pattern) < 0.5f ? 40.0f : 215.0f;
        const float x = clean + 35.0f * rng_normal(&noise);
        pixels[p] = (uint8_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
    }
}

/* per_class images of each class, class after class: pixels [n, 8, 8, 1], labels [n]. */
__attribute__((unused)) static void
tiny_images(uint32_t per_class, uint64_t seed, uint8_t *pixels, int32_t *labels)
{
    for (uint32_t c = 0; c < TINY_CLASSES; c++)
        for (uint32_t i = 0; i < per_class; i++) {
            const size_t row = (size_t)c * per_class + i;
            tiny_image(c, seed, i, pixels + row * TINY_PIXELS);
            labels[row] = (int32_t)c;
        }
}

__attribute__((unused)) static void tiny_put_be32(FILE *file, uint32_t x)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        (void)fputc((int)(x >> shift & 0xff), file);
}

/*
 * Writes FOLDER/NAME-images-idx3-ubyte and FOLDER/NAME-labels-idx1-ubyte: per_class images of each
 * class.  The label names of the tiny model are its class numbers in order, so `lethe data import`
 * finds them.
 */
__attribute__((unused)) static void
tiny_idx_write(const char *folder, const char *name, uint32_t per_class, uint64_t seed)
{
    const uint32_t n = per_class * TINY_CLASSES;
    uint8_t *pixels = sysio_alloc(n, TINY_PIXELS);
    int32_t *labels = sysio_alloc(n, sizeof *labels);
    assert_true(pixels && labels);
    tiny_images(per_class, seed, pixels, labels);
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    tiny_put_be32(file, 0x803);
    tiny_put_be32(file, n);
    tiny_put_be32(file, TINY_SIZE);
    tiny_put_be32(file, TINY_SIZE);
    assert_int_equal(fwrite(pixels, TINY_PIXELS, n, file), n);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    tiny_put_be32(file, 0x801);
    tiny_put_be32(file, n);
    for (uint32_t i = 0; i < n; i++)
        (void)fputc(labels[i], file);
    assert_int_equal(fclose(file), 0);
    sysio_free(pixels);
    sysio_free(labels);
}

/* x = (p/255 - 0.5) / 0.5 */
__attribute__((unused)) static void tiny_normalise(const uint8_t *pixels, float *x)
{
    for (uint32_t p = 0; p < TINY_PIXELS; p++)
        x[p] = ((float)pixels[p] / 255.0f - 0.5f) / 0.5f;
}

__attribute__((unused)) static void tiny_fill(const struct vit_config *c, float *block)
{
    const size_t n = vit_tensors(c, NULL, 0);
    struct vit_tensor *tensors = sysio_alloc(n, sizeof *tensors);
    assert_non_null(tensors);
    assert_int_equal(vit_tensors(c, tensors, n), n);
    const struct rng_root root = {.seed = 4711};
    for (size_t t = 0; t < n; t++) {
        struct rng r;
        rng_init(&r, &root, "weights", t);
        const size_t count = tensors[t].rows * tensors[t].cols;
        const int scale_vector = strstr(tensors[t].kind, "ln") == tensors[t].kind ||
                                 strstr(tensors[t].kind, "norm") == tensors[t].kind;
        const int is_weight = strstr(tensors[t].kind, "_w") != NULL;
        for (size_t i = 0; i < count; i++)
            block[tensors[t].offset + i] = scale_vector ? (is_weight ? 1.0f : 0.0f)
                                           : tensors[t].decay
                                               ? rng_normal(&r) / sqrtf((float)tensors[t].cols)
                                               : 0.02f * rng_normal(&r);
    }
    sysio_free(tensors);
}

/* Head rows: class means of the embedding less the mean of all, scaled; biases to match. */
__attribute__((unused)) static void tiny_set_head(const struct vit_config *c, float *block)
{
    enum { PER_CLASS = 32 };
    struct vit_weights w;
    vit_weights_map(c, block, &w);
    void *pool_memory = sysio_alloc(pool_plan(1), 1);
    const size_t plan = vit_batch_plan(c, VIT_INFER, 1, 1) + 4096;
    void *memory = sysio_alloc(plan, 1);
    struct pool *pool;
    struct arena arena;
    struct vit_batch *batch;
    arena_init(&arena, memory, plan);
    assert_int_equal(pool_init(pool_memory, 1, &pool), STATUS_OK);
    assert_int_equal(vit_batch_new(c, VIT_INFER, 1, pool, &arena, &batch), STATUS_OK);
    float means[TINY_CLASSES][TINY_WIDTH] = {{0}}, all[TINY_WIDTH] = {0};
    for (uint32_t k = 0; k < TINY_CLASSES; k++)
        for (uint32_t i = 0; i < PER_CLASS; i++) {
            uint8_t pixels[TINY_PIXELS];
            float x[TINY_PIXELS], e[TINY_WIDTH];
            const float *images[1] = {x};
            tiny_image(k, 5, i, pixels);
            tiny_normalise(pixels, x);
            const struct vit_input in = {.n = 1, .images = images};
            const struct vit_output out = {.embeddings = e};
            vit_forward(batch, &w, &in, &out);
            for (uint32_t j = 0; j < TINY_WIDTH; j++) {
                means[k][j] += e[j] / (float)PER_CLASS;
                all[j] += e[j] / (float)(PER_CLASS * TINY_CLASSES);
            }
        }
    for (uint32_t k = 0; k < TINY_CLASSES; k++) {
        float bias = 0.0f;
        for (uint32_t j = 0; j < TINY_WIDTH; j++) {
            const float row = 8.0f * (means[k][j] - all[j]);
            w.head_w[k * TINY_WIDTH + j] = row;
            bias -= row * 0.5f * (means[k][j] + all[j]);
        }
        w.head_b[k] = bias;
    }
    pool_fini(pool);
    arena_fini(&arena);
    sysio_free(pool_memory);
    sysio_free(memory);
}

__attribute__((unused)) static struct model_config tiny_model_config(const struct vit_config *c)
{
    return (struct model_config){.vit = *c,
                                 .prep = {.resize = TINY_SIZE,
                                          .resample = 2,
                                          .rescale = 1.0f / 255.0f,
                                          .mean = {0.5f, 0.5f, 0.5f},
                                          .std = {0.5f, 0.5f, 0.5f}},
                                 .labels = tiny_labels};
}

/* Writes the model folder (made if missing); the same bytes each time. */
__attribute__((unused)) static void tiny_model_write(const char *folder)
{
    struct fault f = {0};
    const struct vit_config c = tiny_config();
    float *block = sysio_alloc(vit_weights_floats(&c), sizeof *block);
    assert_non_null(block);
    assert_int_equal(gemm_setup(&f), STATUS_OK);
    tiny_fill(&c, block);
    tiny_set_head(&c, block);
    const struct model_config m = tiny_model_config(&c);
    if (model_write_folder(folder, &m, block, 0, NULL, NULL, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    sysio_free(block);
}

#endif
