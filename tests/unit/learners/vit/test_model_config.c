/* config.json and preprocessor_config.json: what is understood, refused and written. */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "learners/vit/model_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HF_SIZES                                                                                   \
    "\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,"                        \
    "\"intermediate_size\":48,\"image_size\":28,\"patch_size\":7,\"num_channels\":1"
#define HF_LABELS "\"id2label\":{\"0\":\"no\",\"1\":\"yes\"}"
#define HF_PLAIN  "{" HF_SIZES "," HF_LABELS "}"

/* Labels stay in this memory until the next call. */
static unsigned char arena_memory[1 << 19];

static enum status
parse(const char *config, const char *prep, struct model_config *ret_config, struct fault *f)
{
    struct arena arena;
    assert_true(model_config_plan(strlen(config)) <= sizeof arena_memory);
    arena_init(&arena, arena_memory, sizeof arena_memory);
    const enum status st = model_config_parse(config, strlen(config), prep, prep ? strlen(prep) : 0,
                                              &arena, ret_config, f);
    arena_fini(&arena);
    return st;
}

static struct model_config parse_ok(const char *config, const char *prep)
{
    struct model_config c;
    struct fault f = {0};
    memset(&c, 0, sizeof c);
    if (parse(config, prep, &c, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return c;
}

void test_model_config_hugging_face_defaults(void **state)
{
    (void)state;
    const struct model_config c = parse_ok(HF_PLAIN, NULL);
    assert_true(c.vit.width == 32 && c.vit.depth == 2 && c.vit.heads == 4 && c.vit.hidden == 48);
    assert_true(c.vit.image_size == 28 && c.vit.patch_size == 7 && c.vit.channels == 1);
    assert_true(c.vit.classes == 2 && c.vit.qkv_bias && c.vit.head_bias && c.vit.class_position);
    assert_true(!c.vit.patch_channels_last && c.vit.head == VIT_HEAD_LINEAR);
    assert_near(c.vit.attention_scale, 1 / sqrt(8), 1e-7);
    assert_near(c.vit.ln_eps, 1e-12, 1e-18);
    assert_string_equal(c.labels[0], "no");
    assert_string_equal(c.labels[1], "yes");
    assert_true(c.prep.resize == 28 && !c.prep.keep_aspect && c.prep.resample == 2);
    assert_near(c.prep.rescale, 1.0 / 255, 1e-9);
    float scale[3], shift[3];
    preprocessing_affine(&c.prep, scale, shift);
    assert_near(scale[0] * 255 + shift[0], 1, 1e-6);
    assert_near(shift[0], -1, 0);
}

void test_model_config_own_keys(void **state)
{
    (void)state;
    const struct model_config c =
        parse_ok("{" HF_SIZES "," HF_LABELS
                 ",\"attention_scale\":\"model\",\"head\":\"cosine\",\"head_scale\":30,"
                 "\"head_margin\":0.2,\"class_position\":false,\"patch_channels_last\":true,"
                 "\"qkv_bias\":false,\"layer_norm_eps\":1e-5}",
                 NULL);
    assert_near(c.vit.attention_scale, 1 / sqrt(32), 1e-7);
    assert_true(c.vit.head == VIT_HEAD_COSINE && !c.vit.head_bias && !c.vit.class_position);
    assert_true(c.vit.patch_channels_last && !c.vit.qkv_bias);
    assert_near(c.vit.head_scale, 30, 0);
    assert_near(c.vit.head_margin, 0.2, 1e-8);
}

void test_model_config_preprocessor(void **state)
{
    (void)state;
    const struct model_config c = parse_ok(
        HF_PLAIN, "{\"size\":{\"shortest_edge\":32},\"do_center_crop\":true,\"crop_size\":28,"
                  "\"resample\":3,\"rescale_factor\":0.5,\"image_mean\":[0.25],\"image_std\":[2]}");
    assert_true(c.prep.resize == 32 && c.prep.keep_aspect && c.prep.resample == 3);
    assert_near(c.prep.rescale, 0.5, 0);
    float scale[3], shift[3];
    preprocessing_affine(&c.prep, scale, shift);
    assert_near(scale[0], 0.25, 0);
    assert_near(shift[0], -0.125, 0);
    const struct model_config raw =
        parse_ok(HF_PLAIN, "{\"do_rescale\":false,\"do_normalize\":false,\"size\":28}");
    preprocessing_affine(&raw.prep, scale, shift);
    assert_true(scale[0] == 1 && shift[0] == 0);
}

void test_model_config_timm(void **state)
{
    (void)state;
    const struct model_config c =
        parse_ok("{\"architecture\":\"vit_base_patch16_224.augreg_in21k\",\"num_classes\":3,"
                 "\"global_pool\":\"token\",\"pretrained_cfg\":{\"input_size\":[3,224,224],"
                 "\"crop_pct\":0.9,\"interpolation\":\"bicubic\",\"mean\":[0.5,0.5,0.5],"
                 "\"std\":[0.5,0.5,0.25]}}",
                 NULL);
    assert_true(c.vit.width == 768 && c.vit.depth == 12 && c.vit.heads == 12);
    assert_true(c.vit.hidden == 3072 && c.vit.patch_size == 16 && c.vit.image_size == 224);
    assert_true(c.vit.channels == 3 && c.vit.classes == 3 && c.prep.resize == 248);
    assert_true(c.prep.keep_aspect && c.prep.resample == 3);
    assert_near(c.vit.ln_eps, 1e-6, 1e-12);
    assert_string_equal(c.labels[2], "class_2");
    const struct model_config d =
        parse_ok("{\"architecture\":\"deit_tiny_patch16_224\",\"label_names\":[\"a\",\"b\"],"
                 "\"crop_pct\":0.875,\"model_args\":{\"img_size\":32,\"patch_size\":[8,8],"
                 "\"no_embed_class\":true,\"qkv_bias\":false}}",
                 NULL);
    assert_true(d.vit.width == 192 && d.vit.image_size == 32 && d.vit.patch_size == 8);
    assert_true(!d.vit.class_position && !d.vit.qkv_bias && d.vit.classes == 2);
    assert_int_equal(d.prep.resize, 36);
    static const struct {
        const char *name;
        uint32_t width, depth, heads;
    } sizes[] = {{"vit_tiny_patch16_224", 192, 12, 3},
                 {"vit_small_patch32_384", 384, 12, 6},
                 {"vit_base_patch8_224", 768, 12, 12},
                 {"vit_large_patch14_224", 1024, 24, 16}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "{\"architecture\":\"%s\",\"num_classes\":2}",
                       sizes[i].name);
        const struct model_config x = parse_ok(text, NULL);
        assert_true(x.vit.width == sizes[i].width && x.vit.depth == sizes[i].depth &&
                    x.vit.heads == sizes[i].heads && x.vit.hidden == 4 * sizes[i].width);
    }
}

struct bad_config {
    const char *config, *prep, *field;
};

static const struct bad_config bad_configs[] = {
    {"", NULL, "config.json"},
    {"[]", NULL, "config.json"},
    {"{\"a\":1,\"a\":2}", NULL, "config.json"},
    {HF_PLAIN, "7", "preprocessor_config.json"},
    {"{" HF_SIZES "}", NULL, "id2label"},
    {"{" HF_SIZES ",\"id2label\":{\"0\":\"a\",\"2\":\"b\"}}", NULL, "id2label"},
    {"{" HF_SIZES ",\"id2label\":{\"0\":\"a\",\"1\":\"a\"}}", NULL, "id2label"},
    {"{" HF_SIZES ",\"id2label\":{\"0\":\"\"}}", NULL, "id2label"},
    {"{" HF_SIZES ",\"id2label\":{\"0\":7}}", NULL, "id2label"},
    {"{" HF_SIZES ",\"id2label\":\"a\"}", NULL, "id2label"},
    {"{" HF_SIZES "," HF_LABELS ",\"num_labels\":3}", NULL, "id2label"},
    {"{" HF_SIZES ",\"num_labels\":0}", NULL, "num_labels"},
    {"{" HF_SIZES ",\"num_labels\":10001}", NULL, "num_labels"},
    {"{" HF_SIZES "," HF_LABELS ",\"hidden_act\":\"relu\"}", NULL, "hidden_act"},
    {"{" HF_SIZES "," HF_LABELS ",\"model_type\":\"swin\"}", NULL, "model_type"},
    {"{" HF_SIZES "," HF_LABELS ",\"qkv_bias\":1}", NULL, "qkv_bias"},
    {"{" HF_SIZES "," HF_LABELS ",\"layer_norm_eps\":\"x\"}", NULL, "layer_norm_eps"},
    {"{" HF_SIZES "," HF_LABELS ",\"head\":\"softmax\"}", NULL, "head"},
    {"{" HF_SIZES "," HF_LABELS ",\"head\":\"cosine\",\"head_bias\":true}", NULL, "head_bias"},
    {"{" HF_SIZES "," HF_LABELS ",\"attention_scale\":8}", NULL, "attention_scale"},
    {"{\"num_attention_heads\":0," HF_LABELS "}", NULL, "num_attention_heads"},
    {"{\"hidden_size\":-1," HF_LABELS "}", NULL, "hidden_size"},
    {"{\"hidden_size\":1e3," HF_LABELS "}", NULL, "hidden_size"},
    {"{\"image_size\":[28,32]," HF_LABELS "}", NULL, "image_size"},
    {"{\"image_size\":[28]," HF_LABELS "}", NULL, "image_size"},
    {HF_PLAIN, "{\"resample\":6}", "resample"},
    {HF_PLAIN, "{\"image_mean\":[0.5,0.5,0.5]}", "image_mean"},
    {HF_PLAIN, "{\"image_std\":[0]}", "image_std"},
    {HF_PLAIN, "{\"image_std\":[\"1\"]}", "image_std"},
    {HF_PLAIN, "{\"size\":32}", "size"},
    {HF_PLAIN, "{\"size\":{\"height\":28,\"width\":32}}", "size"},
    {HF_PLAIN, "{\"size\":{\"shortest_edge\":28}}", "size"},
    {HF_PLAIN, "{\"size\":16,\"do_center_crop\":true}", "size"},
    {HF_PLAIN, "{\"do_center_crop\":true,\"crop_size\":27}", "crop_size"},
    {"{\"architecture\":\"resnet50\",\"num_classes\":2}", NULL, "architecture"},
    {"{\"architecture\":\"vit_base_patch16_clip_224\",\"num_classes\":2}", NULL, "architecture"},
    {"{\"architecture\":\"vit_base_patch16\",\"num_classes\":2}", NULL, "architecture"},
    {"{\"architecture\":\"vit_base_patch16_224\"}", NULL, "id2label"},
    {"{\"architecture\":\"vit_base_patch16_224\",\"num_classes\":2,\"global_pool\":\"avg\"}", NULL,
     "global_pool"},
    {"{\"architecture\":\"vit_base_patch16_224\",\"num_classes\":2,\"model_args\":{\"init_values\":"
     "1e-5}}",
     NULL, "model_args"},
    {"{\"architecture\":\"vit_base_patch16_224\",\"num_classes\":2,\"crop_pct\":0}", NULL,
     "crop_pct"},
    {"{\"architecture\":\"vit_base_patch16_224\",\"num_classes\":2,\"interpolation\":\"x\"}", NULL,
     "interpolation"},
};

void test_model_config_names_the_key_at_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_configs / sizeof *bad_configs; i++) {
        const struct bad_config *b = &bad_configs[i];
        struct model_config c;
        struct fault f = {0};
        const enum status st = parse(b->config, b->prep, &c, &f);
        if (st == STATUS_OK || strcmp(f.field, b->field) != 0)
            fail_msg("%s / %s: status %d, field %s, text %s", b->config, b->prep ? b->prep : "-",
                     st, f.field, f.text);
    }
}

