#include "learners/math/thin.h"

#include "learners/math/elementwise.h"
#include "learners/math/vector.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

/* As VECTOR_CLONES, but with sets that have a fused multiply-add. */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THIN_CLONES
#else
#define THIN_CLONES __attribute__((target_clones("arch=haswell", "default")))
#endif
#define THIN_AVX512 __attribute__((target("avx512f")))
#define THIN_INLINE static inline __attribute__((always_inline))

#define THIN_ROWS 4 /* of a register tile: 4 x 4 sums of 16 partial sums */
#define THIN_OUTS 4

THIN_INLINE float thin_dot(const float *x, const float *w, size_t n)
{
    float lane[VECTOR_LANES] = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] = fmaf(x[i + j], w[i + j], lane[j]);
    for (size_t j = 0; i + j < n; j++)
        lane[j] = fmaf(x[i + j], w[i + j], lane[j]);
    return vector_lanes_sum(lane);
}

THIN_CLONES void thin_plain_add(const struct thin_dims *d, const float *x, const float *w, float *y)
{
    for (size_t r = 0; r < d->rows; r++)
        for (size_t j = 0; j < d->out; j++)
            y[r * d->ldy + j] += thin_dot(x + r * d->ldx, w + j * d->ldw, d->in);
}

/* The sums of four vectors, each in the order of vector_lanes_sum. */
THIN_AVX512 THIN_INLINE __m128 thin_reduce(const __m512 a[THIN_OUTS])
{
    const __m512 t0 = _mm512_add_ps(_mm512_shuffle_f32x4(a[0], a[1], 0x44),
                                    _mm512_shuffle_f32x4(a[0], a[1], 0xee));
    const __m512 t1 = _mm512_add_ps(_mm512_shuffle_f32x4(a[2], a[3], 0x44),
                                    _mm512_shuffle_f32x4(a[2], a[3], 0xee));
    const __m512 u =
        _mm512_add_ps(_mm512_shuffle_f32x4(t0, t1, 0x88), _mm512_shuffle_f32x4(t0, t1, 0xdd));
    const __m512 v = _mm512_add_ps(u, _mm512_permute_ps(u, 0x4e));
    const __m512 s = _mm512_add_ps(v, _mm512_permute_ps(v, 0xb1));
    const __m512i first = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(first, s));
}

/* Adds to `rows` (1, 2 or 4) rows of y and the n (1 to 4) columns whose rows of W are w[]. */
THIN_AVX512 THIN_INLINE void thin_tile(const struct thin_dims *d,
                                       size_t rows,
                                       const float *x,
                                       const float *const w[THIN_OUTS],
                                       size_t n,
                                       float *y)
{
    __m512 sum[THIN_ROWS][THIN_OUTS];
    const size_t whole = d->in - d->in % VECTOR_LANES;
    const __mmask16 rest = (__mmask16)((1u << (d->in % VECTOR_LANES)) - 1u);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t j = 0; j < THIN_OUTS; j++)
            sum[r][j] = _mm512_setzero_ps();
    for (size_t k = 0; k < whole; k += VECTOR_LANES) {
        __m512 a[THIN_ROWS];
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++)
            a[r] = _mm512_loadu_ps(x + r * d->ldx + k);
#pragma GCC unroll 4
        for (size_t j = 0; j < THIN_OUTS; j++) {
            const __m512 b = _mm512_loadu_ps(w[j] + k);
#pragma GCC unroll 4
            for (size_t r = 0; r < rows; r++)
                sum[r][j] = _mm512_fmadd_ps(a[r], b, sum[r][j]);
        }
    }
    if (rest) {
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++) {
            const __m512 a = _mm512_maskz_loadu_ps(rest, x + r * d->ldx + whole);
#pragma GCC unroll 4
            for (size_t j = 0; j < THIN_OUTS; j++)
                sum[r][j] = _mm512_mask3_fmadd_ps(a, _mm512_maskz_loadu_ps(rest, w[j] + whole),
                                                  sum[r][j], rest);
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
        const __m128 s = thin_reduce(sum[r]);
        float *to = y + r * d->ldy;
        if (n == THIN_OUTS) {
            _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), s));
        } else {
            float part[THIN_OUTS];
            _mm_storeu_ps(part, s);
            for (size_t j = 0; j < n; j++)
                to[j] += part[j];
        }
    }
}

/* Four columns of W for all rows of x, so that W is read once. */
THIN_AVX512 static void thin_columns(
    const struct thin_dims *d, const float *x, const float *const w[THIN_OUTS], size_t n, float *y)
{
    size_t r = 0;
    for (; r + 4 <= d->rows; r += 4)
        thin_tile(d, 4, x + r * d->ldx, w, n, y + r * d->ldy);
    if (r + 2 <= d->rows) {
        thin_tile(d, 2, x + r * d->ldx, w, n, y + r * d->ldy);
        r += 2;
    }
    if (r < d->rows)
        thin_tile(d, 1, x + r * d->ldx, w, n, y + r * d->ldy);
}

THIN_AVX512 static void
thin_avx512_add(const struct thin_dims *d, const float *x, const float *w, float *y)
{
    for (size_t j = 0; j < d->out; j += THIN_OUTS) {
        const size_t n = d->out - j < THIN_OUTS ? d->out - j : THIN_OUTS;
        const float *columns[THIN_OUTS];
        /* past the end the last row again; what comes of it is not stored */
        for (size_t i = 0; i < THIN_OUTS; i++)
            columns[i] = w + (j + (i < n ? i : n - 1)) * d->ldw;
        thin_columns(d, x, columns, n, y + j);
    }
}

