/*
 * Protocol 4 of the benchmarks (data.md): classes that come as tasks, one after the other, and the
 * images of each.  Three disjoint parts of the training images (to fit, to validate on while
 * fitting, to compare settings on) and the test images lie behind each other in one table.
 *
 * Single label: from each class of the training split `valid` and `check` images are drawn by the
 * seed, and at most `limit` of the others are fitted.  Several labels: the validation file
 * validates, the last `check` training images compare, at most `limit` of the others are fitted.
 */
#ifndef LETHE_BENCH_PROTOCOL_SET_H
#define LETHE_BENCH_PROTOCOL_SET_H

#include "client/dataset/dataset.h"
#include "daemon/base/status.h"
#include "learners/data/images.h"

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_TASKS   10 /* most of a protocol */
#define PROTOCOL_CLASSES 20

struct protocol {
    const char *name;
    int several; /* labels an image; otherwise one */
    uint32_t n_tasks;
    uint8_t sizes[PROTOCOL_TASKS]; /* classes of each task */
};

/* Row i of the list, NULL past the end. */
const struct protocol *protocol_at(size_t i);
/* First class of a task; of task n_tasks: the number of classes. */
uint32_t protocol_first(const struct protocol *p, uint32_t task);
/* Task of a class. */
uint32_t protocol_task_of(const struct protocol *p, uint32_t class_index);

enum protocol_part { PROTOCOL_TRAIN, PROTOCOL_VALID, PROTOCOL_CHECK, PROTOCOL_TEST };
#define PROTOCOL_PARTS 4

struct protocol_sizes {
    uint32_t limit; /* fitted images, of each class (one label) or of all (several); 0: no bound */
    uint32_t valid, check; /* see above; `valid` of one label only */
};

/* Owns its memory (protocol_set_free). */
struct protocol_set {
    const struct protocol *protocol;
    uint32_t classes;
    char (*names)[DATASET_NAME_SIZE]; /* [classes] */
    struct image_table images;        /* of all parts; labels: the first class of each image */
    uint8_t *pixels;
    int32_t *labels;
    uint8_t *hot;                      /* [images.n, classes] 0 or 1 */
    uint32_t from[PROTOCOL_PARTS + 1]; /* first row of each part, in the order of the enum */
};

/* What a set is made of. */
struct protocol_source {
    const char *folder; /* IDX files, or train.npz, validation.npz, test.npz */
    const struct preparation *preparation;
    uint64_t seed; /* of the draws */
    struct protocol_sizes sizes;
};

/*
 * INVALID_ARGUMENT if the folder's classes are not the protocol's or a class has fewer images than
 * asked for; NOT_FOUND, BAD_FORMAT as dataset_open; NO_MEMORY.
 */
enum status protocol_set_open(const struct protocol *p,
                              const struct protocol_source *source,
                              struct protocol_set **ret_set,
                              struct fault *f) MUST_CHECK;
void protocol_set_free(struct protocol_set *s);

/* Whether image `row` has one of the classes first .. last - 1. */
int protocol_set_shows(const struct protocol_set *s, uint32_t row, uint32_t first, uint32_t last);

/*
 * The images that classes first .. last - 1 are learned from, alone in a table, labels from 0,
 * other classes' labels hidden; rows 0 .. n_train - 1 are fitted, the others validate.  Owns its
 * memory.
 */
struct protocol_task {
    struct image_table images;
    uint8_t *pixels;
    int32_t *labels;
    uint8_t *hot;   /* [images.n, last - first]; NULL: one label */
    uint32_t *rows; /* 0 .. images.n - 1 */
    uint32_t n_train;
    uint64_t sum; /* FNV-1a of pixels and labels: tells one task's data from others */
};
enum status protocol_task_make(const struct protocol_set *s,
                               uint32_t first,
                               uint32_t last,
                               struct protocol_task *ret_task,
                               struct fault *f) MUST_CHECK;
void protocol_task_free(struct protocol_task *t);

#endif
