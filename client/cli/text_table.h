/*
 * Tables for people: columns as wide as their widest cell, two blanks apart, a header line, no
 * rules.  Width is counted in code points of UTF-8.  Control characters in cells become "?", so
 * that a label cannot steer the terminal.  Cells are copied.
 */
#ifndef LETHE_CLI_TEXT_TABLE_H
#define LETHE_CLI_TEXT_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TEXT_TABLE_COLUMNS 12

struct text_table;

/* Column headers, separated by "|"; one that begins with ">" is aligned to the right.
 * NULL without memory; all functions take NULL then and do nothing. */
struct text_table *text_table_new(const char *headers);
void text_table_free(struct text_table *t);

/* Sets the next cell of the current row; rows end by themselves after the last column. */
void text_table_add(struct text_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
size_t text_table_rows(const struct text_table *t);
/* Prints header and rows, each line after `indent` blanks and without blanks at its end. */
void text_table_print(const struct text_table *t, FILE *out, int indent);

/* Code points of a text. */
size_t text_table_width(const char *text);

#endif
