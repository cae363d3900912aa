#include "learners/math/reduce.h"

#include "learners/math/vector.h"

VECTOR_CLONES float reduce_dot(const float *x, const float *y, size_t n)
{
    return vector_dot(x, y, n);
}

VECTOR_CLONES double reduce_squares(const float *x, size_t n)
{
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (double)x[i + j] * (double)x[i + j];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

VECTOR_CLONES void reduce_columns_add(
    float *restrict out, const float *restrict x, size_t ld, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            out[c] += x[r * ld + c];
}
