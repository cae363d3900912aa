#include "learners/vit/safetensors.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "learners/math/half.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The shortest header entry, with its comma: "":{"dtype":"U8","shape":[],"data_offsets":[0,0]}, */
#define SAFETENSORS_MIN_ENTRY 48
#define SAFETENSORS_MAX_META  256u

struct safetensors {
    const uint8_t *data;
    size_t data_bytes;
    struct safetensors_row *rows; /* in order of data, then as in the header */
    size_t n_rows;
    struct safetensors_meta *meta;
    size_t n_meta;
};

static const struct {
    const char *name;
    size_t size;
} safetensors_types[SAFETENSORS_DTYPES] = {
    [SAFETENSORS_BOOL] = {"BOOL", 1}, [SAFETENSORS_U8] = {"U8", 1},
    [SAFETENSORS_I8] = {"I8", 1},     [SAFETENSORS_I16] = {"I16", 2},
    [SAFETENSORS_U16] = {"U16", 2},   [SAFETENSORS_F16] = {"F16", 2},
    [SAFETENSORS_BF16] = {"BF16", 2}, [SAFETENSORS_I32] = {"I32", 4},
    [SAFETENSORS_U32] = {"U32", 4},   [SAFETENSORS_F32] = {"F32", 4},
    [SAFETENSORS_F64] = {"F64", 8},   [SAFETENSORS_I64] = {"I64", 8},
    [SAFETENSORS_U64] = {"U64", 8},
};

const char *safetensors_dtype_name(enum safetensors_dtype dtype)
{
    INVARIANT(dtype < SAFETENSORS_DTYPES);
    return safetensors_types[dtype].name;
}

size_t safetensors_dtype_size(enum safetensors_dtype dtype)
{
    INVARIANT(dtype < SAFETENSORS_DTYPES);
    return safetensors_types[dtype].size;
}

static uint64_t safetensors_header_length(const void *bytes, size_t n)
{
    struct byte_reader r = byte_reader_make(bytes, n);
    return get_u64(&r);
}

size_t safetensors_plan(const void *bytes, size_t n)
{
    uint64_t header = n >= 8 ? safetensors_header_length(bytes, n) : 0;
    if (header > n || header > SAFETENSORS_MAX_HEADER)
        header = 0; /* will be refused */
    const size_t entries = (size_t)header / SAFETENSORS_MIN_ENTRY + 1;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct safetensors));
    arena_plan_add(&p, entries, sizeof(struct safetensors_row));
    arena_plan_add(&p, SAFETENSORS_MAX_META, sizeof(struct safetensors_meta));
    arena_plan_add(&p, (size_t)header + 1, 1); /* all names and metadata, one after the other */
    return arena_plan_bytes(&p);
}

/* Copies names into one pool of as many bytes as the header has: they come from it. */
struct safetensors_pool {
    char *at;
    size_t left;
};

static const char *safetensors_keep(struct safetensors_pool *pool, const char *text)
{
    const size_t n = strlen(text) + 1;
    INVARIANT(n <= pool->left); /* a JSON string is never shorter than its text and two quotes */
    char *kept = pool->at;
    memcpy(kept, text, n);
    pool->at += n;
    pool->left -= n;
    return kept;
}

static enum status
safetensors_read_dtype(const json_t *entry, struct safetensors_row *row, struct fault *f)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text)
        FAIL(f, STATUS_BAD_FORMAT, row->name, "dtype is missing or not a string");
    for (int i = 0; i < SAFETENSORS_DTYPES; i++)
        if (strcmp(text, safetensors_types[i].name) == 0) {
            row->dtype = (enum safetensors_dtype)i;
            return STATUS_OK;
        }
    FAIL(f, STATUS_BAD_FORMAT, row->name, "unknown dtype \"%.20s\"", text);
}

static enum status
safetensors_read_shape(const json_t *entry, struct safetensors_row *row, struct fault *f)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        FAIL(f, STATUS_BAD_FORMAT, row->name, "shape is not a list of at most %d sizes",
             SAFETENSORS_MAX_DIMS);
    row->dims = (uint32_t)json_array_size(shape);
    row->count = 1;
    for (uint32_t i = 0; i < row->dims; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            FAIL(f, STATUS_BAD_FORMAT, row->name, "size %u of the shape is no natural number", i);
        row->shape[i] = (uint64_t)json_integer_value(size);
        if (!size_mul(row->count, row->shape[i], &row->count))
            FAIL(f, STATUS_BAD_FORMAT, row->name, "the shape's product overflows");
    }
    return STATUS_OK;
}

