/*
 * The prepared live classes of one feature space, as the two probes share them; for
 * representation.c and ridge_probe.c only.
 */
#ifndef LETHE_LEARNERS_REPRESENTATION_INTERNAL_H
#define LETHE_LEARNERS_REPRESENTATION_INTERNAL_H

#include "learners/eval/representation.h"

#include <stdint.h>

struct representation {
    uint32_t width;
    uint32_t n_classes;     /* live classes with images */
    uint32_t n_fit;         /* rows of the fit halves */
    const uint32_t *column; /* [n_labels] label -> 0..n_classes-1 */
    double *prototype;      /* [n_classes,width] means of normalised rows */
    double *norm2;          /* [n_classes] their squared lengths */
    uint32_t *count;        /* [n_classes] fit rows */
    double *sum;            /* [width] over the fit rows */
    double *class_sum;      /* [n_classes,width] over the fit rows of each class */
    double *gram;           /* [width,width] upper triangle, or NULL in the dual form */
    const float **fit;      /* [n_fit] the fit rows */
    uint32_t *fit_column;   /* [n_fit] their classes */
};

/* The first rows of one class: pointers into the feature matrix. */
struct representation_class {
    const float **x;
    uint32_t n;
};

/* Takes the class' first n_use rows (0: all) into c->x, which has room for all rows; n = 0 if the
 * class has fewer than n_use or fewer than twice the support. */
void representation_class_rows(const struct representation_rows *rows,
                               uint32_t label,
                               uint32_t width,
                               const struct representation_options *options,
                               struct representation_class *c);

/* y [width] += a x. */
void representation_add(double *y, double a, const float *x, uint32_t width);
/* Upper triangle of gram [width,width] += sum of x x' over n rows. */
void representation_gram(double *gram, const float *const *rows, uint32_t n, uint32_t width);

#endif