/* Sizes that do not fit each other are refused by the engine's own check. */
void test_model_config_checks_the_sizes(void **state)
{
    (void)state;
    struct model_config c;
    assert_int_equal(parse("{\"patch_size\":15," HF_LABELS "}", NULL, &c, NULL),
                     STATUS_INVALID_ARGUMENT);
    assert_int_equal(parse("{\"num_attention_heads\":5," HF_LABELS "}", NULL, &c, NULL),
                     STATUS_INVALID_ARGUMENT);
    assert_int_equal(parse("{\"num_hidden_layers\":100000," HF_LABELS "}", NULL, &c, NULL),
                     STATUS_INVALID_ARGUMENT);
}

void test_model_config_written_files_read_back(void **state)
{
    (void)state;
    static const char *const configs[] = {
        HF_PLAIN,
        "{" HF_SIZES "," HF_LABELS
        ",\"attention_scale\":\"model\",\"head\":\"cosine\",\"class_position\":false,"
        "\"qkv_bias\":false,\"layer_norm_eps\":1e-5}",
        "{\"architecture\":\"vit_tiny_patch16_224\",\"num_classes\":3}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        const struct model_config a = parse_ok(configs[i], NULL);
        char config[4096], prep[2048];
        const size_t n = model_config_write(&a, NULL, 0);
        const size_t m = model_config_write_preprocessor(&a, NULL, 0);
        assert_true(n > 0 && n < sizeof config && m > 0 && m < sizeof prep);
        assert_int_equal(model_config_write(&a, config, n), n);
        assert_int_equal(model_config_write_preprocessor(&a, prep, m), m);
        config[n] = prep[m] = '\0';
        const struct model_config b = parse_ok(config, prep);
        assert_memory_equal(&a.prep, &b.prep, sizeof a.prep);
        assert_memory_equal(&a.vit, &b.vit, sizeof a.vit);
    }
}

