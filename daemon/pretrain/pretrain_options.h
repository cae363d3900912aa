/* What lethe-pretrain is asked to do: the command line, checked. */
#ifndef LETHE_PRETRAIN_OPTIONS_H
#define LETHE_PRETRAIN_OPTIONS_H

#include "daemon/base/status.h"

#include <stdint.h>

#define PRETRAIN_MAX_CLASSES 1024
#define PRETRAIN_TEXT_SIZE   1024

struct pretrain_options {
    const char *data;   /* training images */
    const char *test;   /* test images, default: the test part of `data` */
    const char *labels; /* class names, comma-separated, NULL: the data set's */
    const char *out;
    int resume;
    uint32_t threads;

    uint32_t patch, width, depth, heads, hidden;
    float mean, std;

    uint64_t seed;
    uint32_t epochs, batch, valid;
    float lr, lr_min, weight_decay, warmup; /* warm-up in epochs */
    float smoothing, ema, clip;
    float flip, cutout_rate, mixup;
    uint32_t shift, cutout;
    float patch_dropout;                    /* share of the patches left out ... */
    uint32_t full_epochs;                   /* ... except in this many last epochs */
    uint8_t excluded[PRETRAIN_MAX_CLASSES]; /* 1: images of this class are left out */
};

/*
 * Fills *ret_options from the command line.  Prints a message and ends the program (status 2) on a
 * usage error, as GNU programs do.
 */
void pretrain_options_parse(int argc, char **argv, struct pretrain_options *ret_options);

/*
 * Everything the result depends on, except data, threads and folder, as one line of name=value
 * pairs; a checkpoint is resumed only with the same line.
 */
void pretrain_options_text(const struct pretrain_options *o, char text[PRETRAIN_TEXT_SIZE]);

#endif
