/* What the two sets of rules share; only for learners/methods/tame. */
#ifndef LETHE_LEARNERS_TAME_DETECTOR_INTERNAL_H
#define LETHE_LEARNERS_TAME_DETECTOR_INTERNAL_H

#include "learners/methods/tame/tame_detector.h"

/* Threshold of the window as it is; what is behind it goes to *v (NULL: nowhere). */
void tame_watch_threshold(const struct tame_options *o,
                          struct tame_watch *x,
                          struct tame_verdict *v);
double tame_watch_average(const struct tame_options *o, int defined, double average, double loss);
/* Newest loss; true if the drift warning has just become due. */
int tame_watch_push(const struct tame_options *o, struct tame_watch *x, double loss);
/* Window and averages as at birth. */
void tame_watch_seed(const struct tame_options *o, struct tame_watch *x, uint32_t classes);

/* A new expert for the batches in slots 0 .. n-1, or in `slot` (n = 0). */
enum status tame_detector_make(struct tame_detector *d,
                               const struct tame_ops *ops,
                               uint32_t slot,
                               uint32_t n,
                               uint32_t *ret_e,
                               struct fault *f) MUST_CHECK;

/* tame_hardened.c, tame_parity.c */
enum status tame_hardened_observe(struct tame_detector *d,
                                  const struct tame_ops *ops,
                                  struct tame_verdict *v,
                                  struct fault *f) MUST_CHECK;
enum status tame_parity_observe(struct tame_detector *d,
                                const struct tame_ops *ops,
                                struct tame_verdict *v,
                                struct fault *f) MUST_CHECK;

#endif
