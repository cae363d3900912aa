#include "learners/optim/sgd.h"

#include "learners/math/vector.h"

VECTOR_CLONES void sgd_step(const struct sgd_options *o,
                            float *restrict theta,
                            const float *restrict gradient,
                            float *restrict velocity,
                            size_t n)
{
    const float keep = 1.0f - o->lr * o->weight_decay, lr = o->lr, mu = o->momentum;
    const float ahead = o->nesterov ? mu : 1.0f, now = o->nesterov ? 1.0f : 0.0f;
    for (size_t i = 0; i < n; i++) {
        velocity[i] = mu * velocity[i] + gradient[i];
        theta[i] = theta[i] * keep - lr * (now * gradient[i] + ahead * velocity[i]);
    }
}
