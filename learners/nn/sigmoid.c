#include "learners/nn/sigmoid.h"

#include "learners/math/vector.h"

VECTOR_CLONES void sigmoid_forward(float *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        z[i] = 1.0f / (1.0f + vector_exp(-z[i]));
}

VECTOR_CLONES void sigmoid_backward(const float *restrict s, float *restrict ds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ds[i] *= s[i] * (1.0f - s[i]);
}
