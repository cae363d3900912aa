#include "learners/methods/multilane/lane_loss.h"

#include "learners/math/softmax.h"

#include <math.h>
#include <string.h>

void lane_loss_single(const struct lane_loss_dims *d,
                      const float *z,
                      const uint32_t *labels,
                      double *losses,
                      float *dz)
{
    for (size_t i = 0; i < d->rows; i++) {
        const float *row = z + i * d->classes;
        losses[i] =
            ((double)softmax_log_sum(row, d->classes) - (double)row[labels[i]]) / d->divisor;
        if (!dz)
            continue;
        float *to = dz + i * d->classes;
        memcpy(to, row, d->classes * sizeof *to);
        softmax_forward(to, 1, d->classes);
        to[labels[i]] -= 1.0f;
        for (size_t j = 0; j < d->classes; j++)
            to[j] = (float)((double)to[j] / d->divisor);
    }
}

void lane_loss_multi(const struct lane_loss_dims *d,
                     const float *z,
                     const uint8_t *const *hot,
                     double *losses,
                     float *dz)
{
    for (size_t i = 0; i < d->rows; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < d->classes; j++) {
            const double x = (double)z[i * d->classes + j], y = hot[i][j] ? 1.0 : 0.0;
            const double e = exp(-fabs(x)); /* never overflows */
            sum += (x > 0.0 ? x : 0.0) - x * y + log1p(e);
            const double p = x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
            if (dz)
                dz[i * d->classes + j] = (float)((p - y) / d->divisor);
        }
        losses[i] = sum / d->divisor;
    }
}

double lane_loss_constant(size_t classes, size_t all_classes)
{
    return (1.0 - (double)classes / (double)all_classes) * log(2.0);
}
