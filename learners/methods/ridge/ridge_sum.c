#include "learners/methods/ridge/ridge_sum.h"

#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/math/gemm.h"
#include "learners/methods/ridge/ridge_map.h"

#define TILE       128 /* rows and columns of the Gram matrix that one work item computes */
#define SIGNED_BIT 0x80u
#define MAX_BYTES  7

/* A product of a chunk is exact in f32: all partial sums are whole numbers below 2^24. */
_Static_assert((uint64_t)RIDGE_SUM_CHUNK *RIDGE_MAP_LEVELS *RIDGE_MAP_LEVELS < 1u << 24,
               "chunk too long for exact sums");
/* And a sum is exact in double. */
_Static_assert((uint64_t)RIDGE_SUM_MAX_IMAGES *RIDGE_MAP_LEVELS *RIDGE_MAP_LEVELS < 1ull << 53,
               "too many images for exact sums");

size_t ridge_sum_plan(size_t width, uint32_t columns, uint32_t threads)
{
    struct arena_plan p = {0};
    size_t square;
    if (!size_mul(width, width, &square))
        return SIZE_MAX;
    arena_plan_add(&p, columns, sizeof(uint64_t));
    arena_plan_add(&p, square, sizeof(double));
    arena_plan_add(&p, columns, width * sizeof(double));
    arena_plan_add(&p, threads, TILE * TILE * sizeof(float));
    return arena_plan_bytes(&p);
}

enum status ridge_sum_init(
    struct ridge_sum *s, size_t width, uint32_t columns, struct pool *pool, struct arena *arena)
{
    *s = (struct ridge_sum){.width = width, .columns = columns, .pool = pool};
    s->positives = arena_alloc(arena, columns, sizeof *s->positives);
    s->gram = arena_alloc(arena, width * width, sizeof *s->gram);
    s->products = arena_alloc(arena, columns, width * sizeof *s->products);
    s->tiles = arena_alloc(arena, pool_threads(pool), TILE * TILE * sizeof *s->tiles);
    if (!s->positives || !s->gram || !s->products || !s->tiles)
        return STATUS_NO_MEMORY;
    ridge_sum_clear(s);
    return STATUS_OK;
}

void ridge_sum_clear(struct ridge_sum *s)
{
    s->n = 0;
    memset(s->positives, 0, s->columns * sizeof *s->positives);
    memset(s->gram, 0, s->width * s->width * sizeof *s->gram);
    memset(s->products, 0, s->columns * s->width * sizeof *s->products);
}

/* ------------------------------------------------------------------ adding rows */

struct gram_call {
    struct ridge_sum *s;
    const float *rows; /* [n, P] */
    uint32_t n;
};

/* Item i of the tiles on and above the diagonal, column of tiles by column of tiles. */
static void tile_of(uint32_t i, size_t *ret_row, size_t *ret_col)
{
    size_t col = 0;
    while (i > col) {
        i -= (uint32_t)col + 1;
        col++;
    }
    *ret_row = i;
    *ret_col = col;
}

static void add_tile(void *context, uint32_t i, uint32_t thread)
{
    const struct gram_call *call = context;
    struct ridge_sum *s = call->s;
    const size_t p = s->width;
    size_t row, col;
    tile_of(i, &row, &col);
    row *= TILE;
    col *= TILE;
    const size_t height = p - row < TILE ? p - row : TILE, width = p - col < TILE ? p - col : TILE;
    float *tile = s->tiles + (size_t)thread * TILE * TILE;
    const struct gemm_dims d = {height, width, call->n, p, p, TILE};
    gemm_tn(&d, 1.0f, call->rows + row, call->rows + col, 0.0f, tile);
    for (size_t a = 0; a < height; a++) {
        double *restrict out = s->gram + (row + a) * p + col;
        const float *restrict from = tile + a * TILE;
        for (size_t b = 0; b < width; b++)
            out[b] += (double)from[b];
    }
}

