/*
 * Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), with weight decay as an L2 term of the
 * loss ("coupled": it passes through the moments), unlike adamw.h:
 *   g <- g + wd w,  m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
 *   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Pure: the same bits for the same operands on every machine.
 */
#ifndef LETHE_LEARNERS_ADAM_H
#define LETHE_LEARNERS_ADAM_H

#include <stddef.h>
#include <stdint.h>

struct adam_options {
    float lr;
    float beta1, beta2;
    float eps;
    float weight_decay; /* factor of w in the gradient */
};

/*
 * One step on n floats.  `step` counts from 1 and gives the bias correction.  Overwrites w, g (with
 * the decay added), m and v.  None may overlap.
 */
void adam_step(const struct adam_options *o,
               uint64_t step,
               float *restrict w,
               float *restrict g,
               float *restrict m,
               float *restrict v,
               size_t n);

#endif