static int written_has(const struct model_config *c, const char *text)
{
    char config[4096], prep[2048];
    const size_t n = model_config_write(c, config, sizeof config - 1);
    const size_t m = model_config_write_preprocessor(c, prep, sizeof prep - 1);
    assert_true(n < sizeof config && m < sizeof prep);
    config[n] = prep[m] = '\0';
    return strstr(config, text) || strstr(prep, text);
}

/* Numbers are written as a person would: the shortest decimal that gives the float back. */
void test_model_config_writes_the_shortest_decimals(void **state)
{
    (void)state;
    struct model_config c = parse_ok(HF_PLAIN, NULL);
    c.vit.ln_eps = 1e-6f;
    c.vit.head_margin = 0.35f;
    c.vit.head_scale = 64;
    c.prep.mean[0] = 0.1307f;
    c.prep.std[0] = 0.3081f;
    assert_true(written_has(&c, "\"layer_norm_eps\": 1e-6,"));
    assert_true(written_has(&c, "\"head_margin\": 0.35,"));
    assert_true(written_has(&c, "\"head_scale\": 64.0,"));
    assert_true(written_has(&c, "0.1307"));
    assert_true(written_has(&c, "0.3081"));
    assert_false(written_has(&c, "99999") || written_has(&c, "00001"));
}

