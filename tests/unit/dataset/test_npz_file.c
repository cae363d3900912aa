/* Written archives: read back by the data set reader, the same bytes each time, bad input. */
#include "tests/support/test.h"

#include "client/dataset/dataset.h"
#include "client/dataset/npz_file.h"
#include "client/dataset/zip.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>

static struct npz_member member(const char *name, enum npy_type type, const void *data)
{
    return (struct npz_member){name, {.type = type, .data = data}};
}

static void shape(struct npz_member *m, uint32_t dims, uint64_t a, uint64_t b, uint64_t c)
{
    m->array.dims = dims;
    m->array.shape[0] = a;
    m->array.shape[1] = b;
    m->array.shape[2] = c;
}

static void folder_path(char folder[256], char path[300], const char *name)
{
    test_support_mkdir(folder);
    (void)snprintf(path, 300, "%s/%s", folder, name);
}

void test_npz_file_is_read_back(void **state)
{
    (void)state;
    char folder[256], path[300];
    uint8_t pixels[2 * 3 * 5], hot[2 * 4] = {1, 0, 0, 1, 0, 1, 0, 0};
    struct fault f = {0};
    struct dataset *d = NULL;
    for (uint8_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    struct npz_member m[] = {member("images", NPY_U8, pixels), member("labels", NPY_U8, hot)};
    shape(&m[0], 3, 2, 3, 5);
    shape(&m[1], 2, 2, 4, 0);
    folder_path(folder, path, "x.npz");
    assert_int_equal(npz_file_write(path, m, 2, &f), STATUS_OK);
    if (dataset_open(path, NULL, &d, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    const struct dataset_shape s = dataset_shape(d);
    assert_true(s.n == 2 && s.height == 3 && s.width == 5 && s.channels == 1);
    assert_memory_equal(dataset_image(d, 1), pixels + 15, 15);
    assert_memory_equal(dataset_multi_hot(d), hot, sizeof hot);
    assert_int_equal(dataset_classes(d), 4);
    dataset_free(d);
    test_support_rmdir(folder);
}

void test_npz_file_takes_every_type_and_shape(void **state)
{
    (void)state;
    char folder[256], path[300];
    static const size_t sizes[] = {
        [NPY_BOOL] = 1, [NPY_U8] = 1, [NPY_I32] = 4, [NPY_I64] = 8, [NPY_F32] = 4};
    uint8_t data[8 * 6];
    unsigned char *file = NULL;
    size_t n = 0;
    for (uint8_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(255 - i);
    folder_path(folder, path, "types.npz");
    for (uint32_t type = NPY_BOOL; type <= NPY_F32; type++)
        for (uint32_t dims = 1; dims <= 3; dims++) {
            uint8_t *bytes = NULL;
            size_t size = 0;
            struct npy_array a;
            struct npz_member m = member("x", (enum npy_type)type, data);
            shape(&m, dims, dims == 1 ? 6 : 2, dims == 2 ? 3 : 1, 3);
            assert_int_equal(npz_file_write(path, &m, 1, NULL), STATUS_OK);
            assert_int_equal(sysio_read_file(path, 4096, &file, &n, NULL), STATUS_OK);
            assert_int_equal(zip_extract(file, n, "x.npy", 4096, &bytes, &size, NULL), STATUS_OK);
            assert_int_equal(npy_array_parse(bytes, size, "x", &a, NULL), STATUS_OK);
            assert_int_equal(a.type, type);
            assert_int_equal(a.dims, dims);
            assert_int_equal(a.count, 6);
            assert_memory_equal(a.data, data, 6 * sizes[type]);
            sysio_free(bytes);
            sysio_free(file);
        }
    test_support_rmdir(folder);
}

void test_npz_file_has_the_same_bytes_each_time(void **state)
{
    (void)state;
    char folder[256], path[300];
    const int32_t x[] = {1, 2, 3};
    unsigned char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    struct npz_member m = member("labels", NPY_I32, x);
    shape(&m, 1, 3, 0, 0);
    folder_path(folder, path, "a.npz");
    assert_int_equal(npz_file_write(path, &m, 1, NULL), STATUS_OK);
    assert_int_equal(sysio_read_file(path, 4096, &first, &n_first, NULL), STATUS_OK);
    assert_int_equal(npz_file_write(path, &m, 1, NULL), STATUS_OK);
    assert_int_equal(sysio_read_file(path, 4096, &second, &n_second, NULL), STATUS_OK);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    sysio_free(first);
    sysio_free(second);
    test_support_rmdir(folder);
}

static void expect(const struct npz_member *m, uint32_t n, enum status st)
{
    struct fault f = {0};
    assert_int_equal(npz_file_write("/nowhere/x.npz", m, n, &f), st);
    assert_true(f.text[0] != '\0');
}

void test_npz_file_refuses_what_cannot_be_written(void **state)
{
    (void)state;
    char longer[NPZ_MAX_NAME + 2];
    memset(longer, 'n', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const uint8_t x[4] = {0};
    struct npz_member m[NPZ_MAX_MEMBERS + 1];
    for (uint32_t i = 0; i <= NPZ_MAX_MEMBERS; i++) {
        m[i] = member("x", NPY_U8, x);
        shape(&m[i], 1, 4, 0, 0);
    }
    expect(m, 0, STATUS_INVALID_ARGUMENT);
    expect(m, NPZ_MAX_MEMBERS + 1, STATUS_INVALID_ARGUMENT);
    expect(m, 2, STATUS_INVALID_ARGUMENT); /* two of one name */
    expect(m, 1, STATUS_NOT_FOUND);        /* no such folder */
    m[0].name = "";
    expect(m, 1, STATUS_INVALID_ARGUMENT);
    m[0].name = longer;
    expect(m, 1, STATUS_INVALID_ARGUMENT);
    m[0].name = "x";
    m[0].array.dims = NPY_MAX_DIMS + 1;
    expect(m, 1, STATUS_INVALID_ARGUMENT);
    shape(&m[0], 3, UINT64_MAX, 2, 2);
    expect(m, 1, STATUS_RESOURCE_EXHAUSTED);
    shape(&m[0], 2, 1u << 30, 1u << 30, 0);
    expect(m, 1, STATUS_RESOURCE_EXHAUSTED);
    shape(&m[0], 1, NPZ_MAX_FILE_SIZE, 0, 0);
    expect(m, 1, STATUS_RESOURCE_EXHAUSTED);
}

/* A failed write leaves the old file and no half-written one. */
void test_npz_file_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    char folder[256], path[300];
    const uint8_t old[] = {1, 2, 3}, fresh[] = {9, 9, 9};
    unsigned char *before = NULL, *after = NULL;
    size_t n_before = 0, n_after = 0;
    struct npz_member m = member("x", NPY_U8, old);
    shape(&m, 1, 3, 0, 0);
    folder_path(folder, path, "a.npz");
    assert_int_equal(npz_file_write(path, &m, 1, NULL), STATUS_OK);
    assert_int_equal(sysio_read_file(path, 4096, &before, &n_before, NULL), STATUS_OK);
    m.array.data = fresh;
    const enum sysio_call calls[] = {SYSIO_ALLOC, SYSIO_OPEN, SYSIO_WRITE, SYSIO_FSYNC,
                                     SYSIO_RENAME};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        sysio_fail_at(calls[i], 1, 1, 5);
        assert_int_not_equal(npz_file_write(path, &m, 1, NULL), STATUS_OK);
        sysio_fail_at(calls[i], 0, 0, 0);
        assert_int_equal(sysio_read_file(path, 4096, &after, &n_after, NULL), STATUS_OK);
        assert_int_equal(n_before, n_after);
        assert_memory_equal(before, after, n_before);
        sysio_free(after);
    }
    sysio_free(before);
    test_support_rmdir(folder);
}

/* ------------------------------------------------------------------ whose the images are */

struct people {
    char folder[256], path[300];
    uint8_t pixels[3 * 2 * 2];
    int32_t labels[3];
    struct npz_member m[3];
};

/* Three images, with a third array "person" of this type. */
static void people_new(struct people *x, enum npy_type type, size_t item, const void *data)
{
    memset(x, 0, sizeof *x);
    x->m[0] = member("images", NPY_U8, x->pixels);
    x->m[1] = member("labels", NPY_I32, x->labels);
    x->m[2] = member("person", type, data);
    x->m[2].array.item = item;
    shape(&x->m[0], 3, 3, 2, 2);
    shape(&x->m[1], 1, 3, 0, 0);
    shape(&x->m[2], 1, 3, 0, 0);
    folder_path(x->folder, x->path, "x.npz");
}

static enum status people_open(struct people *x, const char *field, struct dataset **d)
{
    struct fault f = {0};
    const struct dataset_options o = {.subject_field = field};
    *d = NULL;
    assert_int_equal(npz_file_write(x->path, x->m, 3, &f), STATUS_OK);
    const enum status st = dataset_open(x->path, &o, d, &f);
    if (st != STATUS_OK) {
        assert_string_equal(f.field, "subject-field");
        assert_null(*d);
    }
    return st;
}

static void expect_people(struct people *x, const char *const ids[3])
{
    struct dataset *d;
    assert_int_equal(people_open(x, "person", &d), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(dataset_subject(d, i), ids[i]);
    dataset_free(d);
    assert_int_equal(people_open(x, NULL, &d), STATUS_OK);
    assert_null(dataset_subject(d, 0));
    dataset_free(d);
    test_support_rmdir(x->folder);
}

void test_npz_file_says_whose_images_are(void **state)
{
    (void)state;
    struct people x;
    static const int64_t numbers[3] = {17, -4, 1234567890123};
    people_new(&x, NPY_I64, 8, numbers);
    expect_people(&x, (const char *const[]){"17", "-4", "1234567890123"});
    people_new(&x, NPY_BYTES, 5, "anna\0bobby\0\0\0\0\0");
    expect_people(&x, (const char *const[]){"anna", "bobby", ""});
    /* a letter, one of two bytes, of three, of four */
    static const uint32_t text[3][2] = {{'a', 0x1f600}, {0xe9, 0}, {0x20ac, 'b'}};
    people_new(&x, NPY_UNICODE, 8, text);
    expect_people(&x, (const char *const[]){"a\xf0\x9f\x98\x80", "\xc3\xa9",
                                            "\xe2\x82\xac"
                                            "b"});
}

void test_npz_file_refuses_bad_subjects(void **state)
{
    (void)state;
    struct people x;
    struct dataset *d;
    static const float reals[3] = {0};
    static const uint32_t surrogate[3] = {'a', 0xd800, 'b'};
    uint8_t many[3 * 300];
    memset(many, 'x', sizeof many);
    people_new(&x, NPY_F32, 4, reals);
    assert_int_equal(people_open(&x, "person", &d), STATUS_INVALID_ARGUMENT);
    assert_int_equal(people_open(&x, "nobody", &d), STATUS_INVALID_ARGUMENT);
    test_support_rmdir(x.folder);
    people_new(&x, NPY_UNICODE, 4, surrogate);
    assert_int_equal(people_open(&x, "person", &d), STATUS_INVALID_ARGUMENT);
    test_support_rmdir(x.folder);
    people_new(&x, NPY_BYTES, 300, many);
    assert_int_equal(people_open(&x, "person", &d), STATUS_INVALID_ARGUMENT);
    shape(&x.m[2], 1, 2, 0, 0);
    assert_int_equal(people_open(&x, "person", &d), STATUS_INVALID_ARGUMENT);
    test_support_rmdir(x.folder);
}
