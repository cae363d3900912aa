#include "learners/optim/schedule.h"

#include <math.h>

#define PI 3.14159265358979323846

float schedule_lr(const struct schedule *s, uint64_t t)
{
    if (t < s->warmup)
        return (float)(s->lr * (double)(t + 1) / (double)s->warmup);
    if (t >= s->total)
        return (float)s->lr_min;
    const double x = (double)(t - s->warmup) / (double)(s->total - s->warmup);
    return (float)(s->lr_min + (s->lr - s->lr_min) * 0.5 * (1.0 + cos(PI * x)));
}
