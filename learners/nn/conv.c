#include "learners/nn/conv.h"

#include "daemon/base/invariant.h"
#include "learners/math/vector.h"

/* A vector of neighbouring images; two of them are a pixel of the stack. */
typedef float conv_vec __attribute__((vector_size(64)));
#define CONV_VEC (CONV_LANES / 2)
_Static_assert(sizeof(conv_vec) == CONV_VEC * sizeof(float), "two vectors make a pixel");

/* Built into its caller with constant tile sizes, so that accumulators stay in registers. */
#define CONV_INLINE static inline __attribute__((always_inline))

size_t conv_out_height(const struct conv_dims *d)
{
    INVARIANT(d->kernel > 0 && d->kernel <= d->height);
    return d->height - d->kernel + 1;
}

size_t conv_out_width(const struct conv_dims *d)
{
    INVARIANT(d->kernel > 0 && d->kernel <= d->width);
    return d->width - d->kernel + 1;
}

size_t conv_in_floats(const struct conv_dims *d)
{
    return d->in * d->height * d->width * CONV_LANES;
}

size_t conv_out_floats(const struct conv_dims *d)
{
    return d->out * conv_out_height(d) * conv_out_width(d) * CONV_LANES;
}

size_t conv_weights(const struct conv_dims *d)
{
    return d->out * d->in * d->kernel * d->kernel;
}

/*
 * The pixel at p, vector by vector: a copy of both at once would keep the array in memory.
 */
CONV_INLINE void conv_load(const float *p, conv_vec v[2])
{
    memcpy(&v[0], p, sizeof *v);
    memcpy(&v[1], p + CONV_VEC, sizeof *v);
}

CONV_INLINE void conv_store(const conv_vec v[2], float *p)
{
    memcpy(p, &v[0], sizeof *v);
    memcpy(p + CONV_VEC, &v[1], sizeof *v);
}

/* ------------------------------------------------------------------ forward */

#define CONV_TILE 8 /* most channels of one pass: 16 accumulators */

/* One output pixel in `tile` channels; x, w, b, y point at their first element for it. */
CONV_INLINE void conv_forward_pixel(const struct conv_dims *d,
                                    const float *x,
                                    const float *w,
                                    const float *b,
                                    float *y,
                                    size_t tile)
{
    const size_t k = d->kernel, taps = d->in * k * k;
    conv_vec sum[CONV_TILE][2];
    for (size_t o = 0; o < tile; o++)
        sum[o][0] = sum[o][1] = (conv_vec){0} + b[o];
    for (size_t c = 0; c < d->in; c++)
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < k; j++, w++) {
                conv_vec v[2];
                conv_load(x + ((c * d->height + i) * d->width + j) * CONV_LANES, v);
                for (size_t o = 0; o < tile; o++) {
                    sum[o][0] += w[o * taps] * v[0];
                    sum[o][1] += w[o * taps] * v[1];
                }
            }
    const size_t plane = conv_out_height(d) * conv_out_width(d) * CONV_LANES;
    for (size_t o = 0; o < tile; o++)
        conv_store(sum[o], y + o * plane);
}

CONV_INLINE void conv_forward_tile(const struct conv_dims *d,
                                   const float *x,
                                   const float *w,
                                   const float *b,
                                   float *y,
                                   size_t tile)
{
    const size_t rows = conv_out_height(d), cols = conv_out_width(d);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            conv_forward_pixel(d, x + (r * d->width + c) * CONV_LANES, w, b,
                               y + (r * cols + c) * CONV_LANES, tile);
}

VECTOR_CLONES void
conv_forward(const struct conv_dims *d, const float *x, const float *w, const float *b, float *y)
{
    const size_t taps = d->in * d->kernel * d->kernel;
    const size_t plane = conv_out_height(d) * conv_out_width(d) * CONV_LANES;
    size_t tile;
    for (size_t o = 0; o < d->out; o += tile) {
        const size_t left = d->out - o;
        tile = left >= 8 ? 8 : left >= 6 ? 6 : left >= 4 ? 4 : 1;
        if (tile == 8)
            conv_forward_tile(d, x, w + o * taps, b + o, y + o * plane, 8);
        else if (tile == 6)
            conv_forward_tile(d, x, w + o * taps, b + o, y + o * plane, 6);
        else if (tile == 4)
            conv_forward_tile(d, x, w + o * taps, b + o, y + o * plane, 4);
        else
            conv_forward_tile(d, x, w + o * taps, b + o, y + o * plane, 1);
    }
}

/* ------------------------------------------------------------------ gradient of the input */

/* The output rows (or columns) that read input row `at`: kernel positions first .. last - 1. */
struct conv_reach {
    size_t first, last;
};

static inline struct conv_reach conv_reach_of(size_t at, size_t outputs, size_t kernel)
{
    return (struct conv_reach){at + 1 > outputs ? at + 1 - outputs : 0,
                               at < kernel ? at + 1 : kernel};
}

/* One input pixel (r, c) in `tile` channels; w and dx point at the first of them. */
CONV_INLINE void conv_input_pixel(const struct conv_dims *d,
                                  const float *dy,
                                  const float *w,
                                  float *dx,
                                  size_t r,
                                  size_t c,
                                  size_t tile)
{
    const size_t k = d->kernel, rows = conv_out_height(d), cols = conv_out_width(d);
    const struct conv_reach down = conv_reach_of(r, rows, k), right = conv_reach_of(c, cols, k);
    conv_vec sum[CONV_TILE][2];
    for (size_t i = 0; i < tile; i++)
        sum[i][0] = sum[i][1] = (conv_vec){0};
    for (size_t o = 0; o < d->out; o++, w += d->in * k * k)
        for (size_t i = down.first; i < down.last; i++)
            for (size_t j = right.first; j < right.last; j++) {
                conv_vec v[2];
                conv_load(dy + ((o * rows + r - i) * cols + c - j) * CONV_LANES, v);
                for (size_t t = 0; t < tile; t++) {
                    sum[t][0] += w[(t * k + i) * k + j] * v[0];
                    sum[t][1] += w[(t * k + i) * k + j] * v[1];
                }
            }
    const size_t plane = d->height * d->width * CONV_LANES;
    for (size_t t = 0; t < tile; t++)
        conv_store(sum[t], dx + t * plane);
}

