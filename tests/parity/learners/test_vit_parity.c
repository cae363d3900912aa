/*
 * Logits and embeddings of tiny models against PyTorch (float64) for every naming scheme: what the
 * reader makes of names, shapes and patch orders is right if and only if these agree.  Fixtures:
 * tests/parity/make_vit_fixtures.py.  Then the writer: what it writes reads back to the same bytes.
 */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "learners/math/half.h"
#include "learners/vit/model_config.h"
#include "learners/vit/vit_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIXTURE_IMAGES    3
#define FIXTURE_TOLERANCE 1e-4 /* of the largest expected value */

struct fixture {
    unsigned char *files[3]; /* config, weights, expected */
    size_t sizes[3];
    void *memory[4];
    struct model_config config;
    struct arena arena; /* tables of the weight file and of what is expected */
    struct safetensors *weights, *expected;
};

static void fixture_open(struct fixture *x, const char *layout)
{
    static const char *const names[3] = {"config.json", "model.safetensors",
                                         "expected.safetensors"};
    memset(x, 0, sizeof *x);
    for (int i = 0; i < 3; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "tests/parity/vit/%s/%s", layout, names[i]);
        assert_int_equal(sysio_read_file(path, 1 << 24, &x->files[i], &x->sizes[i], NULL),
                         STATUS_OK);
    }
    const size_t labels = model_config_plan(x->sizes[0]);
    const size_t tables =
        safetensors_plan(x->files[1], x->sizes[1]) + safetensors_plan(x->files[2], x->sizes[2]);
    struct fault f = {0};
    struct arena arena;
    x->memory[0] = sysio_alloc(1, labels);
    x->memory[1] = sysio_alloc(1, tables);
    arena_init(&arena, x->memory[0], labels);
    arena_init(&x->arena, x->memory[1], tables);
    if (model_config_parse((const char *)x->files[0], x->sizes[0], NULL, 0, &arena, &x->config,
                           &f) != STATUS_OK)
        fail_msg("%s: %s: %s", layout, f.field, f.text);
    assert_int_equal(safetensors_open(x->files[1], x->sizes[1], &x->arena, &x->weights, NULL),
                     STATUS_OK);
    assert_int_equal(safetensors_open(x->files[2], x->sizes[2], &x->arena, &x->expected, NULL),
                     STATUS_OK);
}

static void fixture_close(struct fixture *x)
{
    for (int i = 0; i < 3; i++)
        sysio_free(x->files[i]);
    for (int i = 0; i < 4; i++)
        sysio_free(x->memory[i]);
}

