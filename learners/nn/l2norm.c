#include "learners/nn/l2norm.h"

#include "learners/math/reduce.h"

#include <math.h>

float l2norm_inverse(const float *x, size_t n)
{
    double squares = reduce_squares(x, n);
    return squares > 0.0 ? (float)(1.0 / sqrt(squares)) : 0.0f;
}

void l2norm_forward(const float *x, size_t n, float *u)
{
    float inverse = l2norm_inverse(x, n);
    for (size_t i = 0; i < n; i++)
        u[i] = x[i] * inverse;
}

void l2norm_backward(const float *x, const float *du, size_t n, float *dx)
{
    float inverse = l2norm_inverse(x, n);
    float along = reduce_dot(x, du, n) * inverse * inverse;
    for (size_t i = 0; i < n; i++)
        dx[i] += (du[i] - x[i] * along) * inverse;
}
