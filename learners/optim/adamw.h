/*
 * AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2):
 *   m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
 *   w <- w (1 - lr wd) - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Pure: the same bits for the same operands on every machine.
 */
#ifndef LETHE_LEARNERS_ADAMW_H
#define LETHE_LEARNERS_ADAMW_H

#include <stddef.h>
#include <stdint.h>

struct adamw_options {
    float lr;
    float beta1, beta2;
    float eps;
    float weight_decay; /* decoupled: w shrinks by the factor 1 - lr weight_decay */
};

/*
 * One step on n floats.  `step` counts from 1 and gives the bias correction.  Overwrites w, m and
 * v; reads g.  None may overlap.
 */
void adamw_step(const struct adamw_options *o,
                uint64_t step,
                float *restrict w,
                const float *restrict g,
                float *restrict m,
                float *restrict v,
                size_t n);

#endif
