#include "client/dataset/npy_array.h"

#include <string.h>

#define NPY_MAX_HEADER 65536u

static const struct {
    const char *descr;
    enum npy_type type;
    size_t size;
} npy_types[] = {
    {"|b1", NPY_BOOL, 1}, {"|u1", NPY_U8, 1},  {"<u1", NPY_U8, 1},
    {"<i4", NPY_I32, 4},  {"<i8", NPY_I64, 8}, {"<f4", NPY_F32, 4},
};

#define NPY_MAX_TEXT 1024u /* characters of a text */

/* "|S12", "<U12": texts of at most 12 characters. */
static int npy_text_type(const char *descr, enum npy_type *ret_type, size_t *ret_size)
{
    size_t n = 0;
    const int bytes = strncmp(descr, "|S", 2) == 0, unicode = strncmp(descr, "<U", 2) == 0;
    for (const char *at = descr + 2; (bytes || unicode) && *at; at++) {
        if (*at < '0' || *at > '9' || n > NPY_MAX_TEXT)
            return 0;
        n = n * 10 + (size_t)(*at - '0');
    }
    *ret_type = bytes ? NPY_BYTES : NPY_UNICODE;
    *ret_size = bytes ? n : 4 * n;
    return n > 0 && n <= NPY_MAX_TEXT;
}

/* A cursor over the dictionary's text. */
struct npy_text {
    const char *at, *end;
};

static void npy_blank(struct npy_text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n'))
        t->at++;
}

static int npy_accept(struct npy_text *t, const char *word)
{
    const size_t n = strlen(word);
    npy_blank(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return 0;
    t->at += n;
    return 1;
}

/* 'text' or "text", without escapes. */
static int npy_string(struct npy_text *t, char out[16])
{
    size_t n = 0;
    npy_blank(t);
    if (t->at >= t->end || (*t->at != '\'' && *t->at != '"'))
        return 0;
    const char quote = *t->at++;
    while (t->at < t->end && *t->at != quote && *t->at != '\\' && n < 15)
        out[n++] = *t->at++;
    out[n] = '\0';
    return t->at < t->end && *t->at++ == quote;
}

static int npy_number(struct npy_text *t, uint64_t *ret_x)
{
    uint64_t x = 0;
    int digits = 0;
    npy_blank(t);
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, digits++) {
        if (digits >= 18)
            return 0;
        x = x * 10 + (uint64_t)(*t->at - '0');
    }
    *ret_x = x;
    return digits > 0;
}

static int npy_shape(struct npy_text *t, struct npy_array *a)
{
    if (!npy_accept(t, "("))
        return 0;
    a->dims = 0;
    while (!npy_accept(t, ")")) {
        if (a->dims == NPY_MAX_DIMS || !npy_number(t, &a->shape[a->dims++]))
            return 0;
        if (!npy_accept(t, ",") && !(a->dims > 1 && t->at < t->end && *t->at == ')'))
            return 0;
    }
    return 1;
}

/* One "key: value" pair; sets its bit in *seen. */
static int npy_pair(struct npy_text *t, struct npy_array *a, char descr[16], unsigned *seen)
{
    char key[16];
    unsigned bit = 0;
    int ok = npy_string(t, key) && npy_accept(t, ":");
    if (ok && strcmp(key, "descr") == 0) {
        bit = 1;
        ok = npy_string(t, descr);
    } else if (ok && strcmp(key, "fortran_order") == 0) {
        bit = 2;
        ok = npy_accept(t, "False"); /* other orders are not read */
    } else if (ok && strcmp(key, "shape") == 0) {
        bit = 4;
        ok = npy_shape(t, a);
    }
    if (!ok || bit == 0 || (*seen & bit))
        return 0;
    *seen |= bit;
    return 1;
}

static int npy_dictionary(struct npy_text *t, struct npy_array *a, char descr[16])
{
    unsigned seen = 0;
    if (!npy_accept(t, "{"))
        return 0;
    while (!npy_accept(t, "}")) {
        if (!npy_pair(t, a, descr, &seen))
            return 0;
        npy_blank(t);
        if (!npy_accept(t, ",") && !(t->at < t->end && *t->at == '}'))
            return 0;
    }
    npy_blank(t);
    return seen == 7 && t->at == t->end;
}

/* Start of the data and the header's text. */
static enum status npy_header(
    const uint8_t *bytes, size_t n, const char *name, struct npy_text *ret_text, struct fault *f)
{
    static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (n < 10 || memcmp(bytes, magic, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, name, "no .npy data");
    const int old = bytes[6] == 1;
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0 || (!old && n < 12))
        FAIL(f, STATUS_BAD_FORMAT, name, ".npy version %u.%u", bytes[6], bytes[7]);
    const size_t start = old ? 10 : 12;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (!old)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > NPY_MAX_HEADER || length > n - start)
        FAIL(f, STATUS_BAD_FORMAT, name, ".npy header of %zu bytes in %zu", length, n);
    ret_text->at = (const char *)bytes + start;
    ret_text->end = ret_text->at + length;
    return STATUS_OK;
}

enum status npy_array_parse(
    const uint8_t *bytes, size_t n, const char *name, struct npy_array *ret_array, struct fault *f)
{
    struct npy_text text = {0};
    struct npy_array a = {0};
    char descr[16] = "";
    size_t size = 0;
    TRY(npy_header(bytes, n, name, &text, f));
    a.data = (const uint8_t *)text.end;
    if (!npy_dictionary(&text, &a, descr))
        FAIL(f, STATUS_BAD_FORMAT, name, "malformed .npy header (C order, plain shape expected)");
    for (size_t i = 0; i < sizeof npy_types / sizeof *npy_types; i++)
        if (strcmp(descr, npy_types[i].descr) == 0) {
            a.type = npy_types[i].type;
            size = npy_types[i].size;
        }
    if (size == 0 && !npy_text_type(descr, &a.type, &size))
        FAIL(f, STATUS_BAD_FORMAT, name,
             "element type '%s', allowed are u1, b1, <i4, <i8, <f4 and texts, S and <U", descr);
    a.item = size;
    a.count = 1;
    for (uint32_t i = 0; i < a.dims; i++)
        if (__builtin_mul_overflow(a.count, a.shape[i], &a.count))
            FAIL(f, STATUS_BAD_FORMAT, name, "the shape's product overflows");
    const size_t left = n - (size_t)(a.data - bytes);
    if (left % size != 0 || left / size != a.count)
        FAIL(f, STATUS_BAD_FORMAT, name, "%zu bytes of data for %zu elements of %zu", left, a.count,
             size);
    *ret_array = a;
    return STATUS_OK;
}
