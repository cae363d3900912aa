/* Model folders: what was written is loaded, bytes and digests are kept, errors name file and
 * field. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"
#include "learners/math/half.h"
#include "proto/seal/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 8, CLASSES = 3 };

static char folder[256];
static const char *labels[CLASSES] = {"one", "two", "three"};

static struct model_config config(void)
{
    return (struct model_config){.vit = {.image_size = 8,
                                         .channels = 1,
                                         .patch_size = 4,
                                         .width = WIDTH,
                                         .depth = 1,
                                         .heads = 2,
                                         .hidden = 16,
                                         .classes = CLASSES,
                                         .ln_eps = 1e-6f,
                                         .attention_scale = 0.5f,
                                         .qkv_bias = 1,
                                         .head_bias = 1,
                                         .class_position = 1,
                                         .head = VIT_HEAD_LINEAR,
                                         .head_scale = 64,
                                         .head_margin = 0.35f},
                                 .prep = {.resize = 8,
                                          .resample = 2,
                                          .rescale = 1.0f / 255,
                                          .mean = {0.5f, 0.5f, 0.5f},
                                          .std = {0.5f, 0.5f, 0.5f}},
                                 .labels = labels};
}

static float *write_sample(int half)
{
    const struct model_config c = config();
    const struct rng_root root = {.seed = 1};
    const size_t n = vit_weights_floats(&c.vit);
    float *block = sysio_alloc(n, sizeof *block);
    float prototypes[CLASSES * WIDTH];
    const int64_t counts[CLASSES] = {4, 0, 9};
    struct rng r;
    rng_init(&r, &root, "weights", 0);
    for (size_t i = 0; i < n; i++)
        block[i] = rng_normal(&r);
    for (size_t i = 0; i < CLASSES * WIDTH; i++)
        prototypes[i] = (float)i;
    test_support_mkdir(folder);
    assert_int_equal(model_write_folder(folder, &c, block, half, prototypes, counts, NULL),
                     STATUS_OK);
    return block;
}

static struct model *load_ok(void)
{
    struct model *m = NULL;
    struct fault f = {0};
    if (model_load_folder(folder, &m, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return m;
}

void test_model_folder_round_trip(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        float *block = write_sample(half);
        struct model *m = load_ok();
        const struct model_config c = config();
        const size_t n = vit_weights_floats(&c.vit);
        for (size_t i = 0; i < n; i++)
            assert_true(m->weights[i] ==
                        (half ? half_to_float(half_from_float(block[i])) : block[i]));
        assert_ptr_equal(m->w.patch_w, m->weights);
        assert_memory_equal(&m->config.vit, &c.vit, sizeof c.vit);
        assert_memory_equal(&m->config.prep, &c.prep, sizeof c.prep);
        assert_string_equal(m->config.labels[1], "two");
        assert_true(m->prototypes[5] == 5 && m->prototype_counts[2] == 9);
        model_free(m);
        sysio_free(block);
        test_support_rmdir(folder);
    }
}

void test_model_from_memory_is_the_model_of_the_folder(void **state)
{
    (void)state;
    sysio_free(write_sample(1));
    struct model *a = load_ok(), *b = NULL;
    assert_int_equal(model_load_memory(a->files, &b, NULL), STATUS_OK);
    assert_true(digest_equal(&a->digest, &b->digest));
    for (int i = 0; i < MODEL_FILES; i++) {
        const struct digest d = seal_hash(a->files[i].bytes, a->files[i].size);
        assert_true(digest_equal(&a->files[i].digest, &d));
        assert_ptr_equal(a->files[i].bytes, b->files[i].bytes);
    }
    struct model_file fewer[MODEL_FILES];
    memcpy(fewer, a->files, sizeof fewer);
    fewer[MODEL_FILE_PROTOTYPES] = (struct model_file){0};
    model_free(b);
    assert_int_equal(model_load_memory(fewer, &b, NULL), STATUS_OK);
    assert_null(b->prototypes);
    assert_false(digest_equal(&a->digest, &b->digest));
    model_free(b);
    model_free(a);
    test_support_rmdir(folder);
}

static void file_path(enum model_file_kind kind, char path[400])
{
    (void)snprintf(path, 400, "%s/%s", folder, model_file_name(kind));
}

void test_model_folder_missing_files(void **state)
{
    (void)state;
    char path[400];
    struct model *m = NULL;
    struct fault f = {0};
    sysio_free(write_sample(1));
    file_path(MODEL_FILE_PROTOTYPES, path);
    assert_int_equal(unlink(path), 0);
    file_path(MODEL_FILE_PREPROCESSOR, path);
    assert_int_equal(unlink(path), 0);
    m = load_ok();
    assert_true(!m->prototypes && digest_is_zero(&m->files[MODEL_FILE_PREPROCESSOR].digest));
    model_free(m);
    m = NULL;
    file_path(MODEL_FILE_CONFIG, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(model_load_folder(folder, &m, &f), STATUS_NOT_FOUND);
    assert_non_null(strstr(f.text, "config.json"));
    assert_int_equal(model_load_folder("/nonexistent", &m, &f), STATUS_NOT_FOUND);
    assert_null(m);
    test_support_rmdir(folder);
}

/* One changed byte in the header region of each file is an error or another digest, never a crash.
 */
