#include "learners/nn/xent.h"

#include "daemon/base/invariant.h"
#include "learners/math/vector.h"

#include <math.h>

/* One row: logits, and the true class from which the margin is taken (classes: none). */
struct xent_row {
    const float *z;
    size_t label;
    float margin;
};

static float xent_logit(const struct xent_row *r, size_t j)
{
    return j == r->label ? r->z[j] - r->margin : r->z[j];
}

/* ln of the sum of exp(z^m_j). */
static double xent_log_sum(const struct xent_row *r, size_t classes)
{
    float m = xent_logit(r, 0);
    for (size_t j = 1; j < classes; j++)
        m = xent_logit(r, j) > m ? xent_logit(r, j) : m;
    double sum = 0.0;
    for (size_t j = 0; j < classes; j++)
        sum += (double)vector_exp(xent_logit(r, j) - m);
    return (double)m + log(sum);
}

static struct xent_row
xent_row_of(const struct xent_dims *d, const float *z, const uint32_t *labels, size_t i)
{
    INVARIANT(labels[i] < d->classes);
    return (struct xent_row){z + i * d->classes, labels[i], d->margin};
}

void xent_forward(const struct xent_dims *d, const float *z, const uint32_t *labels, float *losses)
{
    const double rest = (double)d->smoothing / (double)d->classes;
    for (size_t i = 0; i < d->n; i++) {
        const struct xent_row r = xent_row_of(d, z, labels, i);
        double log_sum = xent_log_sum(&r, d->classes), sum = 0.0;
        for (size_t j = 0; rest > 0.0 && j < d->classes; j++)
            sum += log_sum - (double)xent_logit(&r, j);
        double hit = log_sum - (double)xent_logit(&r, r.label);
        losses[i] = (float)((1.0 - (double)d->smoothing) * hit + rest * sum);
    }
}

void xent_backward(const struct xent_dims *d,
                   const float *z,
                   const uint32_t *labels,
                   const float *weights,
                   float *dz)
{
    const float rest = d->smoothing / (float)d->classes;
    for (size_t i = 0; i < d->n; i++) {
        const struct xent_row r = xent_row_of(d, z, labels, i);
        float log_sum = (float)xent_log_sum(&r, d->classes);
        for (size_t j = 0; j < d->classes; j++) {
            float target = rest + (j == r.label ? 1.0f - d->smoothing : 0.0f);
            float p = vector_exp(xent_logit(&r, j) - log_sum);
            dz[i * d->classes + j] += weights[i] * (p - target);
        }
    }
}

void xent_forward_soft(const struct xent_dims *d,
                       const float *z,
                       const float *targets,
                       float *losses)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct xent_row r = {z + i * d->classes, d->classes, 0.0f};
        double log_sum = xent_log_sum(&r, d->classes), loss = 0.0;
        for (size_t j = 0; j < d->classes; j++)
            loss += (double)targets[i * d->classes + j] * (log_sum - (double)r.z[j]);
        losses[i] = (float)loss;
    }
}

void xent_backward_soft(const struct xent_dims *d,
                        const float *z,
                        const float *targets,
                        const float *weights,
                        float *dz)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct xent_row r = {z + i * d->classes, d->classes, 0.0f};
        float log_sum = (float)xent_log_sum(&r, d->classes);
        for (size_t j = 0; j < d->classes; j++) {
            size_t at = i * d->classes + j;
            dz[at] += weights[i] * (vector_exp(z[at] - log_sum) - targets[at]);
        }
    }
}
