#include "client/cli/text_table.h"

#include "daemon/base/sysio.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#define CELL_SIZE 256

struct text_table {
    size_t columns;
    size_t cells; /* filled, header included */
    size_t room;
    bool right[TEXT_TABLE_COLUMNS];
    char (*text)[CELL_SIZE];
};

static bool grow(struct text_table *t)
{
    if (t->cells < t->room)
        return true;
    const size_t room = t->room > 0 ? 2 * t->room : (size_t)8 * TEXT_TABLE_COLUMNS;
    char(*text)[CELL_SIZE] = sysio_alloc(room, CELL_SIZE);
    if (!text)
        return false;
    if (t->text)
        memcpy(text, t->text, t->cells * CELL_SIZE);
    sysio_free(t->text);
    t->text = text;
    t->room = room;
    return true;
}

struct text_table *text_table_new(const char *headers)
{
    struct text_table *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return NULL;
    for (const char *at = headers; t->columns < TEXT_TABLE_COLUMNS;) {
        t->right[t->columns] = *at == '>';
        at += *at == '>';
        const size_t n = strcspn(at, "|");
        t->columns++;
        text_table_add(t, "%.*s", (int)(n & 0xff), at);
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    return t;
}

void text_table_free(struct text_table *t)
{
    if (!t)
        return;
    sysio_free(t->text);
    sysio_free(t);
}

void text_table_add(struct text_table *t, const char *format, ...)
{
    if (!t || !grow(t))
        return;
    char *cell = t->text[t->cells++];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(cell, CELL_SIZE, format, args);
    va_end(args);
    for (char *c = cell; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

size_t text_table_rows(const struct text_table *t)
{
    return t ? t->cells / t->columns - 1 : 0;
}

size_t text_table_width(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void measure(const struct text_table *t, size_t widths[TEXT_TABLE_COLUMNS])
{
    memset(widths, 0, TEXT_TABLE_COLUMNS * sizeof *widths);
    for (size_t i = 0; i < t->cells; i++) {
        const size_t w = text_table_width(t->text[i]);
        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
}

static void blanks(FILE *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)fputc(' ', out);
}

void text_table_print(const struct text_table *t, FILE *out, int indent)
{
    if (!t)
        return;
    size_t widths[TEXT_TABLE_COLUMNS];
    measure(t, widths);
    for (size_t row = 0; (row + 1) * t->columns <= t->cells; row++) {
        size_t owed = indent > 0 ? (size_t)indent : 0; /* blanks not yet written */
        for (size_t c = 0; c < t->columns; c++) {
            const char *cell = t->text[row * t->columns + c];
            const size_t pad = widths[c] - text_table_width(cell);
            owed += t->right[c] ? pad : 0;
            if (cell[0] != '\0') {
                blanks(out, owed);
                (void)fputs(cell, out);
                owed = 0;
            }
            owed += 2 + (t->right[c] ? 0 : pad);
        }
        (void)fputc('\n', out);
    }
}
