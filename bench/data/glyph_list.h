/*
 * The class list of a glyph data set: lines "U+0041<tab>class name<tab>reason" in class order;
 * lines that begin with # are comments.
 */
#ifndef LETHE_BENCH_GLYPH_LIST_H
#define LETHE_BENCH_GLYPH_LIST_H

#include "daemon/base/status.h"

#include <stdint.h>

#define GLYPH_LIST_MAX  256u
#define GLYPH_NAME_SIZE 32u

struct glyph_list {
    uint32_t n;
    uint32_t code[GLYPH_LIST_MAX];
    char name[GLYPH_LIST_MAX][GLYPH_NAME_SIZE];
};

/* BAD_FORMAT naming the line: not of this form, a code point or name twice, too many, none.
 * `text` ends with NUL. */
enum status
glyph_list_parse(const char *text, struct glyph_list *ret_list, struct fault *f) MUST_CHECK;
enum status
glyph_list_read(const char *path, struct glyph_list *ret_list, struct fault *f) MUST_CHECK;
/* Index of a code point, list->n if it is not there. */
uint32_t glyph_list_find(const struct glyph_list *list, uint32_t code);

#endif