void thin_forward_add(const struct thin_dims *d, const float *x, const float *w, float *y)
{
    if (__builtin_cpu_supports("avx512f"))
        thin_avx512_add(d, x, w, y);
    else
        thin_plain_add(d, x, w, y);
}

void thin_forward(
    const struct thin_dims *d, const float *x, const float *w, const float *b, float *y)
{
    for (size_t r = 0; r < d->rows; r++) {
        if (b)
            memcpy(y + r * d->ldy, b, d->out * sizeof *y);
        else
            memset(y + r * d->ldy, 0, d->out * sizeof *y);
    }
    thin_forward_add(d, x, w, y);
}

/* ------------------------------------------------------------------ y += x M */

THIN_CLONES void
thin_plain_combine(const struct thin_dims *d, const float *x, const float *m, float *y)
{
    for (size_t r = 0; r < d->rows; r++)
        for (size_t k = 0; k < d->in; k++)
            for (size_t j = 0; j < d->out; j++)
                y[r * d->ldy + j] = fmaf(x[r * d->ldx + k], m[k * d->ldw + j], y[r * d->ldy + j]);
}

#define THIN_PANEL 32 /* columns summed in registers: two vectors a row */

/* The columns of two masks, for `rows` (1, 2 or 4) rows. */
THIN_AVX512 THIN_INLINE void thin_panel(const struct thin_dims *d,
                                        size_t rows,
                                        const __mmask16 mask[2],
                                        const float *x,
                                        const float *m,
                                        float *y)
{
    __m512 sum[THIN_ROWS][2];
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++)
            sum[r][v] = _mm512_maskz_loadu_ps(mask[v], y + r * d->ldy + v * VECTOR_LANES);
    for (size_t k = 0; k < d->in; k++) {
        const float *row = m + k * d->ldw;
        const __m512 low = _mm512_maskz_loadu_ps(mask[0], row);
        const __m512 high = _mm512_maskz_loadu_ps(mask[1], row + VECTOR_LANES);
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++) {
            const __m512 a = _mm512_set1_ps(x[r * d->ldx + k]);
            sum[r][0] = _mm512_fmadd_ps(a, low, sum[r][0]);
            sum[r][1] = _mm512_fmadd_ps(a, high, sum[r][1]);
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++)
            _mm512_mask_storeu_ps(y + r * d->ldy + v * VECTOR_LANES, mask[v], sum[r][v]);
}

/* Mask of n columns, none to all 16. */
static inline __mmask16 thin_mask(size_t n)
{
    return (__mmask16)(n >= VECTOR_LANES ? 0xffffu : (1u << n) - 1u);
}

THIN_AVX512 static void
thin_avx512_combine(const struct thin_dims *d, const float *x, const float *m, float *y)
{
    for (size_t j = 0; j < d->out; j += THIN_PANEL) {
        const size_t n = d->out - j;
        const __mmask16 mask[2] = {thin_mask(n),
                                   thin_mask(n > VECTOR_LANES ? n - VECTOR_LANES : 0)};
        size_t r = 0;
        for (; r + 4 <= d->rows; r += 4)
            thin_panel(d, 4, mask, x + r * d->ldx, m + j, y + r * d->ldy + j);
        if (r + 2 <= d->rows) {
            thin_panel(d, 2, mask, x + r * d->ldx, m + j, y + r * d->ldy + j);
            r += 2;
        }
        if (r < d->rows)
            thin_panel(d, 1, mask, x + r * d->ldx, m + j, y + r * d->ldy + j);
    }
}

void thin_combine(const struct thin_dims *d, const float *x, const float *m, float *y)
{
    if (__builtin_cpu_supports("avx512f"))
        thin_avx512_combine(d, x, m, y);
    else
        thin_plain_combine(d, x, m, y);
}

/* ------------------------------------------------------------------ softmax */

size_t thin_padded(size_t n)
{
    return (n + THIN_ALIGN - 1) / THIN_ALIGN * THIN_ALIGN;
}

static inline float thin_max(const float *x, size_t n)
{
    float lane[THIN_ALIGN];
    memcpy(lane, x, sizeof lane);
    for (size_t i = THIN_ALIGN; i < n; i += THIN_ALIGN)
        for (size_t j = 0; j < THIN_ALIGN; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (size_t half = THIN_ALIGN / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] = lane[j + half] > lane[j] ? lane[j + half] : lane[j];
    return lane[0];
}

VECTOR_CLONES void thin_softmax(float *x, size_t rows, size_t cols, size_t ld)
{
    const size_t n = (cols + THIN_ALIGN - 1) / THIN_ALIGN * THIN_ALIGN;
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * ld;
        for (size_t j = cols; j < n; j++)
            row[j] = row[0];
        const float max = thin_max(row, n);
        for (size_t i = 0; i < n; i += THIN_ALIGN)
            for (size_t j = 0; j < THIN_ALIGN; j++)
                row[i + j] = vector_exp(row[i + j] - max);
        for (size_t j = cols; j < n; j++)
            row[j] = 0.0f;
        const float inverse = 1.0f / vector_sum(row, n);
        for (size_t i = 0; i < n; i += THIN_ALIGN)
            for (size_t j = 0; j < THIN_ALIGN; j++)
                row[i + j] *= inverse;
    }
}
