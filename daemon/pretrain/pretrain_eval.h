/*
 * Accuracy, loss and class means of a weight set over a list of images, without augmentation.  Owns
 * an inference batch; one thread calls.
 */
#ifndef LETHE_PRETRAIN_EVAL_H
#define LETHE_PRETRAIN_EVAL_H

#include "learners/data/images.h"
#include "learners/vit/vit.h"

struct evaluator;

struct eval_result {
    double accuracy; /* share of right arg-max answers, lowest index on a tie */
    double loss;     /* mean cross-entropy */
};

enum status evaluator_new(const struct vit_config *c,
                          struct pool *pool,
                          struct evaluator **ret_evaluator,
                          struct fault *f) MUST_CHECK;
void evaluator_free(struct evaluator *e);

/* Over list [n]; an empty list gives zeros. */
struct eval_result evaluator_run(struct evaluator *e,
                                 const struct vit_weights *w,
                                 const struct image_table *t,
                                 const uint32_t *list,
                                 uint32_t n);
/*
 * Mean embedding of every class over list [n]: prototypes [K, C], counts [K] (0: row is zero). Sums
 * in double, in the order of the list; sums is scratch of [K, C] doubles.
 */
void evaluator_prototypes(struct evaluator *e,
                          const struct vit_weights *w,
                          const struct image_table *t,
                          const uint32_t *list,
                          uint32_t n,
                          double *sums,
                          float *prototypes,
                          int64_t *counts);

#endif
