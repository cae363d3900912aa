#include "learners/nn/maxpool.h"

#include "learners/math/vector.h"
#include "learners/nn/conv.h"

size_t maxpool_out_floats(const struct maxpool_dims *d)
{
    return d->channels * (d->height / 2) * (d->width / 2) * CONV_LANES;
}

/* One pixel of y from the pixels at `top` and `below` and their right neighbours. */
static inline void
maxpool_pixel(const float *restrict top, const float *restrict below, float *restrict y)
{
    for (size_t i = 0; i < CONV_LANES; i++) {
        const float a = top[i] > top[i + CONV_LANES] ? top[i] : top[i + CONV_LANES];
        const float b = below[i] > below[i + CONV_LANES] ? below[i] : below[i + CONV_LANES];
        const float m = a > b ? a : b;
        y[i] = m > 0.0f ? m : 0.0f;
    }
}

VECTOR_CLONES void
maxpool_relu_forward(const struct maxpool_dims *d, const float *restrict x, float *restrict y)
{
    const size_t rows = d->height / 2, cols = d->width / 2, line = d->width * CONV_LANES;
    for (size_t c = 0; c < d->channels; c++)
        for (size_t r = 0; r < rows; r++) {
            const float *top = x + (c * d->height + 2 * r) * line;
            float *to = y + (c * rows + r) * cols * CONV_LANES;
            for (size_t p = 0; p < cols; p++)
                maxpool_pixel(top + 2 * p * CONV_LANES, top + line + 2 * p * CONV_LANES,
                              to + p * CONV_LANES);
        }
}

/* All windows of two rows. */
static inline void maxpool_rows_gradient(const float *restrict dy,
                                         float *restrict top,
                                         float *restrict below,
                                         size_t cols)
{
    for (size_t p = 0; p < cols; p++, dy += CONV_LANES)
        for (size_t i = 0; i < CONV_LANES; i++) {
            const size_t at = 2 * p * CONV_LANES + i, right = at + CONV_LANES;
            const float a = top[at], b = top[right], c = below[at], e = below[right];
            const float ab = a > b ? a : b, ce = c > e ? c : e;
            const float m = ab > ce ? ab : ce, g = m > 0.0f ? dy[i] : 0.0f;
            /* the first maximum in reading order takes it: what is left for the later ones */
            const float ga = a == m ? g : 0.0f, after_a = a == m ? 0.0f : g;
            const float gb = b == m ? after_a : 0.0f, after_b = b == m ? 0.0f : after_a;
            const float gc = c == m ? after_b : 0.0f, after_c = c == m ? 0.0f : after_b;
            top[at] = ga;
            top[right] = gb;
            below[at] = gc;
            below[right] = after_c;
        }
}

/* Pixels that no window covers. */
static void maxpool_clear_rest(const struct maxpool_dims *d, float *plane)
{
    const size_t line = d->width * CONV_LANES;
    if (d->height % 2)
        memset(plane + (d->height - 1) * line, 0, line * sizeof *plane);
    for (size_t r = 0; d->width % 2 && r < d->height; r++)
        memset(plane + (r + 1) * line - CONV_LANES, 0, CONV_LANES * sizeof *plane);
}

VECTOR_CLONES void
maxpool_relu_backward(const struct maxpool_dims *d, const float *restrict dy, float *restrict x)
{
    const size_t rows = d->height / 2, cols = d->width / 2, line = d->width * CONV_LANES;
    for (size_t c = 0; c < d->channels; c++) {
        for (size_t r = 0; r < rows; r++) {
            float *top = x + (c * d->height + 2 * r) * line;
            const float *from = dy + (c * rows + r) * cols * CONV_LANES;
            maxpool_rows_gradient(from, top, top + line, cols);
        }
        maxpool_clear_rest(d, x + c * d->height * line);
    }
}
