/*
 * The results of a long measurement: one JSON object a line, each with the name of its run in
 * "run".  A finished run is a line, so a measurement that was stopped and is started again does
 * only what is missing.  One thread.
 */
#ifndef LETHE_BENCH_RESULTS_FILE_H
#define LETHE_BENCH_RESULTS_FILE_H

#include <jansson.h>

struct results_file {
    const char *path; /* borrowed */
    json_t *lines;    /* array: the results so far, finished earlier or now */
};

/*
 * Reads the lines that are there; a file that is not there has none.  A torn last line (no room, a
 * crash) is not one.
 */
void results_file_init(struct results_file *r, const char *path);
void results_file_fini(struct results_file *r);

/* 1 if a line of this run is there. */
int results_file_has(const struct results_file *r, const char *run);
/*
 * Adds a line, which is taken, and makes sure that it is on the disk.  -1 with errno: it may not
 * be, and is not in r->lines.
 */
int results_file_add(struct results_file *r, json_t *line);

#endif