/* Whatever the float, it is read back exactly. */
void test_model_config_written_floats_read_back(void **state)
{
    (void)state;
    static const float cases[] = {1e-6f,          1e-12f,        1e-5f,     0.1f,       1.0f / 3,
                                  0.349999994f,   16777216.0f,   1.000001f, 0.9999999f, 123456.789f,
                                  1.1754944e-38f, 3.4028235e38f, 2.5e-20f,  7.0e20f};
    struct model_config c = parse_ok(HF_PLAIN, NULL);
    uint32_t bits = 12345;
    for (uint32_t i = 0; i < 3000; i++) {
        char config[4096];
        bits = bits * 1664525u + 1013904223u;
        const uint32_t finite = bits & 0x7effffffu;
        memcpy(&c.vit.head_scale, &finite, sizeof finite);
        if (i < sizeof cases / sizeof *cases)
            c.vit.head_scale = cases[i];
        if (!isnormal(c.vit.head_scale))
            continue;
        const size_t n = model_config_write(&c, config, sizeof config - 1);
        config[n] = '\0';
        const char *at = strstr(config, "\"head_scale\": ");
        assert_non_null(at);
        assert_true((float)strtod(at + 14, NULL) == c.vit.head_scale);
    }
}

void test_model_config_every_truncation_is_refused(void **state)
{
    (void)state;
    const char *text = HF_PLAIN;
    for (size_t n = 0; n < strlen(text); n++) {
        char cut[512] = {0};
        struct model_config c;
        memcpy(cut, text, n);
        assert_int_not_equal(parse(cut, NULL, &c, NULL), STATUS_OK);
    }
}
