/*
 * The files of a made data set: OUT/NAME.npz with images u8 [N,side,side] and labels, either i32
 * [N] or multi-hot u8 [N,classes], and OUT/classes.txt with one class name a line.
 */
#ifndef LETHE_BENCH_SET_FILE_H
#define LETHE_BENCH_SET_FILE_H

#include "daemon/base/status.h"

#include <stdint.h>

struct set_file {
    uint32_t n, side, classes;
    uint8_t *images; /* [n,side,side]; owned, set_file_fini */
    int32_t *labels; /* [n], or NULL */
    uint8_t *hot;    /* [n,classes], or NULL */
};

/* Takes zeroed memory for n images with one label each (hot = 0) or multi-hot labels (hot = 1). */
enum status set_file_init(struct set_file *s,
                          uint32_t n,
                          uint32_t side,
                          uint32_t classes,
                          int hot,
                          struct fault *f) MUST_CHECK;
void set_file_fini(struct set_file *s);

/* Creates the folder and those above it. */
enum status set_file_folder(const char *path, struct fault *f) MUST_CHECK;
enum status set_file_write(const struct set_file *s,
                           const char *folder,
                           const char *name,
                           struct fault *f) MUST_CHECK;
enum status set_file_write_names(const char *folder,
                                 const char *const *names,
                                 uint32_t n,
                                 struct fault *f) MUST_CHECK;
/* CRC-32 of images and labels: tells whether two runs made the same. */
uint32_t set_file_sum(const struct set_file *s);

#endif
