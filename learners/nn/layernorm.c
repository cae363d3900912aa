#include "learners/nn/layernorm.h"

#include "learners/math/vector.h"

#include <math.h>

static inline float layernorm_centred_squares(const float *x, float mean, size_t n)
{
    float lane[VECTOR_LANES] = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    return vector_lanes_sum(lane);
}

static inline void layernorm_row(const float *restrict x,
                                 const float *restrict w,
                                 const float *restrict b,
                                 float mean,
                                 float rstd,
                                 float *restrict y,
                                 size_t n)
{
    for (size_t j = 0; j < n; j++)
        y[j] = (x[j] - mean) * rstd * w[j] + b[j];
}

VECTOR_CLONES void layernorm_forward(const struct layernorm_dims *d,
                                     const float *x,
                                     const float *w,
                                     const float *b,
                                     float *y,
                                     float *mean,
                                     float *rstd)
{
    const size_t n = d->cols;
    const float inverse = 1.0f / (float)n;
    for (size_t r = 0; r < d->rows; r++) {
        const float *row = x + r * n;
        float m = vector_sum(row, n) * inverse;
        float variance = layernorm_centred_squares(row, m, n) * inverse;
        mean[r] = m;
        rstd[r] = 1.0f / sqrtf(variance + d->eps);
        layernorm_row(row, w, b, m, rstd[r], y + r * n, n);
    }
}

VECTOR_CLONES void layernorm_apply(const struct layernorm_dims *d,
                                   const float *x,
                                   const float *w,
                                   const float *b,
                                   const float *mean,
                                   const float *rstd,
                                   float *y)
{
    const size_t n = d->cols;
    for (size_t r = 0; r < d->rows; r++)
        layernorm_row(x + r * n, w, b, mean[r], rstd[r], y + r * n, n);
}

/* Sum of t (x - mean), t = w dy, over one row. */
static inline float
layernorm_sum_tx(const float *dy, const float *w, const float *x, float mean, size_t n)
{
    float lane[VECTOR_LANES] = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] += dy[i + j] * w[i + j] * (x[i + j] - mean);
    for (size_t j = 0; i + j < n; j++)
        lane[j] += dy[i + j] * w[i + j] * (x[i + j] - mean);
    return vector_lanes_sum(lane);
}

static inline void layernorm_row_backward(const float *restrict dy,
                                          const float *restrict w,
                                          const float *restrict x,
                                          const float stat[2],
                                          const float means[2],
                                          float *restrict dx,
                                          size_t n)
{
    const float mean = stat[0], rstd = stat[1], mean_t = means[0], mean_tx = means[1];
    for (size_t j = 0; j < n; j++)
        dx[j] += rstd * (dy[j] * w[j] - mean_t - (x[j] - mean) * rstd * mean_tx);
}

/* dx = rstd (t - mean(t) - xhat mean(t xhat)), t = w dy. */
VECTOR_CLONES void layernorm_backward_input(const struct layernorm_dims *d,
                                            const float *dy,
                                            const float *x,
                                            const float *w,
                                            const float *mean,
                                            const float *rstd,
                                            float *dx)
{
    const size_t n = d->cols;
    const float inverse = 1.0f / (float)n;
    for (size_t r = 0; r < d->rows; r++) {
        const float stat[2] = {mean[r], rstd[r]};
        const float means[2] = {vector_dot(dy + r * n, w, n) * inverse,
                                layernorm_sum_tx(dy + r * n, w, x + r * n, mean[r], n) * rstd[r] *
                                    inverse};
        layernorm_row_backward(dy + r * n, w, x + r * n, stat, means, dx + r * n, n);
    }
}

static inline void layernorm_row_weights(const float *restrict dy,
                                         const float *restrict x,
                                         float mean,
                                         float rstd,
                                         float *restrict dw,
                                         float *restrict db,
                                         size_t n)
{
    for (size_t j = 0; j < n; j++) {
        dw[j] += dy[j] * ((x[j] - mean) * rstd);
        db[j] += dy[j];
    }
}

VECTOR_CLONES void layernorm_backward_weights(const struct layernorm_dims *d,
                                              const float *dy,
                                              const float *x,
                                              const float *mean,
                                              const float *rstd,
                                              float *dw,
                                              float *db)
{
    const size_t n = d->cols;
    for (size_t r = 0; r < d->rows; r++)
        layernorm_row_weights(dy + r * n, x + r * n, mean[r], rstd[r], dw, db, n);
}
