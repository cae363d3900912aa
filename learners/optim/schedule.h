/*
 * Learning rates: linear warm-up, then a half cosine (Loshchilov and Hutter 2017, arXiv
 * 1608.03983). Works in any unit: steps, or epochs as GS-LoRA++ does.
 */
#ifndef LETHE_LEARNERS_SCHEDULE_H
#define LETHE_LEARNERS_SCHEDULE_H

#include <stdint.h>

struct schedule {
    double lr;     /* at the end of the warm-up */
    double lr_min; /* what the cosine falls to */
    uint64_t warmup;
    uint64_t total; /* warm-up included */
};

/*
 * Rate at position t, from 0:  lr (t + 1) / warmup  while t < warmup,  then
 * lr_min + (lr - lr_min) (1 + cos(pi (t - warmup) / (total - warmup))) / 2,  lr_min from total on.
 */
float schedule_lr(const struct schedule *s, uint64_t t);

#endif
