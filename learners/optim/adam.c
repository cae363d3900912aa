#include "learners/optim/adam.h"

#include "learners/math/elementwise.h"
#include "learners/optim/adamw.h"

void adam_step(const struct adam_options *o,
               uint64_t step,
               float *restrict w,
               float *restrict g,
               float *restrict m,
               float *restrict v,
               size_t n)
{
    /* without decay the two methods are one */
    const struct adamw_options plain = {
        .lr = o->lr, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps};
    if (o->weight_decay > 0.0f)
        elementwise_axpy(g, o->weight_decay, w, n);
    adamw_step(&plain, step, w, g, m, v, n);
}
