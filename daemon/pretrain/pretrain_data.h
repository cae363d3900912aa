/*
 * Images of a pre-training run: the training set, read whole, with a stratified part kept apart for
 * validation, and the test set, opened only for the final report.
 */
#ifndef LETHE_PRETRAIN_DATA_H
#define LETHE_PRETRAIN_DATA_H

#include "daemon/base/bytes.h"
#include "daemon/pretrain/pretrain_options.h"
#include "learners/data/images.h"
#include "learners/vit/model_config.h"

#include <stdint.h>

struct dataset;

struct pretrain_data {
    struct dataset *set;
    struct image_table table; /* every image of the set */
    uint32_t classes;
    uint32_t *train, *valid; /* indices; images of excluded classes are in neither */
    uint32_t n_train, n_valid;
    struct digest digest; /* of pixels and labels */
};

/* Opens and splits; pretrain_data_close also after a failure. */
enum status pretrain_data_open(const struct pretrain_options *o,
                               struct pretrain_data *d,
                               struct fault *f) MUST_CHECK;
/* The test images of the classes not excluded: all in d->train. */
enum status pretrain_data_open_test(const struct pretrain_options *o,
                                    struct pretrain_data *d,
                                    struct fault *f) MUST_CHECK;
void pretrain_data_close(struct pretrain_data *d);

/* Scale and shift of the table from the preprocessing that the model folder records. */
void pretrain_data_scale(struct pretrain_data *d, const struct preprocessing *p);
/* Names of the classes: --labels, or the data set's; `names` [d->classes] borrow from `text`. */
enum status pretrain_data_names(const struct pretrain_options *o,
                                const struct pretrain_data *d,
                                const char **names,
                                char *text,
                                size_t size,
                                struct fault *f) MUST_CHECK;

#endif
