#include "learners/methods/ridge/ridge_solve.h"

#include <math.h>
#include <stdint.h>

#include "learners/math/vector.h"

#define PANEL 64 /* rows factored before the rest is updated */
#define TILE  64 /* side of one work item's tile */
#define STRIP 32 /* columns whose sums stay in registers */
#define LANES 8  /* partial sums of a dot product */

/* ------------------------------------------------------------------ factor */

/* y -= a x */
static inline void subtract_scaled(double *restrict y, double a, const double *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= a * x[i];
}

/* Rows at .. at + rows - 1 of U, given that the earlier rows were taken off. */
VECTOR_CLONES static int factor_panel(double *A, size_t n, size_t at, size_t rows)
{
    for (size_t k = at; k < at + rows; k++) {
        double *row = A + k * n;
        if (!(row[k] > 0.0))
            return -1;
        row[k] = sqrt(row[k]);
        for (size_t j = k + 1; j < n; j++)
            row[j] /= row[k];
        for (size_t i = k + 1; i < at + rows; i++)
            subtract_scaled(A + i * n + i, row[i], row + i, n - i);
    }
    return 0;
}

struct update {
    double *A;
    size_t n;
    size_t from; /* first row of the panel */
    size_t rows; /* of the panel */
};

/* Columns at .. at + TILE - 1 of the panel, zero beyond the matrix: out [PANEL, TILE]. */
static inline void load_columns(const struct update *u, size_t at, double *out)
{
    const size_t width = u->n - at < TILE ? u->n - at : TILE;
    for (size_t k = 0; k < PANEL; k++, out += TILE) {
        const size_t some = k < u->rows ? width : 0;
        const double *row = u->A + (u->from + (some ? k : 0)) * u->n + at;
        for (size_t j = 0; j < some; j++)
            out[j] = row[j];
        for (size_t j = some; j < TILE; j++)
            out[j] = 0.0;
    }
}

/*
 * The two functions that take nearly all the time read tiles of fixed size: AddressSanitizer's
 * checks in them would make a solution twenty times slower and tell nothing.  The inner one touches
 * nothing but its caller's stack, where ThreadSanitizer has nothing to find either.
 */
#define UNCHECKED  __attribute__((no_sanitize_address))
#define STACK_ONLY __attribute__((no_sanitize_thread))

/* acc = sum over the panel's rows, in order, of a's column i times STRIP columns of x. */
UNCHECKED STACK_ONLY static inline void
strip(const double *restrict a, const double *restrict x, size_t i, double acc[STRIP])
{
    double sum[STRIP] = {0};
    for (size_t k = 0; k < PANEL; k++)
        for (size_t j = 0; j < STRIP; j++)
            sum[j] += a[k * TILE + i] * x[k * TILE + j];
    for (size_t j = 0; j < STRIP; j++)
        acc[j] = sum[j];
}

/*
 * The tile of the trailing part at (i0, j0) -= (panel columns i)' (panel columns j), from copies of
 * both that lie together.
 */
VECTOR_CLONES UNCHECKED static void update_tile(const struct update *u, size_t i0, size_t j0)
{
    double a[PANEL * TILE], x[PANEL * TILE], acc[TILE];
    const size_t n = u->n, height = n - i0 < TILE ? n - i0 : TILE;
    const size_t width = n - j0 < TILE ? n - j0 : TILE;
    load_columns(u, i0, a);
    load_columns(u, j0, x);
    for (size_t i = 0; i < height; i++) {
        for (size_t j = 0; j < TILE; j += STRIP)
            strip(a, x + j, i, acc + j);
        double *restrict out = u->A + (i0 + i) * n + j0;
        for (size_t j = i0 + i > j0 ? i0 + i - j0 : 0; j < width; j++)
            out[j] -= acc[j];
    }
}

/* Work item t: one tile on or above the diagonal of what lies behind the panel. */
static void update_item(void *context, uint32_t t, uint32_t thread)
{
    (void)thread;
    const struct update *u = context;
    size_t col = 0;
    while (t > col) {
        t -= (uint32_t)col + 1;
        col++;
    }
    const size_t start = u->from + u->rows;
    update_tile(u, start + t * TILE, start + col * TILE);
}

int ridge_solve_factor(double *A, size_t n, struct pool *pool)
{
    for (size_t at = 0; at < n; at += PANEL) {
        struct update u = {A, n, at, n - at < PANEL ? n - at : PANEL};
        if (factor_panel(A, n, at, u.rows) != 0)
            return -1;
        const size_t tiles = (n - at - u.rows + TILE - 1) / TILE;
        pool_run(pool, update_item, &u, (uint32_t)(tiles * (tiles + 1) / 2));
    }
    return 0;
}

/* ------------------------------------------------------------------ apply */

/* Sum of n products in LANES partial sums. */
static inline double dot(const double *restrict a, const double *restrict b, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += a[i + j] * b[i + j];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

struct right_sides {
    const double *A; /* U, or G */
    size_t n;
    double *X;
    const double *given;
    double *terms;
};

VECTOR_CLONES static void apply_row(const double *U, size_t n, double *x)
{
    for (size_t k = 0; k < n; k++) {
        x[k] /= U[k * n + k];
        subtract_scaled(x + k + 1, x[k], U + k * n + k + 1, n - k - 1);
    }
    for (size_t k = n; k-- > 0;)
        x[k] = (x[k] - dot(U + k * n + k + 1, x + k + 1, n - k - 1)) / U[k * n + k];
}

static void apply_item(void *context, uint32_t i, uint32_t thread)
{
    (void)thread;
    const struct right_sides *r = context;
    apply_row(r->A, r->n, r->X + i * r->n);
}

void ridge_solve_apply(const double *U, size_t n, double *X, size_t m, struct pool *pool)
{
    struct right_sides r = {.A = U, .n = n, .X = X};
    pool_run(pool, apply_item, &r, (uint32_t)m);
}

/* x G x' = sum over i of x_i (G_ii x_i + 2 sum over j > i of G_ij x_j) */
VECTOR_CLONES static double form_row(const double *G, size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double *row = G + i * n;
        sum += x[i] * (row[i] * x[i] + 2.0 * dot(row + i + 1, x + i + 1, n - i - 1));
    }
    return sum;
}

static void form_item(void *context, uint32_t i, uint32_t thread)
{
    (void)thread;
    const struct right_sides *r = context;
    r->terms[i] = form_row(r->A, r->n, r->given + i * r->n);
}

double ridge_solve_form(
    const double *G, size_t n, const double *X, size_t m, double *terms, struct pool *pool)
{
    struct right_sides r = {.A = G, .n = n, .given = X, .terms = terms};
    pool_run(pool, form_item, &r, (uint32_t)m);
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        sum += terms[i];
    return sum;
}
