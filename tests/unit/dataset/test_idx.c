/* IDX pairs: found by file, folder and prefix, plain and gzip; lying and damaged files. */
#include "tests/support/test.h"

#include "client/dataset/dataset.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { COUNT = 5, HEIGHT = 4, WIDTH = 3 };

static char folder[256];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(folder);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t put_u32_big(uint8_t *to, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(x >> (24 - 8 * i));
    return 4;
}

/* Images 0, 1, 2, ... as bytes; the header may lie about their number. */
static size_t make_images(uint8_t *out, uint32_t claimed)
{
    size_t n = put_u32_big(out, 0x00000803);
    n += put_u32_big(out + n, claimed);
    n += put_u32_big(out + n, HEIGHT);
    n += put_u32_big(out + n, WIDTH);
    for (uint8_t i = 0; i < COUNT * HEIGHT * WIDTH; i++)
        out[n++] = i;
    return n;
}

static size_t make_labels(uint8_t *out, uint32_t claimed)
{
    static const uint8_t labels[COUNT] = {3, 0, 9, 1, 3};
    size_t n = put_u32_big(out, 0x00000801);
    n += put_u32_big(out + n, claimed);
    memcpy(out + n, labels, COUNT);
    return n + COUNT;
}

static void write_plain(const char *name, const uint8_t *bytes, size_t n)
{
    assert_int_equal(sysio_write_file(path_of(name), bytes, n, NULL), STATUS_OK);
}

static void write_gzip(const char *name, const uint8_t *bytes, size_t n)
{
    gzFile z = gzopen(path_of(name), "wb");
    assert_non_null(z);
    assert_int_equal(gzwrite(z, bytes, (unsigned)n), n);
    assert_int_equal(gzclose(z), Z_OK);
}

static void check_set(const char *path, const struct dataset_options *o)
{
    static const int32_t labels[COUNT] = {3, 0, 9, 1, 3};
    struct dataset *d = NULL;
    struct fault f = {0};
    if (dataset_open(path, o, &d, &f) != STATUS_OK)
        fail_msg("%s: %s: %s", path, f.field, f.text);
    const struct dataset_shape s = dataset_shape(d);
    assert_true(s.n == COUNT && s.height == HEIGHT && s.width == WIDTH && s.channels == 1);
    for (uint8_t i = 0; i < COUNT * HEIGHT * WIDTH; i++)
        assert_int_equal(dataset_image(d, 0)[i], i);
    assert_memory_equal(dataset_labels(d), labels, sizeof labels);
    assert_int_equal(dataset_classes(d), 10);
    assert_string_equal(dataset_class_name(d, 9), "9");
    dataset_free(d);
}

void test_idx_is_found_by_folder_file_and_prefix(void **state)
{
    (void)state;
    uint8_t images[256], labels[64];
    const size_t n = make_images(images, COUNT), m = make_labels(labels, COUNT);
    const struct dataset_options test = {.split = DATASET_TEST};
    write_plain("train-images-idx3-ubyte", images, n);
    write_plain("train-labels-idx1-ubyte", labels, m);
    write_gzip("t10k-images-idx3-ubyte.gz", images, n);
    write_gzip("t10k-labels-idx1-ubyte.gz", labels, m);
    write_plain("own-images.idx3-ubyte", images, n);
    write_gzip("own-labels.idx1-ubyte.gz", labels, m);
    check_set(folder, NULL);
    check_set(folder, &test);
    assert_true(dataset_has_test(folder));
    assert_false(dataset_has_test(path_of("train")));
    assert_false(dataset_has_test(path_of("none")));
    check_set(path_of("train-images-idx3-ubyte"), NULL);
    check_set(path_of("train"), NULL);
    check_set(path_of("t10k-images-idx3-ubyte.gz"), NULL);
    check_set(path_of("t10k"), NULL);
    check_set(path_of("own"), NULL);
    char own[400];
    (void)snprintf(own, sizeof own, "%s", path_of("own-labels.idx1-ubyte.gz"));
    const struct dataset_options explicit_labels = {.labels_path = own};
    check_set(path_of("train-images-idx3-ubyte"), &explicit_labels);
}

/* Opens this pair; must fail with the status and say which part is wrong. */
static void expect_error(
    const uint8_t *images, size_t n_images, const uint8_t *labels, size_t n_labels, enum status st)
{
    struct dataset *d = NULL;
    struct fault f = {0};
    write_plain("bad-images-idx3-ubyte", images, n_images);
    write_plain("bad-labels-idx1-ubyte", labels, n_labels);
    assert_int_equal(dataset_open(path_of("bad"), NULL, &d, &f), st);
    assert_null(d);
    assert_true(f.field[0] != '\0' && f.text[0] != '\0');
}

