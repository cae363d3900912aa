/*
 * One line on the terminal that is written over and over.  Off: every call does nothing.  The line
 * is cut to the width of the terminal and drawn at most ten times a second.
 */
#ifndef LETHE_CLI_BAR_H
#define LETHE_CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BAR_LINE_SIZE 512

struct bar {
    FILE *out;
    bool on;
    bool unicode;
    bool drawn;
    int columns;      /* of the terminal */
    int64_t last_us;  /* of the last drawing */
    int64_t start_us; /* of the bar */
};

/* `on` says whether `out` is a terminal that wants it. */
void bar_init(struct bar *b, FILE *out, bool on, bool unicode);
/* Draws `line`; `always` ignores the limit of ten a second. */
void bar_draw(struct bar *b, bool always, const char *line);
/* Takes the line away. */
void bar_end(struct bar *b);

/* `width` cells, share 0..1 of them full, into text of 3 * width + 3 bytes. */
void bar_cells(double share, uint32_t width, bool unicode, char *text);
/* Keeps the first `columns` code points of a text. */
void bar_cut(char *text, int columns);
/* "  43 %  12.1 MiB of 28.0 MiB  9.8 MiB/s  2 s left" after a label and cells. */
void bar_transfer(struct bar *b, const char *label, uint64_t done, uint64_t total);

#endif
