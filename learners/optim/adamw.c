#include "learners/optim/adamw.h"

#include "daemon/base/invariant.h"
#include "learners/math/vector.h"

#include <math.h>

/* What a step needs, computed once; the names follow the header's formula. */
struct adamw_factors {
    float b1, b2;
    float keep;       /* 1 - lr wd */
    float rate;       /* lr / (1 - b1^t) */
    float root_scale; /* 1 / sqrt(1 - b2^t) */
    float eps;
};

VECTOR_CLONES void adamw_apply(const struct adamw_factors *k,
                               float *restrict w,
                               const float *restrict g,
                               float *restrict m,
                               float *restrict v,
                               size_t n);

VECTOR_CLONES void adamw_apply(const struct adamw_factors *k,
                               float *restrict w,
                               const float *restrict g,
                               float *restrict m,
                               float *restrict v,
                               size_t n)
{
    const struct adamw_factors f = *k;
    for (size_t i = 0; i < n; i++) {
        m[i] = f.b1 * m[i] + (1.0f - f.b1) * g[i];
        v[i] = f.b2 * v[i] + (1.0f - f.b2) * (g[i] * g[i]);
        w[i] = w[i] * f.keep - f.rate * m[i] / (sqrtf(v[i]) * f.root_scale + f.eps);
    }
}

void adamw_step(const struct adamw_options *o,
                uint64_t step,
                float *restrict w,
                const float *restrict g,
                float *restrict m,
                float *restrict v,
                size_t n)
{
    INVARIANT(step >= 1);
    const double t = (double)step;
    const struct adamw_factors k = {
        .b1 = o->beta1,
        .b2 = o->beta2,
        .keep = 1.0f - o->lr * o->weight_decay,
        .rate = (float)((double)o->lr / (1.0 - pow((double)o->beta1, t))),
        .root_scale = (float)(1.0 / sqrt(1.0 - pow((double)o->beta2, t))),
        .eps = o->eps,
    };
    adamw_apply(&k, w, g, m, v, n);
}
