#include "learners/optim/group_prox.h"

#include <math.h>
#include <string.h>

#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"

double group_prox(float *theta, size_t n, float t)
{
    const double norm = sqrt(reduce_squares(theta, n));
    if (norm <= (double)t) {
        memset(theta, 0, n * sizeof *theta);
        return 0.0;
    }
    if (t > 0.0f)
        elementwise_scale(theta, (float)(1.0 - (double)t / norm), n);
    return norm - (double)t;
}
