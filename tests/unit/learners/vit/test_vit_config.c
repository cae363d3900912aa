/* Config limits, the layout of a weight set, and the plan of a batch against its use. */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#define BAD(name, member, value)                                                                   \
    do {                                                                                           \
        struct vit_config c = vit_fixture_tiny();                                                  \
        c.member = (value);                                                                        \
        struct fault f = {0};                                                                      \
        assert_int_equal(vit_config_check(&c, &f), STATUS_INVALID_ARGUMENT);                       \
        assert_string_equal(f.field, name);                                                        \
    } while (0)

void test_vit_config_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct vit_config good = vit_fixture_tiny();
    assert_int_equal(vit_config_check(&good, NULL), STATUS_OK);
    BAD("image_size", image_size, 0);
    BAD("image_size", image_size, 100000);
    BAD("channels", channels, 2);
    BAD("patch_size", patch_size, 0);
    BAD("patch_size", patch_size, 3);
    BAD("patch_size", patch_size, 16);
    BAD("width", width, 0);
    BAD("width", width, 1u << 20);
    BAD("depth", depth, 0);
    BAD("depth", depth, VIT_MAX_DEPTH + 1);
    BAD("heads", heads, 0);
    BAD("heads", heads, 3);
    BAD("hidden", hidden, 0);
    BAD("classes", classes, 0);
    BAD("classes", classes, VIT_MAX_CLASSES + 1);
    BAD("ln_eps", ln_eps, 0.0f);
    BAD("ln_eps", ln_eps, NAN);
    BAD("attention_scale", attention_scale, -1.0f);
    BAD("attention_scale", attention_scale, INFINITY);
}

void test_vit_config_checks_the_cosine_head(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    struct fault f;
    c.head = VIT_HEAD_COSINE;
    c.head_margin = 0.35f;
    assert_int_equal(vit_config_check(&c, NULL), STATUS_OK);
    c.head_margin = 1.0f;
    assert_int_equal(vit_config_check(&c, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "head_margin");
    c.head_margin = 0.35f;
    c.head_scale = 0.0f;
    assert_int_equal(vit_config_check(&c, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "head_scale");
}

void test_vit_layout_counts_of_known_models(void **state)
{
    (void)state;
    /* ViT-B/16 with 1000 classes: 86,567,656 parameters (torchvision) */
    struct vit_config c = {
        224, 3, 16, 768, 12, 12, 3072, 1000, 1e-6f, 0.125f, 1, 1, 1, 0, VIT_HEAD_LINEAR, 0, 0};
    assert_int_equal(vit_tokens(&c), 197);
    assert_int_equal(vit_weights_floats(&c), 86567656);
    /* Face Transformer of gslora.md: 19,157,504, without position of the class token counted */
    c = (struct vit_config){
        112, 3, 8, 512, 6, 8, 2048, 100, 1e-5f, 0.0441942f, 0, 0, 1, 1, VIT_HEAD_COSINE, 64, 0.35f};
    assert_int_equal(vit_weights_floats(&c), 19157504);
}

void test_vit_layout_covers_the_block_without_gaps(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    for (int bias = 0; bias < 2; bias++) {
        c.qkv_bias = bias;
        c.head_bias = bias;
        struct vit_tensor t[64];
        const size_t n = vit_tensors(&c, t, 64);
        assert_int_equal(n, 4 + c.depth * (size_t)(11 + bias) + (size_t)(3 + bias));
        assert_int_equal(vit_tensors(&c, NULL, 0), n);
        size_t at = 0;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(t[i].offset, at);
            assert_int_equal(t[i].decay, strchr(t[i].kind, 'w') && t[i].rows > 1);
            at += t[i].rows * t[i].cols;
        }
        assert_int_equal(at, vit_weights_floats(&c));
        float *block = vit_fixture_alloc(at, sizeof *block);
        struct vit_weights w;
        vit_weights_map(&c, block, &w);
        assert_ptr_equal(w.patch_w, block);
        assert_ptr_equal(w.head_w, block + at - c.classes * (c.width + (unsigned)bias));
        assert_true((w.blocks[1].qkv_b != NULL) == (bias != 0));
        assert_true((w.head_b != NULL) == (bias != 0));
        free(block);
    }
}

void test_vit_batch_uses_exactly_its_plan(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    const enum vit_mode modes[3] = {VIT_INFER, VIT_TRAIN_LORA, VIT_TRAIN_FULL};
    void *pool_memory = vit_fixture_alloc(1, pool_plan(2));
    struct pool *pool;
    assert_int_equal(pool_init(pool_memory, 2, &pool), STATUS_OK);
    for (size_t i = 0; i < 6; i++) {
        c.head = i < 3 ? VIT_HEAD_LINEAR : VIT_HEAD_COSINE;
        const size_t bytes = vit_batch_plan(&c, modes[i % 3], 20, 2);
        void *memory =
            aligned_alloc(ARENA_ALIGN, (bytes + ARENA_ALIGN) / ARENA_ALIGN * ARENA_ALIGN);
        struct arena a;
        struct vit_batch *b = NULL;
        arena_init(&a, memory, bytes);
        assert_int_equal(vit_batch_new(&c, modes[i % 3], 20, pool, &a, &b), STATUS_OK);
        /* the plan's only slack is for aligning the block */
        assert_int_equal(arena_high_water(&a) + ARENA_ALIGN, bytes);
        arena_fini(&a);
        arena_init(&a, memory, bytes - ARENA_ALIGN - 1);
        b = NULL;
        assert_int_equal(vit_batch_new(&c, modes[i % 3], 20, pool, &a, &b), STATUS_NO_MEMORY);
        assert_null(b);
        assert_int_equal(a.used, 0);
        arena_fini(&a);
        free(memory);
    }
    pool_fini(pool);
    free(pool_memory);
}

void test_vit_batch_plan_overflow_is_size_max(void **state)
{
    (void)state;
    struct vit_config c = {
        1024, 3, 16, 4096, 64, 16, 16384, 10000, 1e-6f, 0.1f, 1, 1, 1, 0, VIT_HEAD_LINEAR, 0, 0};
    assert_int_equal(vit_config_check(&c, NULL), STATUS_OK);
    assert_true(vit_batch_plan(&c, VIT_TRAIN_FULL, UINT32_MAX, 64) > (size_t)1 << 50);
    assert_true(vit_weights_floats(&c) < SIZE_MAX);
}

void test_vit_batch_new_refuses_bad_configs_and_empty_batches(void **state)
{
    (void)state;
    struct vit_fixture x;
    struct vit_config c = vit_fixture_tiny();
    vit_fixture_init(&x, &c, VIT_INFER, 2, 1);
    struct vit_batch *b = NULL;
    assert_int_equal(vit_batch_new(&c, VIT_INFER, 0, x.pool, &x.arena, &b),
                     STATUS_INVALID_ARGUMENT);
    c.heads = 3;
    assert_int_equal(vit_batch_new(&c, VIT_INFER, 2, x.pool, &x.arena, &b),
                     STATUS_INVALID_ARGUMENT);
    assert_null(b);
    vit_fixture_fini(&x);
}
