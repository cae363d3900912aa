/* A folder of IDX files in the form of MNIST whose classes can be told apart at a glance. */
#ifndef LETHE_TESTS_MNIST_FIXTURE_H
#define LETHE_TESTS_MNIST_FIXTURE_H

#include "tests/support/test.h"

#include <stdio.h>

#include "daemon/base/rng.h"

#define MNIST_FIXTURE_SIDE 28u

static inline void mnist_fixture_be32(FILE *file, uint32_t x)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        (void)fputc((int)(x >> shift & 0xff), file);
}

/* A bright square at the place of the class, with noise. */
static inline void mnist_fixture_draw(FILE *file, uint32_t label, struct rng *r)
{
    const uint32_t top = 2 + 12 * (label / 5), left = 2 + 5 * (label % 5);
    for (uint32_t p = 0; p < MNIST_FIXTURE_SIDE * MNIST_FIXTURE_SIDE; p++) {
        const uint32_t row = p / MNIST_FIXTURE_SIDE, col = p % MNIST_FIXTURE_SIDE;
        const int inside = row >= top && row < top + 9 && col >= left && col < left + 4;
        (void)fputc((inside ? 225 : 0) + (int)rng_below(r, 30), file);
    }
}

/* n pictures, class i % 10 for picture i. */
static inline void
mnist_fixture_write(const char *folder, const char *split, uint32_t n, uint32_t side)
{
    char path[512];
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 21}, split, 0);
    (void)snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, split);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    const uint32_t header[] = {0x803, n, side, side};
    for (size_t i = 0; i < 4; i++)
        mnist_fixture_be32(file, header[i]);
    for (uint32_t i = 0; i < n && side == MNIST_FIXTURE_SIDE; i++)
        mnist_fixture_draw(file, i % 10, &r);
    for (uint32_t i = 0; i < n * side * side && side != MNIST_FIXTURE_SIDE; i++)
        (void)fputc(0, file);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, split);
    file = fopen(path, "wb");
    assert_non_null(file);
    mnist_fixture_be32(file, 0x801);
    mnist_fixture_be32(file, n);
    for (uint32_t i = 0; i < n; i++)
        (void)fputc((int)(i % 10), file);
    assert_int_equal(fclose(file), 0);
}

#endif
