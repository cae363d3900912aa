#include "proto/seal/lines.h"

#include "proto/seal/base64.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct lines lines_of(const void *text, size_t n)
{
    return (struct lines){.at = text, .left = n};
}

int lines_next(struct lines *in, const char **ret_line, size_t *ret_n)
{
    const char *end = in->left ? memchr(in->at, '\n', in->left) : NULL;
    if (!end)
        return -1;
    *ret_line = in->at;
    *ret_n = (size_t)(end - in->at);
    in->left -= *ret_n + 1;
    in->at = end + 1;
    in->number++;
    return 0;
}

int lines_same(const char *text, size_t n, const char *wanted)
{
    return n == strlen(wanted) && memcmp(text, wanted, n) == 0;
}

int lines_expect(struct lines *in, const char *line)
{
    struct lines next = *in;
    const char *at = NULL;
    size_t n = 0;
    if (lines_next(&next, &at, &n) != 0 || !lines_same(at, n, line))
        return -1;
    *in = next;
    return 0;
}

int lines_value(struct lines *in, const char *name, const char **ret_value, size_t *ret_n)
{
    const char *line = NULL;
    size_t n = 0;
    const size_t skip = strlen(name) + 1;
    if (lines_next(in, &line, &n) != 0 || n <= skip || !lines_same(line, skip - 1, name) ||
        line[skip - 1] != ' ')
        return -1;
    *ret_value = line + skip;
    *ret_n = n - skip;
    return 0;
}

int lines_begin(const struct lines *in, const char *text)
{
    const size_t n = strlen(text);
    return in->left >= n && memcmp(in->at, text, n) == 0;
}

/* Newer are 2, 4, 6, 7, 8, and 10 and above: see the header. */
enum lines_version lines_version_of(const char *digits, size_t n)
{
    uint64_t x = 0;
    if (lines_decimal(digits, n, &x) != 0 || x == 0 || x == 3 || x == 5 || x == 9)
        return LINES_NONE;
    return x == 1 ? LINES_V1 : LINES_NEWER;
}

enum lines_version lines_version(struct lines *in, const char *family)
{
    struct lines next = *in;
    const char *line = NULL;
    size_t n = 0;
    const size_t skip = strlen(family) + 2;
    if (lines_next(&next, &line, &n) != 0 || n <= skip || !lines_same(line, skip - 2, family) ||
        !lines_same(line + skip - 2, 2, "/v"))
        return LINES_NONE;
    const enum lines_version version = lines_version_of(line + skip, n - skip);
    if (version == LINES_V1)
        *in = next;
    return version;
}

int lines_decimal(const char *text, size_t n, uint64_t *ret)
{
    uint64_t x = 0;
    if (n == 0 || (n > 1 && text[0] == '0'))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || x > (UINT64_MAX - digit) / 10)
            return -1;
        x = x * 10 + digit;
    }
    *ret = x;
    return 0;
}

/* ---------------------------------------------------------------- writing */

void lines_put(struct byte_writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

void lines_put_decimal(struct byte_writer *w, uint64_t x)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, x);
    lines_put(w, text);
}

void lines_put_base64_text(struct byte_writer *w, const void *bytes, size_t n)
{
    const size_t chars = BASE64_CHARS(n);
    if (w->failed || (w->at && w->size - w->used <= chars)) {
        w->failed = 1;
        return;
    }
    if (w->at)
        base64_format(bytes, n, (char *)w->at + w->used);
    w->used += chars;
}

void lines_put_base64(struct byte_writer *w, const void *bytes, size_t n)
{
    lines_put_base64_text(w, bytes, n);
    lines_put(w, "\n");
}
