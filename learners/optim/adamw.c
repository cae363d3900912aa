#include "learners/optim/adamw.h"

#include <math.h>

#include "daemon/base/invariant.h"
#include "learners/math/vector.h"

struct adamw_factors {
    float keep;    /* 1 - lr lambda */
    float rate;    /* lr / (1 - b1^t) */
    float unbias2; /* 1 / (1 - b2^t) */
};

VECTOR_CLONES static void adamw_loop(const struct adamw_options *o,
                                     const struct adamw_factors *f,
                                     float *restrict theta,
                                     const float *restrict g,
                                     float *restrict m,
                                     float *restrict v,
                                     size_t n)
{
    const float b1 = o->beta1, b2 = o->beta2, eps = o->eps;
    const float keep = f->keep, rate = f->rate, unbias2 = f->unbias2;
    for (size_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + (1.0f - b1) * g[i];
        v[i] = b2 * v[i] + (1.0f - b2) * (g[i] * g[i]);
        theta[i] = theta[i] * keep - rate * m[i] / (sqrtf(v[i] * unbias2) + eps);
    }
}

void adamw_step(const struct adamw_options *o,
                uint64_t step,
                float *restrict theta,
                const float *restrict gradient,
                float *restrict m,
                float *restrict v,
                size_t n)
{
    INVARIANT(step >= 1);
    const double t = (double)step;
    const struct adamw_factors f = {.keep = 1.0f - o->lr * o->weight_decay,
                                    .rate =
                                        (float)((double)o->lr / (1.0 - pow((double)o->beta1, t))),
                                    .unbias2 = (float)(1.0 / (1.0 - pow((double)o->beta2, t)))};
    adamw_loop(o, &f, theta, gradient, m, v, n);
}