static float *read_block(const struct safetensors *s, const struct vit_config *c)
{
    float *block = sysio_alloc(vit_weights_floats(c), sizeof *block);
    struct fault f = {0};
    if (vit_weights_read(s, c, block, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return block;
}

static float *read_tensor(const struct safetensors *s, const char *name)
{
    const struct safetensors_row *row = safetensors_find(s, name);
    assert_non_null(row);
    float *x = sysio_alloc(row->count, sizeof *x);
    assert_int_equal(safetensors_read_f32(row, 0, row->count, x, NULL), STATUS_OK);
    return x;
}

static void assert_close(const float *is, const float *expected, size_t n)
{
    double top = 0;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs((double)expected[i]));
    assert_true(top > 0.1); /* the fixture says something */
    for (size_t i = 0; i < n; i++)
        assert_near(is[i], expected[i], FIXTURE_TOLERANCE * top);
}

/* Logits and embeddings of the fixture's images. */
static void
run_model(const struct vit_config *c, float *block, const float *images, float *logits, float *e)
{
    void *pool_memory = sysio_alloc(1, pool_plan(1));
    struct pool *pool = NULL;
    assert_int_equal(pool_init(pool_memory, 1, &pool), STATUS_OK);
    const size_t bytes = vit_batch_plan(c, VIT_INFER, FIXTURE_IMAGES, 1);
    void *memory = sysio_alloc(1, bytes);
    struct arena arena;
    arena_init(&arena, memory, bytes);
    struct vit_batch *batch = NULL;
    assert_int_equal(vit_batch_new(c, VIT_INFER, FIXTURE_IMAGES, pool, &arena, &batch), STATUS_OK);
    struct vit_weights w;
    vit_weights_map(c, block, &w);
    const size_t image = (size_t)c->channels * c->image_size * c->image_size;
    const float *at[FIXTURE_IMAGES];
    for (size_t i = 0; i < FIXTURE_IMAGES; i++)
        at[i] = images + i * image;
    const struct vit_input in = {.n = FIXTURE_IMAGES, .images = at};
    const struct vit_output out = {.logits = logits, .embeddings = e};
    vit_forward(batch, &w, &in, &out);
    arena_fini(&arena);
    sysio_free(memory);
    pool_fini(pool);
    sysio_free(pool_memory);
}

static void check_forward(const struct fixture *x, const struct vit_config *c)
{
    float *block = read_block(x->weights, c);
    float *images = read_tensor(x->expected, "images");
    float *logits = read_tensor(x->expected, "logits");
    float *embeddings = read_tensor(x->expected, "embeddings");
    float is_logits[FIXTURE_IMAGES * 16], is_embeddings[FIXTURE_IMAGES * 32];
    assert_true(c->classes <= 16 && c->width <= 32);
    run_model(c, block, images, is_logits, is_embeddings);
    assert_close(is_logits, logits, (size_t)FIXTURE_IMAGES * c->classes);
    assert_close(is_embeddings, embeddings, (size_t)FIXTURE_IMAGES * c->width);
    sysio_free(block);
    sysio_free(images);
    sysio_free(logits);
    sysio_free(embeddings);
}

static void check_layout(const char *layout, const char *scheme)
{
    struct fixture x;
    fixture_open(&x, layout);
    assert_string_equal(vit_weights_scheme(x.weights), scheme);
    check_forward(&x, &x.config.vit);
    /* The same answers with the other order inside the engine. */
    struct vit_config other = x.config.vit;
    other.patch_channels_last = !other.patch_channels_last;
    check_forward(&x, &other);
    fixture_close(&x);
}

void test_vit_parity_timm(void **state)
{
    (void)state;
    check_layout("timm", "timm");
}

void test_vit_parity_hugging_face(void **state)
{
    (void)state;
    check_layout("hf", "hf");
}

void test_vit_parity_torchvision(void **state)
{
    (void)state;
    check_layout("torchvision", "torchvision");
}

void test_vit_parity_vit_pytorch(void **state)
{
    (void)state;
    check_layout("vit-pytorch", "vit-pytorch");
}

void test_vit_parity_face_transformer(void **state)
{
    (void)state;
    check_layout("face", "vit-pytorch");
}

/* Writes the weights in Hugging Face's names and reads them back. */
static float *
write_and_read(const struct vit_config *c, const float *block, enum safetensors_dtype dtype)
{
    const size_t plan = vit_weights_write_plan(c);
    void *scratch = sysio_alloc(1, plan);
    struct arena arena;
    arena_init(&arena, scratch, plan);
    const size_t size = vit_weights_write(c, block, dtype, &arena, NULL, 0);
    uint8_t *out = sysio_alloc(1, size);
    assert_int_equal(vit_weights_write(c, block, dtype, &arena, out, size), size);
    arena_fini(&arena);
    sysio_free(scratch);
    const size_t table = safetensors_plan(out, size);
    void *memory = sysio_alloc(1, table);
    struct safetensors *s = NULL;
    arena_init(&arena, memory, table);
    assert_int_equal(safetensors_open(out, size, &arena, &s, NULL), STATUS_OK);
    assert_string_equal(vit_weights_scheme(s), "hf");
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    float *back = read_block(s, c);
    arena_fini(&arena);
    sysio_free(memory);
    sysio_free(out);
    return back;
}

void test_written_weights_read_back(void **state)
{
    (void)state;
    static const char *const layouts[] = {"timm", "hf", "torchvision", "vit-pytorch", "face"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct fixture x;
        fixture_open(&x, layouts[i]);
        const struct vit_config *c = &x.config.vit;
        const size_t n = vit_weights_floats(c);
        float *block = read_block(x.weights, c);
        float *exact = write_and_read(c, block, SAFETENSORS_F32);
        float *half = write_and_read(c, block, SAFETENSORS_F16);
        assert_memory_equal(block, exact, n * sizeof *block);
        for (size_t k = 0; k < n; k++)
            assert_true(half[k] == half_to_float(half_from_float(block[k])));
        sysio_free(block);
        sysio_free(exact);
        sysio_free(half);
        fixture_close(&x);
    }
}