static enum status safetensors_read_offsets(const struct safetensors *s,
                                            const json_t *entry,
                                            struct safetensors_row *row,
                                            struct fault *f)
{
    const json_t *pair = json_object_get(entry, "data_offsets");
    if (!json_is_array(pair) || json_array_size(pair) != 2 ||
        !json_is_integer(json_array_get(pair, 0)) || !json_is_integer(json_array_get(pair, 1)))
        FAIL(f, STATUS_BAD_FORMAT, row->name, "data_offsets is not a pair of integers");
    const json_int_t begin = json_integer_value(json_array_get(pair, 0));
    const json_int_t end = json_integer_value(json_array_get(pair, 1));
    if (begin < 0 || end < begin || (uint64_t)end > s->data_bytes)
        FAIL(f, STATUS_BAD_FORMAT, row->name, "data_offsets [%lld, %lld] leave the %zu data bytes",
             (long long)begin, (long long)end, s->data_bytes);
    size_t bytes;
    if (!size_mul(row->count, safetensors_types[row->dtype].size, &bytes) ||
        (uint64_t)(end - begin) != bytes)
        FAIL(f, STATUS_BAD_FORMAT, row->name,
             "data_offsets span %lld bytes, shape and dtype do not", (long long)(end - begin));
    row->data = s->data + begin;
    return STATUS_OK;
}

static enum status safetensors_read_row(struct safetensors *s,
                                        struct safetensors_pool *pool,
                                        const char *name,
                                        const json_t *entry,
                                        struct fault *f)
{
    if (strlen(name) > SAFETENSORS_MAX_NAME)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "header", "tensor name of %zu bytes, limit %u",
             strlen(name), SAFETENSORS_MAX_NAME);
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        FAIL(f, STATUS_BAD_FORMAT, name, "entry is not {dtype, shape, data_offsets}");
    struct safetensors_row *row = &s->rows[s->n_rows];
    row->name = safetensors_keep(pool, name);
    TRY(safetensors_read_dtype(entry, row, f));
    TRY(safetensors_read_shape(entry, row, f));
    TRY(safetensors_read_offsets(s, entry, row, f));
    s->n_rows++;
    return STATUS_OK;
}

static enum status safetensors_read_meta(struct safetensors *s,
                                         struct safetensors_pool *pool,
                                         json_t *meta,
                                         struct fault *f)
{
    const char *key;
    json_t *value;
    if (!json_is_object(meta))
        FAIL(f, STATUS_BAD_FORMAT, "__metadata__", "is not an object of strings");
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value))
            FAIL(f, STATUS_BAD_FORMAT, "__metadata__", "value of \"%.60s\" is not a string", key);
        if (s->n_meta == SAFETENSORS_MAX_META)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "__metadata__", "more than %u keys",
                 SAFETENSORS_MAX_META);
        s->meta[s->n_meta].key = safetensors_keep(pool, key);
        s->meta[s->n_meta].value = safetensors_keep(pool, json_string_value(value));
        s->n_meta++;
    }
    return STATUS_OK;
}

static int safetensors_compare(const void *a, const void *b)
{
    const struct safetensors_row *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count; /* empty tensors come first */
}

/* Each tensor begins where the one before ended, and the last one ends the file. */
static enum status safetensors_check_cover(struct safetensors *s, struct fault *f)
{
    const uint8_t *at = s->data;
    if (s->n_rows > 1)
        qsort(s->rows, s->n_rows, sizeof *s->rows, safetensors_compare);
    for (size_t i = 0; i < s->n_rows; i++) {
        const struct safetensors_row *row = &s->rows[i];
        if (row->data != at)
            FAIL(f, STATUS_BAD_FORMAT, row->name, "its data %s",
                 row->data < at ? "overlap another tensor's" : "begin behind a hole");
        at += row->count * safetensors_types[row->dtype].size;
    }
    if (at != s->data + s->data_bytes)
        FAIL(f, STATUS_BAD_FORMAT, "header", "%zu bytes behind the last tensor",
             s->data_bytes - (size_t)(at - s->data));
    return STATUS_OK;
}

static enum status safetensors_read_header(
    struct safetensors *s, json_t *root, size_t header_bytes, struct arena *arena, struct fault *f)
{
    const char *name;
    json_t *entry;
    const size_t n = json_object_size(root);
    if (n > SAFETENSORS_MAX_TENSORS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "header", "%zu tensors, limit %u", n,
             SAFETENSORS_MAX_TENSORS);
    struct safetensors_pool pool = {arena_alloc(arena, header_bytes + 1, 1), header_bytes + 1};
    s->rows = arena_alloc(arena, n + 1, sizeof *s->rows);
    s->meta = arena_alloc(arena, SAFETENSORS_MAX_META, sizeof *s->meta);
    if (!pool.at || !s->rows || !s->meta)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "header", "no room for the table of %zu tensors", n);
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            TRY(safetensors_read_meta(s, &pool, entry, f));
        else
            TRY(safetensors_read_row(s, &pool, name, entry, f));
    }
    return safetensors_check_cover(s, f);
}

