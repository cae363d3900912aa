#include "learners/optim/schedule.h"

#include <math.h>

float schedule_cosine(const struct schedule *s, uint64_t step)
{
    if (step < s->warmup)
        return (float)((double)s->lr_max * (double)(step + 1) / (double)s->warmup);
    if (step >= s->total)
        return s->lr_min;
    const double pi = 3.14159265358979323846;
    double part = (double)(step - s->warmup) / (double)(s->total - s->warmup);
    double range = (double)s->lr_max - (double)s->lr_min;
    return (float)((double)s->lr_min + 0.5 * range * (1.0 + cos(pi * part)));
}
