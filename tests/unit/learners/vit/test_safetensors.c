/*
 * The safetensors reader against well-formed, damaged and hostile files, and the writer against the
 * reader.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "learners/vit/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of this header text and `data` bytes of data, in fresh memory. */
static uint8_t *make_file(const char *header, size_t data, size_t *ret_size)
{
    const size_t n = strlen(header);
    uint8_t *file = sysio_alloc(8 + n + data, 1);
    const uint64_t length = n; /* little-endian machines only */
    memcpy(file, &length, 8);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < data; i++)
        file[8 + n + i] = (uint8_t)i;
    *ret_size = 8 + n + data;
    return file;
}

/* Opens a copy that ends where its memory ends, so that a sanitizer sees every byte read too far.
 */
static enum status open_bytes(const uint8_t *bytes, size_t n, struct fault *f)
{
    uint8_t *copy = malloc(n + (n == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    const size_t plan = safetensors_plan(copy, n);
    void *memory = sysio_alloc(1, plan);
    assert_non_null(memory);
    struct arena arena;
    struct safetensors *s = NULL;
    arena_init(&arena, memory, plan);
    const enum status st = safetensors_open(copy, n, &arena, &s, f);
    assert_true((st == STATUS_OK) == (s != NULL));
    assert_true(arena_high_water(&arena) <= plan);
    for (size_t i = 0; s && i < safetensors_count(s); i++) {
        const struct safetensors_row *row = safetensors_row(s, i);
        assert_true(row->data >= copy && row->count * safetensors_dtype_size(row->dtype) <=
                                             (size_t)(copy + n - row->data));
        assert_ptr_equal(safetensors_find(s, row->name), row);
    }
    arena_fini(&arena);
    sysio_free(memory);
    free(copy);
    return st;
}

#define ENTRY(name, dtype, shape, begin, end)                                                      \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end \
    "]}"

void test_safetensors_reads_what_is_there(void **state)
{
    (void)state;
    const char *header =
        "{\"__metadata__\":{\"k\":\"v\"}," ENTRY("b", "F32", "[2,1]", 4, 12) "," ENTRY(
            "a", "U8", "[4]", 0, 4) "," ENTRY("empty", "I64", "[0,3]", 12,
                                              12) "," ENTRY("scalar", "I16", "[]", 12, 14) "}  ";
    size_t n = 0;
    uint8_t *file = make_file(header, 14, &n);
    const size_t plan = safetensors_plan(file, n);
    void *memory = sysio_alloc(1, plan);
    struct arena arena;
    struct safetensors *s = NULL;
    arena_init(&arena, memory, plan);
    assert_int_equal(safetensors_open(file, n, &arena, &s, NULL), STATUS_OK);
    assert_int_equal(safetensors_count(s), 4);
    assert_string_equal(safetensors_row(s, 0)->name, "a");
    assert_string_equal(safetensors_row(s, 1)->name, "b");
    const struct safetensors_row *b = safetensors_find(s, "b");
    assert_true(b->dtype == SAFETENSORS_F32 && b->dims == 2 && b->shape[0] == 2 && b->count == 2);
    assert_int_equal(b->data - file, n - 14 + 4);
    assert_int_equal(safetensors_find(s, "empty")->count, 0);
    assert_int_equal(safetensors_find(s, "scalar")->count, 1);
    assert_null(safetensors_find(s, "c"));
    assert_string_equal(safetensors_metadata(s, "k"), "v");
    assert_null(safetensors_metadata(s, "x"));
    arena_fini(&arena);
    sysio_free(memory);
    sysio_free(file);
}

struct hostile {
    const char *header;
    size_t data;
    enum status st;
    const char *field; /* that the fault names */
};

static const struct hostile hostile_headers[] = {
    {"", 0, STATUS_BAD_FORMAT, "header"},
    {"[]", 0, STATUS_BAD_FORMAT, "header"},
    {" {}", 0, STATUS_BAD_FORMAT, "header"},
    {"{", 0, STATUS_BAD_FORMAT, "header"},
    {"{} x", 0, STATUS_BAD_FORMAT, "header"},
    {"{}", 1, STATUS_BAD_FORMAT, "header"},
    {"null", 0, STATUS_BAD_FORMAT, "header"},
    {"{\"a\":1}", 0, STATUS_BAD_FORMAT, "a"},
    {"{\"a\":{}}", 0, STATUS_BAD_FORMAT, "a"},
    {"{\"__metadata__\":[]}", 0, STATUS_BAD_FORMAT, "__metadata__"},
    {"{\"__metadata__\":{\"a\":1}}", 0, STATUS_BAD_FORMAT, "__metadata__"},
    {"{" ENTRY("a", "U8", "[1]", 0, 1) "," ENTRY("a", "U8", "[1]", 1, 2) "}", 2, STATUS_BAD_FORMAT,
     "header"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     STATUS_BAD_FORMAT, "header"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":1}}", 1,
     STATUS_BAD_FORMAT, "a"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"offsets\":[0,1]}}", 1, STATUS_BAD_FORMAT, "a"},
    {"{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U9", "[1]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "u8", "[1]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "{}", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[-1]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1.0]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[\"1\"]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[4294967296,4294967296]", 0, 0) "}", 0, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "F32", "[4611686018427387904]", 0, 0) "}", 0, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[99999999999999999999]", 0, 0) "}", 0, STATUS_BAD_FORMAT, "header"},
    {"{" ENTRY("a", "U8", "[2]", 0, 1) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", 0, 2) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", -1, 0) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", 1, 0) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", 0, 1.0) "}", 1, STATUS_BAD_FORMAT, "a"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", 9223372036854775807, 9223372036854775807) "}", 1,
     STATUS_BAD_FORMAT, "a"},
    /* hole, overlap, hole at the start, data behind the end */
    {"{" ENTRY("a", "U8", "[1]", 0, 1) "," ENTRY("b", "U8", "[1]", 2, 3) "}", 3, STATUS_BAD_FORMAT,
     "b"},
    {"{" ENTRY("a", "U8", "[2]", 0, 2) "," ENTRY("b", "U8", "[2]", 1, 3) "}", 3, STATUS_BAD_FORMAT,
     "b"},
    {"{" ENTRY("a", "U8", "[2]", 0, 2) "," ENTRY("b", "U8", "[2]", 0, 2) "}", 2, STATUS_BAD_FORMAT,
     "b"},
    {"{" ENTRY("a", "U8", "[1]", 1, 2) "}", 2, STATUS_BAD_FORMAT, "a"},
    {"{" ENTRY("a", "U8", "[1]", 0, 1) "}", 2, STATUS_BAD_FORMAT, "header"},
    {"{\"\\u0000\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, STATUS_BAD_FORMAT,
     "header"},
};

