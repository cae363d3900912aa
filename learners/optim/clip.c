#include "learners/optim/clip.h"

#include <math.h>

#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"

double clip_norm(float *gradient, size_t n, double max)
{
    const double norm = sqrt(reduce_squares(gradient, n));
    if (isfinite(norm) && norm > max)
        elementwise_scale(gradient, (float)(max / norm), n);
    return norm;
}