enum status safetensors_open(const void *bytes,
                             size_t n,
                             struct arena *arena,
                             struct safetensors **ret_file,
                             struct fault *f)
{
    if (n < 8)
        FAIL(f, STATUS_BAD_FORMAT, "header", "%zu bytes are no safetensors file", n);
    const uint64_t length = safetensors_header_length(bytes, n);
    if (length > SAFETENSORS_MAX_HEADER)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "header", "header of %llu bytes, limit %zu",
             (unsigned long long)length, SAFETENSORS_MAX_HEADER);
    if (length > n - 8)
        FAIL(f, STATUS_BAD_FORMAT, "header", "header of %llu bytes in a file of %zu",
             (unsigned long long)length, n);
    const char *text = (const char *)bytes + 8;
    json_error_t error;
    if (length == 0 || text[0] != '{')
        FAIL(f, STATUS_BAD_FORMAT, "header", "header is no JSON object");
    json_t *root = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        FAIL(f, STATUS_BAD_FORMAT, "header", "JSON at byte %d: %.100s", error.position, error.text);
    struct safetensors *s = arena_alloc_zero(arena, 1, sizeof *s);
    enum status st;
    if (s) {
        s->data = (const uint8_t *)bytes + 8 + length;
        s->data_bytes = n - 8 - (size_t)length;
        st = safetensors_read_header(s, root, (size_t)length, arena, f);
    } else {
        st = fault_set(f, STATUS_RESOURCE_EXHAUSTED, __FILE__, __LINE__, "header",
                       "no room for the table");
    }
    json_decref(root);
    if (st == STATUS_OK)
        *ret_file = s;
    return st;
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n_rows;
}

const struct safetensors_row *safetensors_row(const struct safetensors *s, size_t i)
{
    INVARIANT(i < s->n_rows);
    return &s->rows[i];
}

const struct safetensors_row *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->n_rows; i++)
        if (strcmp(s->rows[i].name, name) == 0)
            return &s->rows[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->n_meta; i++)
        if (strcmp(s->meta[i].key, key) == 0)
            return s->meta[i].value;
    return NULL;
}

static uint16_t safetensors_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

enum status safetensors_read_f32(
    const struct safetensors_row *row, size_t from, size_t n, float *out, struct fault *f)
{
    INVARIANT(from <= row->count && n <= row->count - from);
    const uint8_t *in = row->data + from * safetensors_types[row->dtype].size;
    if (row->dtype != SAFETENSORS_F32 && row->dtype != SAFETENSORS_F16 &&
        row->dtype != SAFETENSORS_BF16)
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "dtype %s, expected F32, F16 or BF16",
             safetensors_types[row->dtype].name);
    if (row->dtype == SAFETENSORS_F32) {
        memcpy(out, in, n * sizeof *out); /* all our machines are little-endian */
    } else {
        for (size_t i = 0; i < n; i++) {
            const uint16_t bits = safetensors_u16(in + 2 * i);
            out[i] = row->dtype == SAFETENSORS_F16 ? half_to_float(bits) : bfloat_to_float(bits);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "element %zu is not a finite number",
                 from + i);
    return STATUS_OK;
}

enum status safetensors_read_i64(const struct safetensors_row *row, int64_t *out, struct fault *f)
{
    if (row->dtype != SAFETENSORS_I64)
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "dtype %s, expected I64",
             safetensors_types[row->dtype].name);
    memcpy(out, row->data, row->count * sizeof *out);
    return STATUS_OK;
}

static size_t safetensors_item_count(const struct safetensors_item *item)
{
    size_t count = 1;
    for (uint32_t i = 0; i < item->dims; i++)
        INVARIANT(size_mul(count, item->shape[i], &count));
    return count;
}

static void safetensors_put_text(struct byte_writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

static void safetensors_put_quoted(struct byte_writer *w, const char *text)
{
    for (const char *p = text; *p; p++)
        INVARIANT(*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\');
    put_u8(w, '"');
    safetensors_put_text(w, text);
    put_u8(w, '"');
}

static void safetensors_put_number(struct byte_writer *w, uint64_t x)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0);
    while (n > 0)
        put_u8(w, (uint8_t)digits[--n]);
}

