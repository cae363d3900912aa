/*
 * NumPy files: those that NumPy wrote (tests/parity/make_numpy_fixtures.py), hostile headers, every
 * truncation, random damage.
 */
#include "tests/support/test.h"

#include "client/dataset/dataset.h"
#include "client/dataset/npy_array.h"
#include "client/dataset/zip.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/parity/dataset/numpy/"

static struct dataset *open_ok(const char *path, const struct dataset_options *o)
{
    struct dataset *d = NULL;
    struct fault f = {0};
    if (dataset_open(path, o, &d, &f) != STATUS_OK)
        fail_msg("%s: %s: %s", path, f.field, f.text);
    return d;
}

static void check_grey(const struct dataset *d, uint32_t n)
{
    const struct dataset_shape s = dataset_shape(d);
    assert_true(s.n == n && s.height == 3 && s.width == 5 && s.channels == 1);
    for (uint32_t i = 0; i < n * 15; i++)
        assert_int_equal(dataset_image(d, 0)[i], i % 251);
}

static void check_labels(const struct dataset *d, uint32_t n, uint32_t classes)
{
    static const int32_t expected[] = {2, 0, 1, 2};
    assert_memory_equal(dataset_labels(d), expected, n * sizeof *expected);
    assert_int_equal(dataset_classes(d), classes);
    assert_string_equal(dataset_class_name(d, classes - 1), "2");
}

void test_npy_reads_what_numpy_wrote(void **state)
{
    (void)state;
    struct dataset_options o = {.labels_path = FIXTURES "labels.npy"};
    struct dataset *d = open_ok(FIXTURES "grey.npy", &o);
    check_grey(d, 4);
    check_labels(d, 4, 3);
    dataset_free(d);
    o.labels_path = FIXTURES "labels32.npy";
    d = open_ok(FIXTURES "grey.npy", &o);
    check_labels(d, 4, 3);
    dataset_free(d);
    o.labels_path = FIXTURES "hot.npy";
    d = open_ok(FIXTURES "grey.npy", &o);
    static const uint8_t hot[12] = {1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1};
    assert_memory_equal(dataset_multi_hot(d), hot, sizeof hot);
    assert_null(dataset_labels(d));
    assert_int_equal(dataset_classes(d), 3);
    dataset_free(d);
    d = open_ok(FIXTURES "rgb.npy", NULL);
    assert_true(dataset_shape(d).channels == 3 && dataset_image(d, 1)[17] == 35 * 7 % 256);
    assert_true(!dataset_labels(d) && !dataset_multi_hot(d));
    dataset_free(d);
    d = open_ok(FIXTURES "tensor.npy", NULL);
    assert_true(dataset_shape(d).channels == 3 && dataset_shape(d).height == 4);
    assert_null(dataset_image(d, 0));
    assert_true(dataset_tensor(d)[47] == 47.0f / 8 - 1);
    dataset_free(d);
}

void test_npz_reads_what_numpy_wrote(void **state)
{
    (void)state;
    struct dataset *d = open_ok(FIXTURES "stored.npz", NULL);
    check_grey(d, 4);
    check_labels(d, 4, 3);
    dataset_free(d);
    d = open_ok(FIXTURES "deflated.npz", NULL);
    check_grey(d, 4);
    assert_true(dataset_multi_hot(d) && dataset_multi_hot(d)[11] == 1);
    dataset_free(d);
    struct dataset_options o = {.split = DATASET_TRAIN};
    d = open_ok(FIXTURES "split.npz", &o);
    check_labels(d, 4, 3);
    dataset_free(d);
    o.split = DATASET_TEST;
    d = open_ok(FIXTURES "split.npz", &o);
    check_grey(d, 2);
    dataset_free(d);
    assert_true(dataset_has_test(FIXTURES "split.npz"));
    assert_false(dataset_has_test(FIXTURES "stored.npz"));
    assert_false(dataset_has_test(FIXTURES "grey.npy"));
    assert_false(dataset_has_test(FIXTURES "none.npz"));
}

static void expect_error(const char *path, const struct dataset_options *o, enum status st)
{
    struct dataset *d = NULL;
    struct fault f = {0};
    assert_int_equal(dataset_open(path, o, &d, &f), st);
    assert_null(d);
    assert_true(f.text[0] != '\0' && f.field[0] != '\0');
}

void test_npy_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct dataset_options o = {.labels_path = FIXTURES "labels.npy"};
    expect_error(FIXTURES "fortran.npy", NULL, STATUS_BAD_FORMAT);
    expect_error(FIXTURES "big.npy", NULL, STATUS_BAD_FORMAT);
    expect_error(FIXTURES "labels.npy", NULL, STATUS_INVALID_ARGUMENT);
    expect_error(FIXTURES "rgb.npy", &o, STATUS_INVALID_ARGUMENT);
    expect_error(FIXTURES "tensor.npy", &o, STATUS_INVALID_ARGUMENT);
    o.labels_path = FIXTURES "tensor.npy";
    expect_error(FIXTURES "grey.npy", &o, STATUS_INVALID_ARGUMENT);
    const struct dataset_options small = {.max_bytes = 59};
    expect_error(FIXTURES "grey.npy", &small, STATUS_RESOURCE_EXHAUSTED);
}

