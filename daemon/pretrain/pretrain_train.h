/*
 * The training itself: all weights, one optimiser step at a time.  A trainer owns the weights,
 * their gradient, both moments, the averaged weights, and one training batch; every random choice
 * is named by epoch, step or image, so a run can be continued at any epoch and gives the same bytes
 * with any number of threads.
 */
#ifndef LETHE_PRETRAIN_TRAIN_H
#define LETHE_PRETRAIN_TRAIN_H

#include "daemon/pretrain/pretrain_checkpoint.h"
#include "daemon/pretrain/pretrain_options.h"
#include "learners/data/images.h"
#include "learners/vit/vit.h"

#include <stdint.h>

struct trainer;

struct train_data {
    const struct image_table *table;
    const uint32_t *list; /* images to train on */
    uint32_t n;
};

/* Sums over the images since the trainer was asked last. */
struct train_sums {
    double loss;
    uint64_t right, images;
};

/* Borrows all arguments for its life. Weights are initialised from the options' seed. */
enum status trainer_new(const struct vit_config *c,
                        const struct pretrain_options *o,
                        const struct train_data *data,
                        struct pool *pool,
                        struct trainer **ret_trainer,
                        struct fault *f) MUST_CHECK;
void trainer_free(struct trainer *t);

uint64_t trainer_steps_per_epoch(const struct trainer *t);
uint64_t trainer_steps(const struct trainer *t); /* of the whole run */
/* View of the state for writing or filling a checkpoint; epoch and step are the caller's. */
struct checkpoint trainer_state(struct trainer *t);
const struct vit_weights *trainer_weights(const struct trainer *t);
const struct vit_weights *trainer_averaged(const struct trainer *t);
/* The block behind trainer_averaged. */
const float *trainer_averaged_block(const struct trainer *t);

/* Learning rate of a step: linear warm-up from 0, then cosine to lr_min. */
double trainer_rate(const struct trainer *t, uint64_t step);
/*
 * One step (counted from 0 over the whole run).  FAILED_PRECONDITION if the loss is no finite
 * number: the weights are then as before.
 */
enum status trainer_step(struct trainer *t, uint64_t step, struct fault *f) MUST_CHECK;
/* Returns the sums and clears them. */
struct train_sums trainer_take_sums(struct trainer *t);

#endif
