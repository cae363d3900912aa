/*
 * Losses of a lane over the logits z [rows, n] of its own classes.
 *   one label:  cross-entropy with softmax over the n classes, divided by `divisor` (B)
 *   several:    binary cross-entropy, summed over images and classes, divided by `divisor` (B n;
 * the reference implementation divides by B M, M all classes of the benchmark, and adds the
 * constant (1 - n/M) ln 2 of the columns it sets to zero) No class weights, smoothing or further
 * term.  Sums in double.
 */
#ifndef LETHE_LEARNERS_LANE_LOSS_H
#define LETHE_LEARNERS_LANE_LOSS_H

#include <stddef.h>
#include <stdint.h>

struct lane_loss_dims {
    size_t rows, classes;
    double divisor;
};

/* Overwrites losses [rows] (divided) and, unless NULL, dz [rows, n]; labels below n. */
void lane_loss_single(const struct lane_loss_dims *d,
                      const float *z,
                      const uint32_t *labels,
                      double *losses,
                      float *dz);
/* The same with hot[i] [n]: 1 where image i has the class, else 0. */
void lane_loss_multi(const struct lane_loss_dims *d,
                     const float *z,
                     const uint8_t *const *hot,
                     double *losses,
                     float *dz);
/* (1 - n/M) ln 2 for M >= n. */
double lane_loss_constant(size_t classes, size_t all_classes);

#endif