void test_model_folder_damage(void **state)
{
    (void)state;
    sysio_free(write_sample(1));
    struct model *good = load_ok();
    for (int kind = 0; kind < MODEL_FILES; kind++) {
        struct model_file files[MODEL_FILES];
        memcpy(files, good->files, sizeof files);
        uint8_t *copy = sysio_alloc(files[kind].size, 1);
        files[kind].bytes = copy;
        size_t refused = 0;
        for (size_t at = 0; at < files[kind].size && at < 400; at++) {
            struct model *m = NULL;
            memcpy(copy, good->files[kind].bytes, files[kind].size);
            copy[at] ^= 0x08;
            if (model_load_memory(files, &m, NULL) == STATUS_OK)
                assert_false(digest_equal(&m->digest, &good->digest));
            else
                refused++;
            model_free(m);
        }
        assert_true(refused > 50);
        sysio_free(copy);
    }
    model_free(good);
    test_support_rmdir(folder);
}

void test_model_folder_survives_every_failed_call(void **state)
{
    (void)state;
    static const enum sysio_call calls[] = {SYSIO_ALLOC, SYSIO_OPEN, SYSIO_READ};
    sysio_free(write_sample(1));
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        struct model *m = NULL;
        enum status st;
        uint64_t n = 1;
        do {
            sysio_fail_at(calls[k], n++, 1, calls[k] == SYSIO_ALLOC ? ENOMEM : EIO);
            st = model_load_folder(folder, &m, NULL);
            sysio_fail_at(calls[k], 0, 0, 0);
            assert_true((st == STATUS_OK) == (m != NULL));
        } while (st != STATUS_OK && n < 1000);
        assert_int_equal(st, STATUS_OK);
        assert_true(n > 4);
        model_free(m);
    }
    test_support_rmdir(folder);
}

void test_model_folder_write_fails_whole(void **state)
{
    (void)state;
    static const enum sysio_call calls[] = {SYSIO_WRITE, SYSIO_FSYNC, SYSIO_RENAME};
    float *block = write_sample(1);
    const struct model_config c = config();
    struct model *before = load_ok();
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        sysio_fail_at(calls[k], 1, 1, ENOSPC);
        assert_int_equal(model_write_folder(folder, &c, block, 0, NULL, NULL, NULL),
                         STATUS_NO_SPACE);
        sysio_fail_at(calls[k], 0, 0, 0);
        struct model *after = load_ok(); /* the old weights, whole */
        assert_true(digest_equal(&before->digest, &after->digest));
        model_free(after);
    }
    model_free(before);
    sysio_free(block);
    test_support_rmdir(folder);
}
