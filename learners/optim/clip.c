#include "learners/optim/clip.h"

#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"

#include <math.h>

double clip_norm(float *g, size_t n, float limit)
{
    double norm = sqrt(reduce_squares(g, n));
    if (limit > 0.0f && isfinite(norm) && norm > (double)limit)
        elementwise_scale(g, (float)((double)limit / norm), n);
    return norm;
}
