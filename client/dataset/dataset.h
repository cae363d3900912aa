/*
 * Data sets as people keep them, opened from a path and held in memory: u8 pictures [n,H,W,C] with
 * one label each or with multi-hot labels, or one preprocessed float image.  Recognised by what is
 * found: an IDX pair (plain or .gz; the images file, its folder, or a prefix), .npy and .npz, a
 * folder with one sub-folder a class (or with two such folders, train and test), a single PNG or
 * JPEG.  Everything in the files is checked as
 * hostile input; sizes are bounded before memory is taken.  One thread.
 */
#ifndef LETHE_CLIENT_DATASET_H
#define LETHE_CLIENT_DATASET_H

#include "client/dataset/resize.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define DATASET_MAX_IMAGES   (1u << 24)
#define DATASET_MAX_SIDE     4096u
#define DATASET_MAX_CLASSES  10000u
#define DATASET_MAX_BYTES    ((size_t)2 << 30) /* of pixels */
#define DATASET_NAME_SIZE    256               /* a class name with its NUL */
#define DATASET_SUBJECT_SIZE 256               /* a subject's id with its NUL */

struct dataset;

enum dataset_split { DATASET_TRAIN, DATASET_TEST };

struct dataset_options {
    enum dataset_split split; /* of what holds both */
    const char *labels_path;  /* labels beside `path`, NULL: found by name */
    /*
     * Where it says whose each image is; NULL: nowhere.  The field is an array of an .npz, or, of
     * pictures in folders, the number from 1 of a part of the file's name without its suffix, parts
     * being separated by "_".  The file has one id a line, in the order of the images (folders: by
     * class, then by file name); an empty line: nobody's.
     */
    const char *subject_field;
    const char *subjects_path;
    const struct preparation *prepare; /* how pictures are brought to one size, NULL: as they are */
    size_t max_bytes;                  /* of pixels; 0: DATASET_MAX_BYTES */
};

struct dataset_shape {
    uint32_t n;
    uint32_t height, width, channels; /* channels 1 or 3 */
};

/*
 * Opens `path` with `options` (NULL: defaults).  The caller owns *ret_set (dataset_free).
 * NOT_FOUND: nothing there; BAD_FORMAT: malformed, the text says where; RESOURCE_EXHAUSTED: larger
 * than the limits; INVALID_ARGUMENT: well-formed but not usable (sizes differ, NaN, bad label).
 */
enum status dataset_open(const char *path,
                         const struct dataset_options *options,
                         struct dataset **ret_set,
                         struct fault *f) MUST_CHECK;
void dataset_free(struct dataset *d);
/* Whether split DATASET_TEST at `path` is a part of its own.  Opens no pictures. */
int dataset_has_test(const char *path);

struct dataset_shape dataset_shape(const struct dataset *d);
/* Bytes of one u8 image: height * width * channels. */
size_t dataset_image_bytes(const struct dataset *d);
/* [H,W,C] u8 of image i; NULL if the set holds a float image. Borrowed. */
const uint8_t *dataset_image(const struct dataset *d, uint32_t i);
/* [C,H,W] f32 of a set made from one preprocessed float image, else NULL. Borrowed. */
const float *dataset_tensor(const struct dataset *d);

/* Labels [n], each in 0..classes-1; NULL if the set has none or is multi-label. Borrowed. */
const int32_t *dataset_labels(const struct dataset *d);
/* Multi-hot labels [n, classes] of 0 and 1, or NULL. Borrowed. */
const uint8_t *dataset_multi_hot(const struct dataset *d);
/* Whose image i is, "" if nobody's; NULL: the set does not say. Borrowed. */
const char *dataset_subject(const struct dataset *d, uint32_t i);
uint32_t dataset_classes(const struct dataset *d);
/* Name of a class: its folder, or its number in decimal. Borrowed. */
const char *dataset_class_name(const struct dataset *d, uint32_t label);

#endif
