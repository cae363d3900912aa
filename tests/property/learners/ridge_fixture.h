/*
 * Feature rows of synthetic clusters and terms made of them without a network, for the tests of the
 * router.  Rows are whole numbers 0..255 and end in the constant 1.
 */
#ifndef LETHE_TESTS_RIDGE_FIXTURE_H
#define LETHE_TESTS_RIDGE_FIXTURE_H

#include "daemon/base/rng.h"
#include "learners/math/gemm.h"
#include "learners/methods/ridge/ridge_map.h"
#include "learners/methods/ridge/ridge_router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ridge_fixture {
    void *pool_memory, *arena_memory;
    struct pool *pool;
    struct arena arena;
};

static inline void ridge_fixture_open(struct ridge_fixture *x, uint32_t threads)
{
    const size_t size = (size_t)48 << 20;
    x->pool_memory = malloc(pool_plan(threads));
    x->arena_memory = malloc(size);
    if (!x->pool_memory || !x->arena_memory || gemm_setup(NULL) != STATUS_OK ||
        pool_init(x->pool_memory, threads, &x->pool) != STATUS_OK)
        abort();
    arena_init(&x->arena, x->arena_memory, size);
}

static inline void ridge_fixture_close(struct ridge_fixture *x)
{
    pool_fini(x->pool);
    arena_fini(&x->arena);
    free(x->pool_memory);
    free(x->arena_memory);
}

/* Image i of class c: the class's centre and noise, width numbers.  In the arena. */
static inline float *
ridge_fixture_rows(struct ridge_fixture *x, uint32_t c, uint32_t first, uint32_t n, size_t width)
{
    float *rows = arena_alloc(&x->arena, n, width * sizeof *rows);
    if (!rows)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        struct rng centre, noise;
        rng_init(&centre, &(struct rng_root){.seed = 5}, "centre", c);
        rng_init(&noise, &(struct rng_root){.seed = 6}, "noise", c * 100000u + first + i);
        for (size_t j = 0; j + 1 < width; j++) {
            const float v = 90.0f + 25.0f * rng_normal(&centre) + 40.0f * rng_normal(&noise);
            rows[i * width + j] = (float)(int)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
        rows[i * width + width - 1] = 1.0f;
    }
    return rows;
}

/* The packed sum of rows, in the arena. */
static inline struct ridge_packed ridge_fixture_pack(struct ridge_fixture *x,
                                                     const float *rows,
                                                     uint32_t n,
                                                     size_t width,
                                                     const uint8_t *hot,
                                                     uint32_t columns)
{
    struct ridge_sum sum;
    uint64_t *positives = arena_alloc_zero(&x->arena, columns, sizeof *positives);
    const size_t bound = ridge_sum_packed_bound(width, columns, n);
    uint8_t *bytes = arena_alloc(&x->arena, bound + 1, 1);
    const struct arena_mark mark = arena_mark(&x->arena);
    if (!positives || !bytes ||
        ridge_sum_init(&sum, width, columns, x->pool, &x->arena) != STATUS_OK)
        abort();
    ridge_sum_add(&sum, rows, n, hot);
    struct byte_writer w = byte_writer_make(bytes, bound);
    ridge_sum_pack(&sum, &w);
    if (w.failed)
        abort();
    memcpy(positives, sum.positives, columns * sizeof *positives);
    arena_rewind(&x->arena, mark);
    return (struct ridge_packed){width, columns, n, positives, bytes, w.used};
}

static inline struct ridge_options ridge_fixture_options(size_t width)
{
    struct ridge_options o;
    ridge_options_default(&o);
    o.features = (uint32_t)width - 1;
    return o;
}

/* Terms of owner `name` with classes first .. first + n - 1, named "class00" and so on. */
static inline struct ridge_terms *ridge_fixture_terms(struct ridge_fixture *x,
                                                      const char *name,
                                                      uint32_t first,
                                                      uint32_t n,
                                                      uint32_t n_fit,
                                                      uint32_t n_held,
                                                      size_t width)
{
    struct ridge_terms *t = arena_alloc_zero(&x->arena, 1, sizeof *t);
    t->options = ridge_fixture_options(width);
    t->width = width;
    t->n = n;
    t->terms = arena_alloc_zero(&x->arena, n, sizeof *t->terms);
    memset(t->origin.base.b, 7, DIGEST_SIZE);
    memset(t->origin.state.b, 8, DIGEST_SIZE);
    (void)snprintf(t->owner, sizeof t->owner, "%s", name);
    for (uint32_t c = 0; c < n; c++) {
        char *text = arena_alloc(&x->arena, 16, 1);
        const char **names = arena_alloc(&x->arena, 1, sizeof *names);
        (void)snprintf(text, 16, "class%02u", (first + c) % 100);
        names[0] = text;
        const float *fit = ridge_fixture_rows(x, first + c, 0, n_fit, width);
        const float *held = ridge_fixture_rows(x, first + c, n_fit, n_held, width);
        t->terms[c].n_classes = 1;
        t->terms[c].classes = names;
        t->terms[c].fit = ridge_fixture_pack(x, fit, n_fit, width, NULL, 1);
        t->terms[c].held = ridge_fixture_pack(x, held, n_held, width, NULL, 1);
    }
    return t;
}

#endif
