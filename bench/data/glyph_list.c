#include "bench/data/glyph_list.h"

#include "daemon/base/sysio.h"

#include <string.h>

#define FILE_MAX  (1u << 20)
#define CODE_MAX  0x10ffffu
#define MAX_DIGIT 6

uint32_t glyph_list_find(const struct glyph_list *list, uint32_t code)
{
    uint32_t i = 0;
    while (i < list->n && list->code[i] != code)
        i++;
    return i;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "U+" and hexadecimal digits up to a tab; NULL if it is something else. */
static const char *read_code(const char *at, uint32_t *ret_code)
{
    uint32_t code = 0;
    int digits = 0;
    if (strncmp(at, "U+", 2) != 0)
        return NULL;
    for (at += 2; digit_of(*at) >= 0 && digits < MAX_DIGIT; at++, digits++)
        code = code * 16 + (uint32_t)digit_of(*at);
    if (digits == 0 || *at != '\t' || code > CODE_MAX)
        return NULL;
    *ret_code = code;
    return at + 1;
}

static enum status
read_line(const char *line, size_t n, uint32_t number, struct glyph_list *list, struct fault *f)
{
    uint32_t code = 0;
    const char *name = read_code(line, &code);
    const char *end = name ? memchr(name, '\t', (size_t)(line + n - name)) : NULL;
    if (!end || end == name || end + 1 == line + n)
        FAIL(f, STATUS_BAD_FORMAT, "classes",
             "line %u is not \"U+<hexadecimal><tab>name<tab>reason\"", number);
    const size_t n_name = (size_t)(end - name);
    if (n_name >= GLYPH_NAME_SIZE)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "line %u: a name of more than %u bytes", number,
             GLYPH_NAME_SIZE - 1);
    if (list->n == GLYPH_LIST_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "line %u: more than %u classes", number,
             GLYPH_LIST_MAX);
    char *to = list->name[list->n];
    memcpy(to, name, n_name);
    to[n_name] = '\0';
    for (uint32_t i = 0; i < list->n; i++)
        if (list->code[i] == code || strcmp(list->name[i], to) == 0)
            FAIL(f, STATUS_BAD_FORMAT, "classes", "line %u: a code point or name twice", number);
    list->code[list->n++] = code;
    return STATUS_OK;
}

enum status glyph_list_parse(const char *text, struct glyph_list *ret_list, struct fault *f)
{
    memset(ret_list, 0, sizeof *ret_list);
    uint32_t number = 1;
    for (const char *line = text; *line != '\0'; number++) {
        const size_t n = strcspn(line, "\n");
        if (n > 0 && line[0] != '#')
            TRY(read_line(line, n, number, ret_list, f));
        line += n + (line[n] == '\n');
    }
    if (ret_list->n == 0)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "no class in %u lines", number - 1);
    return STATUS_OK;
}

enum status glyph_list_read(const char *path, struct glyph_list *ret_list, struct fault *f)
{
    unsigned char *text = NULL;
    size_t n = 0;
    TRY(sysio_read_file(path, FILE_MAX, &text, &n, f));
    const enum status st = glyph_list_parse((const char *)text, ret_list, f);
    sysio_free(text);
    return st;
}
