/*
 * State of a run at the end of an epoch, as one safetensors file (F32 vectors "weights", "ema",
 * "moment1", "moment2"; metadata "epoch", "step", "options", "data"), written to a temporary name
 * and renamed.  Random streams need no state: they are named by epoch, step and image.
 */
#ifndef LETHE_PRETRAIN_CHECKPOINT_H
#define LETHE_PRETRAIN_CHECKPOINT_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct checkpoint {
    float *weights, *ema, *moment1, *moment2; /* [floats], the caller's */
    size_t floats;
    uint64_t epoch; /* epochs done */
    uint64_t step;  /* optimiser steps done */
};

enum status checkpoint_write(const char *path,
                             const struct checkpoint *c,
                             const char *options,
                             const char *data,
                             struct fault *f) MUST_CHECK;
/*
 * Fills the arrays, epoch and step.  NOT_FOUND: no file; FAILED_PRECONDITION: made with other
 * options or other data; BAD_FORMAT: damaged.
 */
enum status checkpoint_read(const char *path,
                            struct checkpoint *c,
                            const char *options,
                            const char *data,
                            struct fault *f) MUST_CHECK;

#endif