/* A .npy of version 1 with this dictionary and `data` bytes of data. */
static size_t make_npy(const char *text, size_t data, uint8_t out[512])
{
    const size_t n = strlen(text);
    static const uint8_t start[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    memcpy(out, start, 8);
    out[8] = (uint8_t)n;
    out[9] = (uint8_t)(n >> 8);
    memcpy(out + 10, text, n);
    memset(out + 10 + n, 7, data);
    return 10 + n + data;
}

void test_npy_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t data;
        int good;
    } cases[] = {
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n", 6, 1},
        {"{\"shape\":(2,3),\"descr\":\"|u1\",\"fortran_order\":False}", 6, 1},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,), }", 6, 1},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 1, 1},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9), }", 0, 1},
        {"", 6, 0},
        {"{}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (6,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': 0, 'shape': (6,)}", 6, 0},
        {"{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'x': 1}", 6, 0},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6,)}", 6, 0},
        {"{'descr': '>i4', 'fortran_order': False, 'shape': (6,)}", 24, 0},
        {"{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (6,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': 6}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6.0,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (7,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (5,)}", 6, 0},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,6)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 0, 0},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (2305843009213693952,)}", 0, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,)} x", 6, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,)", 6, 0},
        {"{'descr': '|u1", 6, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t file[512];
        struct npy_array a;
        const size_t n = make_npy(cases[i].text, cases[i].data, file);
        const enum status st = npy_array_parse(file, n, "images", &a, NULL);
        if ((st == STATUS_OK) != cases[i].good)
            fail_msg("%s: status %d", cases[i].text, st);
        if (st == STATUS_OK)
            assert_int_equal(a.count, cases[i].data);
    }
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    assert_int_equal(sysio_write_file(path, bytes, n, NULL), STATUS_OK);
}

void test_npy_float_image_must_be_finite(void **state)
{
    (void)state;
    char folder[256], path[300];
    uint8_t file[512];
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/x.npy", folder);
    const float bad[2] = {NAN, -INFINITY};
    for (int i = 0; i < 2; i++) {
        const size_t n =
            make_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2)}", 16, file);
        memset(file + n - 16, 0, 16);
        memcpy(file + n - 4, &bad[i], 4);
        write_file(path, file, n);
        struct dataset *d = NULL;
        struct fault f = {0};
        assert_int_equal(dataset_open(path, NULL, &d, &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, "images");
        assert_non_null(strstr(f.text, "3 is not a finite"));
    }
    test_support_rmdir(folder);
}

/* Every truncation of an archive fails; random damage fails or is harmless. */
void test_npz_damage_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {FIXTURES "stored.npz", FIXTURES "deflated.npz"};
    const struct rng_root root = {.seed = 4};
    for (size_t k = 0; k < 2; k++) {
        unsigned char *file = NULL;
        uint8_t *member = NULL;
        size_t n = 0, size = 0;
        struct rng r;
        rng_init(&r, &root, names[k], 0);
        assert_int_equal(sysio_read_file(names[k], 1 << 16, &file, &n, NULL), STATUS_OK);
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *copy = malloc(cut + (cut == 0));
            assert_non_null(copy);
            memcpy(copy, file, cut);
            assert_int_not_equal(zip_extract(copy, cut, "images.npy", 4096, &member, &size, NULL),
                                 STATUS_OK);
            free(copy);
        }
        assert_int_equal(zip_extract(file, n, "images.npy", 16, &member, &size, NULL),
                         STATUS_RESOURCE_EXHAUSTED);
        assert_int_equal(zip_extract(file, n, "image.npy", 4096, &member, &size, NULL),
                         STATUS_NOT_FOUND);
        for (int i = 0; i < 20000; i++) {
            uint8_t *copy = malloc(n);
            assert_non_null(copy);
            memcpy(copy, file, n);
            copy[rng_below(&r, n)] = (uint8_t)rng_below(&r, 256);
            copy[rng_below(&r, n)] = (uint8_t)rng_below(&r, 256);
            if (zip_extract(copy, n, "images.npy", 4096, &member, &size, NULL) == STATUS_OK) {
                struct npy_array a;
                assert_int_equal(npy_array_parse(member, size, "images", &a, NULL), STATUS_OK);
                assert_int_equal(a.count, 60); /* the checksum held */
                sysio_free(member);
            }
            free(copy);
        }
        sysio_free(file);
    }
}