void test_safetensors_refuses_hostile_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile_headers / sizeof *hostile_headers; i++) {
        const struct hostile *h = &hostile_headers[i];
        size_t n = 0;
        struct fault f = {0};
        uint8_t *file = make_file(h->header, h->data, &n);
        const enum status st = open_bytes(file, n, &f);
        if (st != h->st || strcmp(f.field, h->field) != 0)
            fail_msg("%s: status %d, field %s, text %s", h->header, st, f.field, f.text);
        assert_true(f.text[0] != '\0');
        sysio_free(file);
    }
}

void test_safetensors_refuses_lying_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {1,
                                       3,
                                       SAFETENSORS_MAX_HEADER,
                                       SAFETENSORS_MAX_HEADER + 1,
                                       UINT64_MAX,
                                       UINT64_MAX - 7,
                                       (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t file[10] = {0};
        struct fault f = {0};
        memcpy(file, &lengths[i], 8);
        file[8] = '{';
        file[9] = '}';
        assert_int_not_equal(open_bytes(file, sizeof file, &f), STATUS_OK);
        assert_string_equal(f.field, "header");
    }
}

/* Deep nesting and a very long name are refused, not followed. */
void test_safetensors_bounds_the_header(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *header = sysio_alloc(2 * DEPTH + 64, 1);
    size_t n = 0;
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    uint8_t *file = make_file(header, 0, &n);
    assert_int_equal(open_bytes(file, n, NULL), STATUS_BAD_FORMAT);
    sysio_free(file);
    memset(header, 0, 2 * DEPTH + 64);
    memcpy(header, "{\"", 2);
    memset(header + 2, 'n', SAFETENSORS_MAX_NAME + 1);
    (void)strcat(header, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    file = make_file(header, 1, &n);
    assert_int_equal(open_bytes(file, n, NULL), STATUS_RESOURCE_EXHAUSTED);
    sysio_free(file);
    sysio_free(header);
}

static void write_sample(uint8_t **ret_file, size_t *ret_size)
{
    static const float x[6] = {1, -2, 0.333f, 65504, 1e-7f, 0};
    static const int64_t y[2] = {-1, INT64_MAX};
    const struct safetensors_item items[] = {
        {"f32", SAFETENSORS_F32, 2, {2, 3}, x},      {"f16", SAFETENSORS_F16, 1, {6}, x},
        {"bf16", SAFETENSORS_BF16, 3, {1, 2, 3}, x}, {"i64", SAFETENSORS_I64, 1, {2}, y},
        {"none", SAFETENSORS_F32, 2, {0, 5}, x},
    };
    static const struct safetensors_meta meta[] = {{"format", "pt"}, {"note", "two words"}};
    *ret_size = safetensors_write_size(items, 5, meta, 2);
    *ret_file = sysio_alloc(*ret_size, 1);
    safetensors_write(items, 5, meta, 2, *ret_file);
}

void test_safetensors_round_trip(void **state)
{
    (void)state;
    uint8_t *file;
    size_t n;
    write_sample(&file, &n);
    uint64_t length;
    memcpy(&length, file, 8);
    assert_int_equal(length % 8, 0); /* data are aligned */
    const size_t plan = safetensors_plan(file, n);
    void *memory = sysio_alloc(1, plan);
    struct arena arena;
    struct safetensors *s = NULL;
    arena_init(&arena, memory, plan);
    assert_int_equal(safetensors_open(file, n, &arena, &s, NULL), STATUS_OK);
    float x[6];
    int64_t y[2];
    assert_int_equal(safetensors_read_f32(safetensors_find(s, "f32"), 0, 6, x, NULL), STATUS_OK);
    assert_true(x[1] == -2 && x[2] == 0.333f && x[4] == 1e-7f);
    assert_int_equal(safetensors_read_f32(safetensors_find(s, "f32"), 2, 1, x, NULL), STATUS_OK);
    assert_true(x[0] == 0.333f);
    assert_int_equal(safetensors_read_f32(safetensors_find(s, "f16"), 0, 6, x, NULL), STATUS_OK);
    assert_true(x[0] == 1 && x[3] == 65504);
    assert_near(x[2], 0.333, 2e-4);
    assert_int_equal(safetensors_read_f32(safetensors_find(s, "bf16"), 0, 6, x, NULL), STATUS_OK);
    assert_near(x[2], 0.333, 2e-3);
    assert_int_equal(safetensors_read_i64(safetensors_find(s, "i64"), y, NULL), STATUS_OK);
    assert_true(y[0] == -1 && y[1] == INT64_MAX);
    assert_string_equal(safetensors_metadata(s, "note"), "two words");
    struct fault f = {0};
    assert_int_equal(safetensors_read_f32(safetensors_find(s, "i64"), 0, 1, x, &f),
                     STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "i64");
    assert_int_equal(safetensors_read_i64(safetensors_find(s, "f32"), y, NULL),
                     STATUS_INVALID_ARGUMENT);
    arena_fini(&arena);
    sysio_free(memory);
    sysio_free(file);
}

void test_safetensors_every_truncation_is_refused(void **state)
{
    (void)state;
    uint8_t *file;
    size_t n;
    write_sample(&file, &n);
    for (size_t size = 0; size < n; size++) {
        struct fault f = {0};
        assert_int_not_equal(open_bytes(file, size, &f), STATUS_OK);
        assert_true(f.text[0] != '\0');
    }
    assert_int_equal(open_bytes(file, n, NULL), STATUS_OK);
    sysio_free(file);
}

/* Any change of header bytes is read safely or refused; open_bytes checks what was accepted. */
void test_safetensors_random_damage_is_safe(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 11};
    struct rng r;
    uint8_t *file, *damaged;
    size_t n, accepted = 0;
    write_sample(&file, &n);
    damaged = sysio_alloc(n, 1);
    rng_init(&r, &root, "damage", 0);
    for (int i = 0; i < 20000; i++) {
        memcpy(damaged, file, n);
        for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--)
            damaged[rng_below(&r, 300)] = (uint8_t)rng_below(&r, 256);
        accepted += open_bytes(damaged, n, NULL) == STATUS_OK;
    }
    assert_true(accepted < 20000);
    sysio_free(file);
    sysio_free(damaged);
}

void test_safetensors_names_the_tensor_with_nan(void **state)
{
    (void)state;
    const float x[3] = {1, NAN, INFINITY};
    static const enum safetensors_dtype types[] = {SAFETENSORS_F32, SAFETENSORS_F16,
                                                   SAFETENSORS_BF16};
    for (int i = 0; i < 3; i++) {
        const struct safetensors_item item = {"w", types[i], 1, {3}, x};
        uint8_t file[256];
        const size_t n = safetensors_write_size(&item, 1, NULL, 0);
        safetensors_write(&item, 1, NULL, 0, file);
        uint8_t memory[8192];
        struct arena arena;
        struct safetensors *s = NULL;
        struct fault f = {0};
        float out[3];
        assert_true(safetensors_plan(file, n) <= sizeof memory);
        arena_init(&arena, memory, sizeof memory);
        assert_int_equal(safetensors_open(file, n, &arena, &s, NULL), STATUS_OK);
        assert_int_equal(safetensors_read_f32(safetensors_row(s, 0), 0, 3, out, &f),
                         STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, "w");
        assert_int_equal(safetensors_read_f32(safetensors_row(s, 0), 0, 1, out, NULL), STATUS_OK);
        arena_fini(&arena);
    }
}