static void add_products(struct ridge_sum *s, const float *rows, uint32_t n, const uint8_t *hot)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *restrict row = rows + i * s->width;
        for (uint32_t c = 0; c < s->columns; c++) {
            if (hot && !hot[(size_t)i * s->columns + c])
                continue;
            double *restrict out = s->products + c * s->width;
            s->positives[c]++;
            for (size_t j = 0; j < s->width; j++)
                out[j] += (double)row[j];
        }
    }
}

void ridge_sum_add(struct ridge_sum *s, const float *rows, uint32_t n, const uint8_t *hot)
{
    INVARIANT(s->n + n <= RIDGE_SUM_MAX_IMAGES);
    const size_t tiles = (s->width + TILE - 1) / TILE;
    for (uint32_t at = 0; at < n; at += RIDGE_SUM_CHUNK) {
        const uint32_t left = n - at;
        struct gram_call call = {s, rows + at * s->width,
                                 left < RIDGE_SUM_CHUNK ? left : RIDGE_SUM_CHUNK};
        pool_run(s->pool, add_tile, &call, (uint32_t)(tiles * (tiles + 1) / 2));
    }
    add_products(s, rows, n, hot);
    s->n += n;
}

/* ------------------------------------------------------------------ packing */

/* Bytes of a number whose size is at most x, unsigned. */
static uint32_t bytes_of(uint64_t x)
{
    uint32_t n = 1;
    while (n < 8 && x >> (8 * n))
        n++;
    return n;
}

size_t ridge_sum_packed_bound(size_t width, uint32_t columns, uint64_t n)
{
    /* one bit for the sign */
    const uint64_t largest = n * RIDGE_MAP_LEVELS * RIDGE_MAP_LEVELS * 2;
    const size_t numbers = width * (width + 1) / 2 + columns * width;
    return n == 0 ? 0 : numbers * bytes_of(largest) + width + columns;
}

/* How a row of whole numbers is written. */
static uint8_t form_of(const double *x, size_t n)
{
    double low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (low >= 0)
        return (uint8_t)bytes_of((uint64_t)high);
    /* two's complement of w bytes holds -2^(8w-1) .. 2^(8w-1) - 1 */
    const uint64_t below = (uint64_t)(-low) - 1, above = (uint64_t)high;
    return (uint8_t)(SIGNED_BIT | bytes_of(2 * (below > above ? below : above) + 1));
}

static void pack_row(const double *x, size_t n, struct byte_writer *w)
{
    const uint8_t form = form_of(x, n);
    const uint32_t bytes = form & ~SIGNED_BIT;
    INVARIANT(bytes <= MAX_BYTES);
    put_u8(w, form);
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = (uint64_t)(int64_t)x[i];
        uint8_t out[8];
        for (uint32_t b = 0; b < bytes; b++)
            out[b] = (uint8_t)(bits >> (8 * b));
        put_bytes(w, out, bytes);
    }
}

void ridge_sum_pack(const struct ridge_sum *s, struct byte_writer *w)
{
    if (s->n == 0)
        return;
    for (size_t i = 0; i < s->width; i++)
        pack_row(s->gram + i * s->width + i, s->width - i, w);
    for (uint32_t c = 0; c < s->columns; c++)
        pack_row(s->products + c * s->width, s->width, w);
}

/* ------------------------------------------------------------------ reading */

static inline int64_t unpacked(const uint8_t *at, uint32_t bytes, int is_signed)
{
    uint64_t bits = 0;
    for (uint32_t b = 0; b < bytes; b++)
        bits |= (uint64_t)at[b] << (8 * b);
    if (is_signed && bits >> (8 * bytes - 1))
        bits |= ~(uint64_t)0 << (8 * bytes);
    return (int64_t)bits;
}

/* Largest and smallest number of a row. */
struct row_range {
    int64_t low, high;
};

static struct row_range range_of(const uint8_t *at, size_t n, uint8_t form)
{
    const uint32_t bytes = form & ~SIGNED_BIT;
    struct row_range range = {INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < n; i++) {
        const int64_t x = unpacked(at + i * bytes, bytes, form & SIGNED_BIT);
        range.low = x < range.low ? x : range.low;
        range.high = x > range.high ? x : range.high;
    }
    return range;
}

