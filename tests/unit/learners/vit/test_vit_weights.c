/* Weight files that do not fit the configuration: each error names the tensor. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "learners/vit/prototypes.h"
#include "learners/vit/vit_weights.h"

#include <math.h>
#include <string.h>

static const struct vit_config tiny = {.image_size = 8,
                                       .channels = 3,
                                       .patch_size = 4,
                                       .width = 8,
                                       .depth = 2,
                                       .heads = 2,
                                       .hidden = 16,
                                       .classes = 3,
                                       .ln_eps = 1e-6f,
                                       .attention_scale = 0.5f,
                                       .qkv_bias = 1,
                                       .head_bias = 1,
                                       .class_position = 1,
                                       .head = VIT_HEAD_LINEAR,
                                       .head_scale = 64,
                                       .head_margin = 0.35f};

static float *random_block(const struct vit_config *c)
{
    const struct rng_root root = {.seed = 3};
    struct rng r;
    const size_t n = vit_weights_floats(c);
    float *block = sysio_alloc(n, sizeof *block);
    rng_init(&r, &root, "weights", 0);
    for (size_t i = 0; i < n; i++)
        block[i] = rng_normal(&r);
    return block;
}

static uint8_t *write_file(const struct vit_config *c, const float *block, size_t *ret_size)
{
    const size_t plan = vit_weights_write_plan(c);
    void *scratch = sysio_alloc(1, plan);
    struct arena arena;
    arena_init(&arena, scratch, plan);
    *ret_size = vit_weights_write(c, block, SAFETENSORS_F32, &arena, NULL, 0);
    uint8_t *file = sysio_alloc(1, *ret_size);
    (void)vit_weights_write(c, block, SAFETENSORS_F32, &arena, file, *ret_size);
    arena_fini(&arena);
    sysio_free(scratch);
    return file;
}

/* Reads the file for this configuration; *f explains a failure. */
static enum status
read_file(const uint8_t *file, size_t n, const struct vit_config *c, float *block, struct fault *f)
{
    const size_t plan = safetensors_plan(file, n);
    void *memory = sysio_alloc(1, plan);
    struct arena arena;
    struct safetensors *s = NULL;
    arena_init(&arena, memory, plan);
    enum status st = safetensors_open(file, n, &arena, &s, f);
    if (st == STATUS_OK)
        st = vit_weights_read(s, c, block, f);
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

/* A file made for `made`, read for `asked`, must fail naming `tensor`. */
static void
expect_refusal(const struct vit_config *made, const struct vit_config *asked, const char *tensor)
{
    size_t n = 0;
    float *block = random_block(made);
    float *out = sysio_alloc(vit_weights_floats(asked), sizeof *out);
    uint8_t *file = write_file(made, block, &n);
    struct fault f = {0};
    assert_int_equal(read_file(file, n, asked, out, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, tensor);
    sysio_free(file);
    sysio_free(out);
    sysio_free(block);
}

void test_vit_weights_missing_and_extra_tensors_are_named(void **state)
{
    (void)state;
    struct vit_config without = tiny;
    without.qkv_bias = 0;
    expect_refusal(&without, &tiny, "vit.encoder.layer.0.attention.attention.query.bias");
    expect_refusal(&tiny, &without, "vit.encoder.layer.0.attention.attention.query.bias");
    without = tiny;
    without.head_bias = 0;
    expect_refusal(&without, &tiny, "classifier.bias");
    expect_refusal(&tiny, &without, "classifier.bias");
    struct vit_config deeper = tiny;
    deeper.depth = 3;
    expect_refusal(&tiny, &deeper, "vit.encoder.layer.2.layernorm_before.weight");
    expect_refusal(&deeper, &tiny, "vit.encoder.layer.2.layernorm_before.weight");
}

void test_vit_weights_wrong_shapes_are_named(void **state)
{
    (void)state;
    struct vit_config other = tiny;
    other.classes = 4;
    expect_refusal(&tiny, &other, "classifier.weight");
    other = tiny;
    other.hidden = 24;
    expect_refusal(&tiny, &other, "vit.encoder.layer.0.intermediate.dense.weight");
    other = tiny;
    other.channels = 1;
    expect_refusal(&tiny, &other, "vit.embeddings.patch_embeddings.projection.weight");
    other = tiny;
    other.image_size = 12;
    expect_refusal(&tiny, &other, "vit.embeddings.position_embeddings");
}

/* A renamed tensor is both missing and unknown: the missing one is told. */
void test_vit_weights_renamed_tensor_is_missing(void **state)
{
    (void)state;
    size_t n = 0;
    float *block = random_block(&tiny);
    uint8_t *file = write_file(&tiny, block, &n);
    uint8_t *name = memmem(file, n, "vit.layernorm.bias", 18);
    assert_non_null(name);
    name[0] = 'w';
    struct fault f = {0};
    assert_int_equal(read_file(file, n, &tiny, block, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "vit.layernorm.bias");
    sysio_free(file);
    sysio_free(block);
}

void test_vit_weights_unknown_names_are_refused(void **state)
{
    (void)state;
    static const float x[4] = {0};
    const struct safetensors_item item = {"encoder.weight", SAFETENSORS_F32, 1, {4}, x};
    uint8_t file[256];
    const size_t n = safetensors_write_size(&item, 1, NULL, 0);
    safetensors_write(&item, 1, NULL, 0, file);
    float *out = random_block(&tiny);
    struct fault f = {0};
    assert_int_equal(read_file(file, n, &tiny, out, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "model.safetensors");
    sysio_free(out);
}

void test_vit_weights_nan_is_named(void **state)
{
    (void)state;
    struct vit_tensor list[64];
    const size_t count = vit_tensors(&tiny, list, 64);
    float *block = random_block(&tiny);
    for (size_t i = 0; i < count && i < 64; i++) {
        size_t n = 0;
        struct fault f = {0};
        float *out = random_block(&tiny);
        const float kept = block[list[i].offset];
        block[list[i].offset] = NAN;
        uint8_t *file = write_file(&tiny, block, &n);
        block[list[i].offset] = kept;
        assert_int_equal(read_file(file, n, &tiny, out, &f), STATUS_INVALID_ARGUMENT);
        assert_true(f.field[0] != '\0' && strstr(f.text, "finite"));
        sysio_free(file);
        sysio_free(out);
    }
    sysio_free(block);
}

/* Without a class position the first row is zero, in memory and in the file. */
void test_vit_weights_class_position(void **state)
{
    (void)state;
    struct vit_config none = tiny;
    none.class_position = 0;
    size_t n = 0;
    float *block = random_block(&none);
    float *out = random_block(&none);
    struct vit_weights w;
    struct fault f = {0};
    uint8_t *file = write_file(&none, block, &n);
    assert_int_equal(read_file(file, n, &none, out, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "vit.embeddings.position_embeddings");
    sysio_free(file);
    vit_weights_map(&none, block, &w);
    memset(w.pos, 0, none.width * sizeof *w.pos);
    file = write_file(&none, block, &n);
    assert_int_equal(read_file(file, n, &none, out, NULL), STATUS_OK);
    assert_memory_equal(block, out, vit_weights_floats(&none) * sizeof *block);
    sysio_free(file);
    sysio_free(block);
    sysio_free(out);
}

void test_prototypes_round_trip_and_wrong_shapes(void **state)
{
    (void)state;
    const float rows[6] = {1, 2, 3, 4, 5, 6};
    const int64_t counts[3] = {10, 0, 7}, negative[3] = {1, -1, 1};
    uint8_t file[512], memory[32768];
    float back[6];
    int64_t n_back[3];
    struct arena arena;
    struct safetensors *s = NULL;
    struct fault f = {0};
    size_t n = prototypes_write(rows, counts, 3, 2, NULL, 0);
    assert_true(n <= sizeof file);
    (void)prototypes_write(rows, counts, 3, 2, file, n);
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(safetensors_open(file, n, &arena, &s, NULL), STATUS_OK);
    assert_int_equal(prototypes_read(s, 3, 2, back, n_back, NULL), STATUS_OK);
    assert_memory_equal(rows, back, sizeof rows);
    assert_memory_equal(counts, n_back, sizeof counts);
    assert_int_equal(prototypes_read(s, 2, 3, back, n_back, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "prototypes");
    n = prototypes_write(rows, negative, 3, 2, NULL, 0);
    (void)prototypes_write(rows, negative, 3, 2, file, n);
    assert_int_equal(safetensors_open(file, n, &arena, &s, NULL), STATUS_OK);
    assert_int_equal(prototypes_read(s, 3, 2, back, n_back, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "counts");
    arena_fini(&arena);
}