void test_idx_lying_headers_are_refused(void **state)
{
    (void)state;
    uint8_t images[256], labels[64];
    const size_t n = make_images(images, COUNT), m = make_labels(labels, COUNT);
    uint8_t bad[256];
    for (uint32_t claimed = 0; claimed < COUNT + 3; claimed++)
        if (claimed != COUNT) {
            expect_error(bad, make_images(bad, claimed), labels, m,
                         claimed == 0 ? STATUS_INVALID_ARGUMENT : STATUS_BAD_FORMAT);
            expect_error(images, n, bad, make_labels(bad, claimed), STATUS_INVALID_ARGUMENT);
        }
    /* Sizes whose product is beyond any memory must fail before memory is asked for. */
    memcpy(bad, images, n);
    memset(bad + 4, 0xff, 12);
    expect_error(bad, n, labels, m, STATUS_BAD_FORMAT);
    (void)put_u32_big(bad + 4, 1u << 24);
    (void)put_u32_big(bad + 8, 4096);
    (void)put_u32_big(bad + 12, 4096);
    expect_error(bad, n, labels, m, STATUS_BAD_FORMAT);
    static const uint32_t magics[] = {0x00000801, 0x00000903, 0x00010803,
                                      0x00000800, 0x00000805, 0xffffffff};
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        memcpy(bad, images, n);
        (void)put_u32_big(bad, magics[i]);
        expect_error(bad, n, labels, m, STATUS_BAD_FORMAT);
    }
    expect_error(images, n, images, n, STATUS_BAD_FORMAT);
    memcpy(bad, images, n);
    (void)put_u32_big(bad + 8, 0);
    expect_error(bad, n, labels, m, STATUS_INVALID_ARGUMENT);
}

void test_idx_every_truncation_is_refused(void **state)
{
    (void)state;
    uint8_t images[256], labels[64], packed[512];
    const size_t n = make_images(images, COUNT), m = make_labels(labels, COUNT);
    struct dataset *d = NULL;
    for (size_t cut = 0; cut < n; cut++)
        expect_error(images, cut, labels, m, STATUS_BAD_FORMAT);
    for (size_t cut = 0; cut < m; cut++)
        expect_error(images, n, labels, cut, STATUS_BAD_FORMAT);
    write_gzip("cut-images-idx3-ubyte", images, n);
    write_plain("cut-labels-idx1-ubyte", labels, m);
    unsigned char *whole = NULL;
    size_t size = 0;
    int survived = 0;
    assert_int_equal(
        sysio_read_file(path_of("cut-images-idx3-ubyte"), sizeof packed, &whole, &size, NULL),
        STATUS_OK);
    for (size_t cut = 0; cut < size; cut++) {
        write_plain("cut-images-idx3-ubyte", whole, cut);
        assert_int_equal(dataset_open(path_of("cut"), NULL, &d, NULL), STATUS_BAD_FORMAT);
    }
    for (size_t at = 12; at < size; at++) { /* damage behind the gzip header */
        memcpy(packed, whole, size);
        packed[at] ^= 0x10;
        write_plain("cut-images-idx3-ubyte", packed, size);
        /* Some bits of the deflate stream carry nothing; then the pixels are as they were. */
        if (dataset_open(path_of("cut"), NULL, &d, NULL) == STATUS_OK) {
            assert_memory_equal(dataset_image(d, 0), images + n - COUNT * HEIGHT * WIDTH,
                                COUNT * HEIGHT * WIDTH);
            dataset_free(d);
            survived++;
        }
    }
    assert_true(survived < 3);
    sysio_free(whole);
}

void test_idx_limits_and_missing_files(void **state)
{
    (void)state;
    const struct dataset_options small = {.max_bytes = COUNT * HEIGHT * WIDTH - 1};
    struct dataset *d = NULL;
    struct fault f = {0};
    uint8_t images[256];
    write_plain("alone-images-idx3-ubyte", images, make_images(images, COUNT));
    assert_int_equal(dataset_open(path_of("alone"), &small, &d, NULL), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(dataset_open(path_of("alone"), NULL, &d, NULL), STATUS_OK);
    assert_null(dataset_labels(d));
    dataset_free(d);
    d = NULL;
    assert_int_equal(dataset_open(path_of("nothing"), NULL, &d, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "path");
    write_plain("note.txt", images, 10);
    assert_int_equal(dataset_open(path_of("note.txt"), NULL, &d, NULL), STATUS_BAD_FORMAT);
}
