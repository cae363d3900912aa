/*
 * Stochastic gradient descent with momentum (Polyak's heavy ball, without dampening) and decoupled
 * weight decay.  Element-wise and in order.
 */
#ifndef LETHE_LEARNERS_SGD_H
#define LETHE_LEARNERS_SGD_H

#include <stddef.h>

struct sgd_options {
    float lr;
    float momentum; /* mu */
    float weight_decay;
    int nesterov; /* 1: the step looks ahead, g + mu * velocity */
};

/* velocity = mu velocity + g;  theta = theta (1 - lr lambda) - lr velocity.  Arrays [n], distinct.
 */
void sgd_step(const struct sgd_options *o,
              float *restrict theta,
              const float *restrict gradient,
              float *restrict velocity,
              size_t n);

#endif
