#include "learners/optim/sgd.h"

#include "learners/math/vector.h"

VECTOR_CLONES void sgd_step(const struct sgd_options *o,
                            float *restrict w,
                            const float *restrict g,
                            float *restrict m,
                            size_t n)
{
    const struct sgd_options k = *o;
    /* lr (a g' + b m): a is 1 and b the momentum with Nesterov, otherwise 0 and 1 */
    const float a = k.nesterov ? 1.0f : 0.0f, b = k.nesterov ? k.momentum : 1.0f;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] + k.weight_decay * w[i];
        m[i] = k.momentum * m[i] + d;
        w[i] -= k.lr * (a * d + b * m[i]);
    }
}