static void safetensors_put_meta(struct byte_writer *w,
                                 const struct safetensors_meta *meta,
                                 size_t n_meta,
                                 int more)
{
    safetensors_put_text(w, "\"__metadata__\":{");
    for (size_t i = 0; i < n_meta; i++) {
        safetensors_put_text(w, i > 0 ? "," : "");
        safetensors_put_quoted(w, meta[i].key);
        put_u8(w, ':');
        safetensors_put_quoted(w, meta[i].value);
    }
    safetensors_put_text(w, more ? "}," : "}");
}

/* Entry of one tensor; returns where its data end. */
static uint64_t
safetensors_put_entry(struct byte_writer *w, const struct safetensors_item *item, uint64_t begin)
{
    const uint64_t end = begin + safetensors_item_count(item) * safetensors_types[item->dtype].size;
    safetensors_put_quoted(w, item->name);
    safetensors_put_text(w, ":{\"dtype\":");
    safetensors_put_quoted(w, safetensors_types[item->dtype].name);
    safetensors_put_text(w, ",\"shape\":[");
    for (uint32_t i = 0; i < item->dims; i++) {
        safetensors_put_text(w, i > 0 ? "," : "");
        safetensors_put_number(w, item->shape[i]);
    }
    safetensors_put_text(w, "],\"data_offsets\":[");
    safetensors_put_number(w, begin);
    put_u8(w, ',');
    safetensors_put_number(w, end);
    safetensors_put_text(w, "]}");
    return end;
}

/* The whole header into `w` (which may only count), padded with spaces to 8; returns data bytes. */
static uint64_t safetensors_put_header(struct byte_writer *w,
                                       const struct safetensors_item *items,
                                       size_t n_items,
                                       const struct safetensors_meta *meta,
                                       size_t n_meta)
{
    uint64_t at = 0;
    put_u8(w, '{');
    if (n_meta > 0)
        safetensors_put_meta(w, meta, n_meta, n_items > 0);
    for (size_t i = 0; i < n_items; i++) {
        safetensors_put_text(w, i > 0 ? "," : "");
        at = safetensors_put_entry(w, &items[i], at);
    }
    put_u8(w, '}');
    while (w->used % 8 != 0)
        put_u8(w, ' ');
    return at;
}

size_t safetensors_write_size(const struct safetensors_item *items,
                              size_t n_items,
                              const struct safetensors_meta *meta,
                              size_t n_meta)
{
    struct byte_writer count = byte_writer_make(NULL, 0);
    const uint64_t data = safetensors_put_header(&count, items, n_items, meta, n_meta);
    return 8 + count.used + (size_t)data;
}

static void safetensors_put_data(struct byte_writer *w, const struct safetensors_item *item)
{
    const size_t n = safetensors_item_count(item);
    const float *x = item->data;
    switch (item->dtype) {
    case SAFETENSORS_U8:
    case SAFETENSORS_F32:
    case SAFETENSORS_I64:
        put_bytes(w, item->data, n * safetensors_types[item->dtype].size);
        return;
    case SAFETENSORS_F16:
        for (size_t i = 0; i < n; i++)
            put_u16(w, half_from_float(x[i]));
        return;
    case SAFETENSORS_BF16:
        for (size_t i = 0; i < n; i++)
            put_u16(w, bfloat_from_float(x[i]));
        return;
    case SAFETENSORS_BOOL:
    case SAFETENSORS_I8:
    case SAFETENSORS_I16:
    case SAFETENSORS_U16:
    case SAFETENSORS_I32:
    case SAFETENSORS_U32:
    case SAFETENSORS_F64:
    case SAFETENSORS_U64:
    case SAFETENSORS_DTYPES:
        break;
    }
    invariant_failed("a dtype that can be written", __FILE__, __LINE__);
}

void safetensors_write(const struct safetensors_item *items,
                       size_t n_items,
                       const struct safetensors_meta *meta,
                       size_t n_meta,
                       uint8_t *out)
{
    struct byte_writer count = byte_writer_make(NULL, 0);
    const uint64_t data = safetensors_put_header(&count, items, n_items, meta, n_meta);
    struct byte_writer w = byte_writer_make(out, 8 + count.used + (size_t)data);
    put_u64(&w, count.used);
    struct byte_writer header = byte_writer_make(out + 8, count.used);
    (void)safetensors_put_header(&header, items, n_items, meta, n_meta);
    INVARIANT(!header.failed && header.used == count.used);
    w.used += header.used;
    for (size_t i = 0; i < n_items; i++)
        safetensors_put_data(&w, &items[i]);
    INVARIANT(!w.failed && w.used == w.size);
}
