/*
 * Sums over the feature rows of some images: their number, the Gram matrix F'F and, for each class,
 * the number of its images and the sum of their rows (the feature-label products F'Y of multi-hot
 * targets).  Rows are whole numbers of at most RIDGE_MAP_LEVELS, so every sum is a whole number and
 * exact in double up to RIDGE_SUM_MAX_IMAGES images: the result does not depend on the order of the
 * images, on how they are cut into batches, on threads or on the BLAS kernel, to the bit.
 *
 * Packed form (what a term stores), for the upper triangle row by row, then for the class sums row
 * by row: one byte w and the row's numbers in w bytes each, little-endian; unsigned, or two's
 * complement if 0x80 is set in the first byte (then some number is negative); w is the least that
 * fits, 1..7.
 */
#ifndef LETHE_LEARNERS_RIDGE_SUM_H
#define LETHE_LEARNERS_RIDGE_SUM_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_SUM_MAX_IMAGES (1u << 28)
#define RIDGE_SUM_CHUNK      256 /* rows of one exact product in f32 */

struct ridge_sum {
    size_t width;     /* P */
    uint32_t columns; /* classes */
    uint64_t n;
    uint64_t *positives; /* [columns] */
    double *gram;        /* [P, P], upper triangle */
    double *products;    /* [columns, P] */
    float *tiles;        /* one a thread */
    struct pool *pool;   /* borrowed */
};

size_t ridge_sum_plan(size_t width, uint32_t columns, uint32_t threads);
/* NO_MEMORY; the sum is empty. */
enum status ridge_sum_init(struct ridge_sum *s,
                           size_t width,
                           uint32_t columns,
                           struct pool *pool,
                           struct arena *arena) MUST_CHECK;
void ridge_sum_clear(struct ridge_sum *s);
/*
 * Adds n rows [n, P] of whole numbers.  hot [n, columns], 1: the image has the class; NULL: every
 * image has every class (one class a sum).
 */
void ridge_sum_add(struct ridge_sum *s, const float *rows, uint32_t n, const uint8_t *hot);

/* Most bytes that the packed form of a sum over n images can take. */
size_t ridge_sum_packed_bound(size_t width, uint32_t columns, uint64_t n);
/* Writes the packed form. */
void ridge_sum_pack(const struct ridge_sum *s, struct byte_writer *w);

/* A packed sum whose form was checked; borrows its bytes. */
struct ridge_packed {
    size_t width;
    uint32_t columns;
    uint64_t n;
    const uint64_t *positives; /* [columns] */
    const uint8_t *bytes;
    size_t size;
};
/*
 * Checks the packed form at the reader and moves past it; p's first four members are given.
 * BAD_FORMAT: cut short, not the least widths, or numbers that n images cannot have.
 */
enum status
ridge_packed_read(struct byte_reader *r, struct ridge_packed *p, struct fault *f) MUST_CHECK;
/* gram [P, P] upper triangle += weight * Gram matrix. */
void ridge_packed_add_gram(const struct ridge_packed *p, double weight, double *gram);
/* products [columns, P] += weight * class sums. */
void ridge_packed_add_products(const struct ridge_packed *p, double weight, double *products);

#endif
