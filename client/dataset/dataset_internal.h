/* What the readers of one format share: building a data set.  Only for client/dataset. */
#ifndef LETHE_CLIENT_DATASET_INTERNAL_H
#define LETHE_CLIENT_DATASET_INTERNAL_H

#include "client/dataset/dataset.h"

/* Largest pixel count of the options. */
size_t dataset_limit(const struct dataset_options *o);

/* Checks the shape against every limit and takes memory for its pixels (zero). */
enum status dataset_new(struct dataset_shape shape,
                        size_t max_bytes,
                        struct dataset **ret_set,
                        struct fault *f) MUST_CHECK;
/* The same without pixels: one float image [C,H,W]. */
enum status dataset_new_tensor(struct dataset_shape shape,
                               struct dataset **ret_set,
                               struct fault *f) MUST_CHECK;

uint8_t *dataset_pixels(struct dataset *d);
float *dataset_tensor_mutable(struct dataset *d);
/* Takes labels (sysio_alloc) of the set's n images; classes follow from the largest, names are
 * numbers. */
enum status dataset_take_labels(struct dataset *d, int32_t *labels, struct fault *f) MUST_CHECK;
/* Takes multi-hot labels [n, classes] (sysio_alloc). */
enum status dataset_take_multi_hot(struct dataset *d,
                                   uint8_t *hot,
                                   uint32_t classes,
                                   struct fault *f) MUST_CHECK;
/* Copies class names; to be called before the labels are given. */
enum status dataset_set_names(struct dataset *d,
                              const char *const *names,
                              uint32_t n,
                              struct fault *f) MUST_CHECK;

/* Says whose the next image is, from the first on. */
enum status dataset_add_subject(struct dataset *d, const char *id, struct fault *f) MUST_CHECK;

/* Readers, one a format.  `path` is what dataset_open was given. */
enum status idx_open(const char *images_path,
                     const char *labels_path,
                     const struct dataset_options *o,
                     struct dataset **ret_set,
                     struct fault *f) MUST_CHECK;
/* True if `path` names IDX images: the file, its folder or a prefix. Fills both paths. */
int idx_find(const char *path,
             const struct dataset_options *o,
             char images[4096],
             char labels[4096]);
enum status npy_open(const char *path,
                     const struct dataset_options *o,
                     struct dataset **ret_set,
                     struct fault *f) MUST_CHECK;
/* Whether an .npz or the IDX files at `path` hold a test split beside another one. */
int npz_has_test(const char *path);
int idx_has_test(const char *path);
enum status imagefolder_open(const char *path,
                             const struct dataset_options *o,
                             struct dataset **ret_set,
                             struct fault *f) MUST_CHECK;
/*
 * If `path` holds sub-folders train and test without pictures of their own, these are no classes
 * but splits: 1, and the folder of the split in `ret_path`.
 */
int imagefolder_split(const char *path, enum dataset_split split, char ret_path[4096]);
enum status picture_open(const char *path,
                         const struct dataset_options *o,
                         struct dataset **ret_set,
                         struct fault *f) MUST_CHECK;

#endif
