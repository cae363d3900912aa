/*
 * Learning-rate schedules: pure functions of a position.
 */
#ifndef LETHE_LEARNERS_SCHEDULE_H
#define LETHE_LEARNERS_SCHEDULE_H

#include <stdint.h>

struct schedule {
    float lr_max;
    float lr_min;
    uint64_t warmup; /* steps (or epochs: any unit) of linear rise */
    uint64_t total;  /* the same unit; warmup included */
};

/*
 * Linear rise from lr_max/warmup at step 0 to lr_max, then half a cosine down:
 * lr_min + (lr_max - lr_min)/2 (1 + cos(pi (step - warmup)/(total - warmup))); lr_min from `total`
 * on (SGDR without restarts, Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5).
 */
float schedule_cosine(const struct schedule *s, uint64_t step);

#endif
