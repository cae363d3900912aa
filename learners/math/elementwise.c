#include "learners/math/elementwise.h"

#include "learners/math/vector.h"

VECTOR_CLONES void elementwise_add(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

VECTOR_CLONES void elementwise_axpy(float *restrict y, float a, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

VECTOR_CLONES void elementwise_scale(float *x, float a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= a;
}

void elementwise_fill_rows(
    float *restrict y, size_t ld, const float *restrict row, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(y + r * ld, row, cols * sizeof *row);
}

VECTOR_CLONES void elementwise_add_row(
    float *restrict y, const float *restrict x, const float *restrict row, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] = x[r * cols + c] + row[c];
}
