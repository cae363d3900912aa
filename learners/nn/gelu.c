#include "learners/nn/gelu.h"

#include "learners/math/vector.h"

VECTOR_CLONES void gelu_forward(const float *restrict z, float *restrict a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float density;
        a[i] = z[i] * vector_normal(z[i], &density);
    }
}

VECTOR_CLONES void
gelu_backward(const float *restrict z, float *restrict dz, float *restrict a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float density;
        float p = vector_normal(z[i], &density);
        dz[i] *= p + z[i] * density;
        a[i] = z[i] * p;
    }
}