CONV_INLINE void
conv_input_tile(const struct conv_dims *d, const float *dy, const float *w, float *dx, size_t tile)
{
    for (size_t r = 0; r < d->height; r++)
        for (size_t c = 0; c < d->width; c++)
            conv_input_pixel(d, dy, w, dx + (r * d->width + c) * CONV_LANES, r, c, tile);
}

VECTOR_CLONES void
conv_backward_input(const struct conv_dims *d, const float *dy, const float *w, float *dx)
{
    const size_t square = d->kernel * d->kernel, plane = d->height * d->width * CONV_LANES;
    size_t tile;
    for (size_t c = 0; c < d->in; c += tile) {
        const size_t left = d->in - c;
        tile = left >= 8 ? 8 : left >= 6 ? 6 : left >= 4 ? 4 : 1;
        if (tile == 8)
            conv_input_tile(d, dy, w + c * square, dx + c * plane, 8);
        else if (tile == 6)
            conv_input_tile(d, dy, w + c * square, dx + c * plane, 6);
        else if (tile == 4)
            conv_input_tile(d, dy, w + c * square, dx + c * plane, 4);
        else
            conv_input_tile(d, dy, w + c * square, dx + c * plane, 1);
    }
}

/* ------------------------------------------------------------------ gradient of the weights */

#define CONV_OUTS 4 /* output channels and kernel columns of one pass: 20 accumulators */
#define CONV_TAPS 5

static float conv_vec_sum(const conv_vec *v)
{
    float lane[CONV_VEC];
    memcpy(lane, v, sizeof lane);
    return vector_lanes_sum(lane);
}

/* `outs` channels and `taps` columns of a kernel row; dy, x, dw point at their first element. */
CONV_INLINE void conv_weights_tile(
    const struct conv_dims *d, const float *dy, const float *x, float *dw, size_t outs, size_t taps)
{
    const size_t rows = conv_out_height(d), cols = conv_out_width(d);
    const size_t plane = rows * cols * CONV_LANES, kernel = d->in * d->kernel * d->kernel;
    conv_vec sum[CONV_OUTS][CONV_TAPS];
    for (size_t o = 0; o < outs; o++)
        for (size_t t = 0; t < taps; t++)
            sum[o][t] = (conv_vec){0};
    for (size_t r = 0; r < rows; r++) {
        const float *g = dy + r * cols * CONV_LANES, *v = x + r * d->width * CONV_LANES;
        for (size_t p = 0; p < cols * CONV_LANES; p += CONV_VEC) {
            conv_vec tap[CONV_TAPS], out;
            for (size_t t = 0; t < taps; t++)
                memcpy(&tap[t], v + p + t * CONV_LANES, sizeof *tap);
            for (size_t o = 0; o < outs; o++) {
                memcpy(&out, g + o * plane + p, sizeof out);
                for (size_t t = 0; t < taps; t++)
                    sum[o][t] += out * tap[t];
            }
        }
    }
    for (size_t o = 0; o < outs; o++)
        for (size_t t = 0; t < taps; t++)
            dw[o * kernel + t] += conv_vec_sum(&sum[o][t]);
}

/* All kernel positions of `outs` output channels. */
CONV_INLINE void conv_weights_channels(
    const struct conv_dims *d, const float *dy, const float *x, float *dw, size_t outs)
{
    const size_t k = d->kernel;
    for (size_t c = 0; c < d->in; c++)
        for (size_t i = 0; i < k; i++) {
            const float *row = x + (c * d->height + i) * d->width * CONV_LANES;
            float *to = dw + (c * k + i) * k;
            size_t j = 0;
            for (; j + CONV_TAPS <= k; j += CONV_TAPS)
                conv_weights_tile(d, dy, row + j * CONV_LANES, to + j, outs, CONV_TAPS);
            for (; j < k; j++)
                conv_weights_tile(d, dy, row + j * CONV_LANES, to + j, outs, 1);
        }
}

static void conv_backward_bias(const struct conv_dims *d, const float *dy, float *db)
{
    const size_t plane = conv_out_height(d) * conv_out_width(d) * CONV_LANES;
    for (size_t o = 0; o < d->out; o++)
        db[o] += vector_sum(dy + o * plane, plane);
}

VECTOR_CLONES void conv_backward_weights(
    const struct conv_dims *d, const float *dy, const float *x, float *dw, float *db)
{
    const size_t kernel = d->in * d->kernel * d->kernel;
    const size_t plane = conv_out_height(d) * conv_out_width(d) * CONV_LANES;
    size_t outs;
    for (size_t o = 0; o < d->out; o += outs) {
        const size_t left = d->out - o;
        outs = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (outs == 4)
            conv_weights_channels(d, dy + o * plane, x, dw + o * kernel, 4);
        else if (outs == 2)
            conv_weights_channels(d, dy + o * plane, x, dw + o * kernel, 2);
        else
            conv_weights_channels(d, dy + o * plane, x, dw + o * kernel, 1);
    }
    conv_backward_bias(d, dy, db);
}
