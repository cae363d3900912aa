/*
 * Stochastic gradient descent with momentum, as PyTorch defines it:
 *   g' = g + weight_decay w,  m <- momentum m + g',  w <- w - lr (nesterov ? g' + momentum m : m).
 */
#ifndef LETHE_LEARNERS_SGD_H
#define LETHE_LEARNERS_SGD_H

#include <stddef.h>

struct sgd_options {
    float lr;
    float momentum;
    float weight_decay; /* coupled: added to the gradient */
    int nesterov;
};

/* One step on n floats.  Overwrites w and m (zero before the first step); reads g. */
void sgd_step(const struct sgd_options *o,
              float *restrict w,
              const float *restrict g,
              float *restrict m,
              size_t n);

#endif
