/*
 * Fuzzing of a base model's files: safetensors with its ViT names, and the two configurations.  The
 * ordinary build mutates the headers of the parity fixtures deterministically; compiled with
 * -DLETHE_LIBFUZZER -fsanitize=fuzzer, libFuzzer drives the same entry point.  The first byte
 * chooses the parser.  For any bytes: no read outside them, no more memory than planned, a refusal
 * says why.
 */
#include "tests/support/mutate.h"
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "learners/vit/model_config.h"
#include "learners/vit/vit_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_WEIGHTS, FUZZ_CONFIG, FUZZ_PREPROCESSOR, FUZZ_TARGETS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sizes of tests/parity/vit/hf. */
static const struct vit_config fuzz_vit = {.image_size = 16,
                                           .channels = 1,
                                           .patch_size = 4,
                                           .width = 32,
                                           .depth = 2,
                                           .heads = 2,
                                           .hidden = 48,
                                           .classes = 7,
                                           .ln_eps = 1e-12f,
                                           .attention_scale = 0.25f,
                                           .qkv_bias = 1,
                                           .head_bias = 1,
                                           .class_position = 1,
                                           .head = VIT_HEAD_LINEAR};

static const char fuzz_config[] = "{\"image_size\":16,\"patch_size\":4,\"num_labels\":2}";

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "weights fuzz: %s\n", what);
    abort();
}

static void fuzz_weights(const uint8_t *bytes, size_t n)
{
    const size_t plan = safetensors_plan(bytes, n);
    void *memory = sysio_alloc(1, plan);
    float *block = sysio_alloc(vit_weights_floats(&fuzz_vit), sizeof *block);
    struct arena arena;
    struct safetensors *s = NULL;
    struct fault f = {0};
    require(memory && block, "no memory");
    arena_init(&arena, memory, plan);
    enum status st = safetensors_open(bytes, n, &arena, &s, &f);
    if (st == STATUS_OK)
        st = vit_weights_read(s, &fuzz_vit, block, &f);
    require(st == STATUS_OK || f.text[0], "a refusal without a word");
    require(arena_high_water(&arena) <= plan, "more memory than planned");
    arena_fini(&arena);
    sysio_free(memory);
    sysio_free(block);
}

static void fuzz_json(const char *config, size_t n_config, const char *prep, size_t n_prep)
{
    const size_t plan = model_config_plan(n_config);
    void *memory = sysio_alloc(1, plan);
    struct arena arena;
    struct model_config c;
    struct fault f = {0};
    arena_init(&arena, memory, plan);
    const enum status st = model_config_parse(config, n_config, prep, n_prep, &arena, &c, &f);
    require(st == STATUS_OK || f.text[0], "a refusal without a word");
    require(st != STATUS_RESOURCE_EXHAUSTED, "the plan was too small");
    if (st == STATUS_OK)
        require(c.vit.classes > 0 && c.labels[c.vit.classes - 1][0], "a class without a name");
    arena_fini(&arena);
    sysio_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const size_t n = size - 1;
    uint8_t *copy = malloc(n > 0 ? n : 1); /* exactly, for the sanitizers */
    require(copy != NULL, "no memory");
    memcpy(copy, data + 1, n);
    switch (data[0] % FUZZ_TARGETS) {
    case FUZZ_WEIGHTS:
        fuzz_weights(copy, n);
        break;
    case FUZZ_CONFIG:
        fuzz_json((const char *)copy, n, NULL, 0);
        break;
    default:
        fuzz_json(fuzz_config, sizeof fuzz_config - 1, (const char *)copy, n);
        break;
    }
    free(copy);
    return 0;
}

#ifndef LETHE_LIBFUZZER

/* Bytes of the first `head` become other digits, signs of JSON, or anything.  The parser's number
 * stands before the file and stays. */
static void
mutate_file(int target, const uint8_t *seed, size_t n, size_t head, unsigned rounds, uint64_t index)
{
    if (n == 0 || n > (size_t)1 << 24) {
        fail_msg("the seed file has %zu bytes", n);
        return;
    }
    const struct mutate_plan plan = {.stream = "weights-fuzz",
                                     .index = index,
                                     .rounds = rounds,
                                     .room = n + 1,
                                     .from = 1,
                                     .head = head + 1,
                                     .signs = "0123456789-.eE[]{},:\"\\ntu"};
    uint8_t *input = sysio_alloc(n + 1, 1);
    assert_non_null(input);
    input[0] = (uint8_t)target;
    memcpy(input + 1, seed, n);
    mutate_rounds(input, n + 1, &plan, LLVMFuzzerTestOneInput);
    sysio_free(input);
}

void test_fuzz_weight_file_headers(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t n = 0;
    uint64_t header;
    assert_int_equal(
        sysio_read_file("tests/parity/vit/hf/model.safetensors", 1 << 20, &bytes, &n, NULL),
        STATUS_OK);
    memcpy(&header, bytes, sizeof header);
    mutate_file(FUZZ_WEIGHTS, bytes, n, 8 + (size_t)header, 1500, 0);
    sysio_free(bytes);
}

void test_fuzz_configurations(void **state)
{
    (void)state;
    static const char *const layouts[] = {"timm", "hf", "face"};
    static const char prep[] = "{\"size\":{\"shortest_edge\":20},\"do_center_crop\":true,"
                               "\"crop_size\":{\"height\":16,\"width\":16},\"resample\":3,"
                               "\"image_mean\":[0.5,0.5,0.5],\"image_std\":[1,1,0.25]}";
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char path[128];
        unsigned char *bytes = NULL;
        size_t n = 0;
        (void)snprintf(path, sizeof path, "tests/parity/vit/%s/config.json", layouts[i]);
        assert_int_equal(sysio_read_file(path, 1 << 20, &bytes, &n, NULL), STATUS_OK);
        mutate_file(FUZZ_CONFIG, bytes, n, n, 2000, 1 + i);
        sysio_free(bytes);
    }
    mutate_file(FUZZ_PREPROCESSOR, (const uint8_t *)prep, sizeof prep - 1, sizeof prep - 1, 2000,
                9);
}

#endif
