/*
 * What a run says: a progress bar with the time left on a terminal, one line an epoch otherwise,
 * and training.log, one JSON object an epoch.
 */
#ifndef LETHE_PRETRAIN_REPORT_H
#define LETHE_PRETRAIN_REPORT_H

#include "daemon/base/status.h"

#include <stdint.h>

struct report_epoch {
    uint64_t epoch, epochs; /* epoch counts from 1 */
    double lr;
    double loss, accuracy; /* of the training images as seen, augmented, while weights move */
    double valid_loss, valid_accuracy, valid_ema_loss, valid_ema_accuracy;
    double images_per_second, seconds;
};

struct report {
    char path[4096];
    int terminal;
    int64_t start_us, last_us; /* of the run, of the last bar */
    uint64_t start_step;
};

/*
 * Opens the log of a folder; lines of epochs beyond `epochs_done` are dropped, so that a resumed
 * run does not tell them twice.
 */
enum status report_open(struct report *r,
                        const char *folder,
                        uint64_t epochs_done,
                        uint64_t start_step,
                        struct fault *f) MUST_CHECK;
/* At most five times a second; nothing if standard error is no terminal. */
void report_step(struct report *r,
                 uint64_t step,
                 uint64_t steps,
                 uint64_t steps_per_epoch,
                 double loss,
                 double accuracy);
enum status
report_epoch(struct report *r, const struct report_epoch *e, struct fault *f) MUST_CHECK;
enum status report_final(struct report *r,
                         double test_accuracy,
                         double test_loss,
                         uint32_t n_test,
                         struct fault *f) MUST_CHECK;

#endif
