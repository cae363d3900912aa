#include "learners/math/softmax.h"

#include <math.h>

#include "learners/math/vector.h"

/* Largest of n >= 1 floats. */
static inline float softmax_max(const float *x, size_t n)
{
    float lane[VECTOR_LANES];
    for (size_t j = 0; j < VECTOR_LANES; j++)
        lane[j] = x[0];
    size_t i = 0;
    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (size_t j = 0; j < VECTOR_LANES; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    float m = lane[0];
    for (size_t j = 1; j < VECTOR_LANES; j++)
        m = lane[j] > m ? lane[j] : m;
    for (; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

/* x = exp(x - m); returns the sum. */
static inline float softmax_exp_sum(float *x, float m, size_t n)
{
    for (size_t j = 0; j < n; j++)
        x[j] = vector_exp(x[j] - m);
    return vector_sum(x, n);
}

VECTOR_CLONES void softmax_forward(float *x, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * cols;
        float inverse = 1.0f / softmax_exp_sum(row, softmax_max(row, cols), cols);
        for (size_t j = 0; j < cols; j++)
            row[j] *= inverse;
    }
}

VECTOR_CLONES void
softmax_backward(float *restrict dp, const float *restrict p, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        float *d = dp + r * cols;
        const float *q = p + r * cols;
        float sum = vector_dot(d, q, cols);
        for (size_t j = 0; j < cols; j++)
            d[j] = q[j] * (d[j] - sum);
    }
}

float softmax_log_sum(const float *x, size_t n)
{
    float m = softmax_max(x, n);
    double sum = 0.0;
    for (size_t j = 0; j < n; j++)
        sum += (double)vector_exp(x[j] - m);
    return m + (float)log(sum);
}
