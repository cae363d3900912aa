#include "learners/nn/kl.h"

#include "learners/math/softmax.h"
#include "learners/math/vector.h"

#include <math.h>

void kl_forward(const struct kl_dims *d, const float *p, const float *x, float *losses)
{
    for (size_t i = 0; i < d->n; i++, p += d->width, x += d->width) {
        const double log_sum = (double)softmax_log_sum(x, d->width);
        double sum = 0.0;
        for (size_t k = 0; k < d->width; k++)
            if (p[k] > 0.0f)
                sum += (double)p[k] * (log((double)p[k]) - ((double)x[k] - log_sum));
        losses[i] = (float)sum;
    }
}

void kl_backward(
    const struct kl_dims *d, const float *p, const float *x, const float *weights, float *dx)
{
    for (size_t i = 0; i < d->n; i++, p += d->width, x += d->width, dx += d->width) {
        const float log_sum = softmax_log_sum(x, d->width);
        for (size_t k = 0; k < d->width; k++)
            dx[k] += weights[i] * (vector_exp(x[k] - log_sum) - p[k]);
    }
}
