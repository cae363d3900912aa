/*
 * AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): Adam with decoupled weight decay.
 * Element-wise and in order: the same bits for any instruction set and thread count.
 */
#ifndef LETHE_LEARNERS_ADAMW_H
#define LETHE_LEARNERS_ADAMW_H

#include <stddef.h>
#include <stdint.h>

struct adamw_options {
    float lr;
    float beta1, beta2;
    float eps;          /* added outside the root */
    float weight_decay; /* lambda; theta shrinks by lr * lambda, apart from the gradient */
};

/*
 * One step, number `step` from 1 (it sets the bias correction):
 *   m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g^2,
 *   theta = theta (1 - lr lambda) - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * All arrays [n], none may overlap; borrowed.  Overwrites theta, m, v.
 */
void adamw_step(const struct adamw_options *o,
                uint64_t step,
                float *restrict theta,
                const float *restrict gradient,
                float *restrict m,
                float *restrict v,
                size_t n);

#endif
