/*
 * The corpus of a fuzz target: every file of a folder, replayed as it is and mutated.  Inline, for
 * the ordinary build of fuzz tests (tests/support/mutate.h).
 */
#ifndef LETHE_TESTS_SUPPORT_CORPUS_H
#define LETHE_TESTS_SUPPORT_CORPUS_H

#include "tests/support/mutate.h"
#include "tests/support/test.h"

#include "daemon/base/sysio.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS_FILES 64
#define CORPUS_BYTES 16384

struct corpus {
    struct mutate_input inputs[CORPUS_FILES];
    size_t n;
};

static inline void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < c->n; i++)
        sysio_free(c->inputs[i].bytes);
    c->n = 0;
}

static inline void corpus_load_one(struct corpus *c, const char *folder, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    struct mutate_input *in = &c->inputs[c->n];
    assert_true(c->n < CORPUS_FILES);
    assert_int_equal(sysio_read_file(path, CORPUS_BYTES, &in->bytes, &in->size, NULL), STATUS_OK);
    c->n++;
}

/* In the order of the names; fails the test if there are fewer than `least`. */
static inline void corpus_load(struct corpus *c, const char *folder, size_t least)
{
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, NULL, alphasort);
    c->n = 0;
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.')
            corpus_load_one(c, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_true(c->n >= least);
}

/* Every input as it is, then `rounds` mutations of each. */
static inline void
corpus_run(struct corpus *c, const char *stream, unsigned rounds, mutate_target *target)
{
    struct mutate_plan plan = {.stream = stream,
                               .rounds = rounds,
                               .room = CORPUS_BYTES,
                               .signs = "0123456789abcdef /+=:.-\n",
                               .others = c->inputs,
                               .n_others = c->n};
    for (size_t i = 0; i < c->n; i++) {
        plan.index = i;
        mutate_run(c->inputs[i].bytes, c->inputs[i].size, target);
        if (c->inputs[i].size > 0)
            mutate_rounds(c->inputs[i].bytes, c->inputs[i].size, &plan, target);
    }
}

#endif
