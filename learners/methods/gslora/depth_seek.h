/*
 * Seeking part of the depth term.  Random directions see one erased class's distance from the
 * retained features only through its small projection on each of them; a linear probe sees all of
 * it.  So for every erased class of a batch one further direction is taken where a probe would
 * look, theta_c = normalised (S + tr(S)/C I)^-1 (mu_c - mu_r), mu_r and S the mean and
 * covariance of the retained embeddings, mu_c the mean of the class's, all running over the steps
 * (rate 0.3).  Along it the class's values are matched to the quantiles of the retained ones: loss
 * = scale / B sum_c sum_i (a_c,i - b(q_i))^2,  q_i = (i + 1/2) / n_c, B forget rows, a_c the sorted
 * projections of the n_c rows of class c, b those of the retained rows. Retained rows and
 * directions are constants.  Sums in double, fixed order.
 */
#ifndef LETHE_LEARNERS_DEPTH_SEEK_H
#define LETHE_LEARNERS_DEPTH_SEEK_H

#include "daemon/base/arena.h"

#include <stddef.h>
#include <stdint.h>

struct depth_seek {
    uint32_t width, classes, n_max;
    uint32_t steps;
    uint8_t *known;     /* [K] the class has a running mean */
    double *mean_r;     /* [C] */
    double *mean;       /* [K, C] */
    double *square;     /* [C, C] S */
    double *factor;     /* [C, C] */
    double *theta;      /* [C] */
    float *value[3];    /* [n_max]: class, retained, spare */
    uint32_t *order[3]; /* [n_max] */
    uint32_t *rows;     /* [n_max] rows of one class */
};

void depth_seek_plan(uint32_t width, uint32_t classes, uint32_t n_max, struct arena_plan *p);
/* False if the arena is exhausted. */
int depth_seek_new(uint32_t width,
                   uint32_t classes,
                   uint32_t n_max,
                   struct arena *arena,
                   struct depth_seek *ret_s);

/* One batch: n_r retained rows, then n_f forget rows; x [n_r + n_f, C]. */
struct depth_seek_batch {
    const float *x;
    const uint32_t *labels; /* [n_r + n_f] */
    uint32_t n_r, n_f;
};

/*
 * Takes the batch into the running moments, then gives its loss; adds the gradient to dx
 * [n_r + n_f, C] (NULL: no gradient and the moments stay as they are).
 */
double
depth_seek_loss(struct depth_seek *s, const struct depth_seek_batch *b, double scale, float *dx);

#endif
