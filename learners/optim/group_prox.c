#include "learners/optim/group_prox.h"

#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"

#include <math.h>
#include <string.h>

double group_prox(float *x, size_t n, double threshold)
{
    double norm = sqrt(reduce_squares(x, n));
    if (norm <= threshold) {
        memset(x, 0, n * sizeof *x);
        return 0.0;
    }
    if (threshold > 0.0)
        elementwise_scale(x, (float)(1.0 - threshold / norm), n);
    return norm - threshold;
}