/* One row of n numbers, none larger than limit in size. */
static enum status check_row(struct byte_reader *r, size_t n, int64_t limit, struct fault *f)
{
    const uint8_t form = get_u8(r);
    const uint32_t bytes = form & ~SIGNED_BIT;
    if (r->failed || bytes < 1 || bytes > MAX_BYTES || (r->size - r->used) / bytes < n)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a row of a sum is cut short");
    const uint8_t *at = r->at + r->used;
    r->used += n * bytes;
    const struct row_range range = range_of(at, n, form);
    const double ends[2] = {(double)range.low, (double)range.high};
    if (range.low < -limit || range.high > limit)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a sum is larger than its images allow");
    if (form_of(ends, 2) != form)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a row of a sum is not in its shortest form");
    return STATUS_OK;
}

/* First number of the row that starts at `at`. */
static int64_t first_of(const uint8_t *at)
{
    return unpacked(at + 1, at[0] & ~SIGNED_BIT, at[0] & SIGNED_BIT);
}

/* The last number of the row of n numbers that starts at `at`. */
static int64_t last_of(const uint8_t *at, size_t n)
{
    const uint32_t bytes = at[0] & ~SIGNED_BIT;
    return unpacked(at + 1 + (n - 1) * bytes, bytes, at[0] & SIGNED_BIT);
}

enum status ridge_packed_read(struct byte_reader *r, struct ridge_packed *p, struct fault *f)
{
    if (p->n > RIDGE_SUM_MAX_IMAGES)
        FAIL(f, STATUS_BAD_FORMAT, "term", "%llu images are more than the limit of %u",
             (unsigned long long)p->n, RIDGE_SUM_MAX_IMAGES);
    const int64_t level = RIDGE_MAP_LEVELS;
    const size_t start = r->used;
    p->bytes = r->at + start;
    p->size = 0;
    if (p->n == 0)
        return STATUS_OK;
    for (size_t i = 0; i < p->width; i++) {
        const uint8_t *row = r->at + r->used;
        TRY(check_row(r, p->width - i, (int64_t)p->n * level * level, f));
        if (first_of(row) < 0)
            FAIL(f, STATUS_BAD_FORMAT, "term", "the diagonal of a Gram matrix is negative");
        /* the last feature is 1 for every image */
        if (i + 1 == p->width && first_of(row) != (int64_t)p->n)
            FAIL(f, STATUS_BAD_FORMAT, "term", "a Gram matrix does not have its number of images");
    }
    for (uint32_t c = 0; c < p->columns; c++) {
        const uint8_t *row = r->at + r->used;
        TRY(check_row(r, p->width, (int64_t)p->positives[c] * level, f));
        if (p->positives[c] > p->n || last_of(row, p->width) != (int64_t)p->positives[c])
            FAIL(f, STATUS_BAD_FORMAT, "term", "a class does not have its number of images");
    }
    p->size = r->used - start;
    return STATUS_OK;
}

/* out += weight * row; returns what follows the row. */
static const uint8_t *add_row(const uint8_t *at, size_t n, double weight, double *out)
{
    const uint8_t form = *at++;
    const uint32_t bytes = form & ~SIGNED_BIT;
    for (size_t i = 0; i < n; i++)
        out[i] += weight * (double)unpacked(at + i * bytes, bytes, form & SIGNED_BIT);
    return at + n * bytes;
}

void ridge_packed_add_gram(const struct ridge_packed *p, double weight, double *gram)
{
    const uint8_t *at = p->bytes;
    for (size_t i = 0; p->n && i < p->width; i++)
        at = add_row(at, p->width - i, weight, gram + i * p->width + i);
}

void ridge_packed_add_products(const struct ridge_packed *p, double weight, double *products)
{
    const uint8_t *at = p->bytes;
    for (size_t i = 0; p->n && i < p->width; i++)
        at += 1 + (p->width - i) * (size_t)(*at & ~SIGNED_BIT);
    for (uint32_t c = 0; p->n && c < p->columns; c++)
        at = add_row(at, p->width, weight, products + c * p->width);
}
