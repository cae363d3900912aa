/*
 * Task streams made from the two MNISTs (tame.md, section 7): which pictures come in which order,
 * with the label that each has inside its task.  Tasks are known here and where results are
 * measured; the learner gets pictures, labels and sample numbers only.
 *
 * A picture is named by its sample number, task * images + image; a permuted task has its own
 * pictures.  Owns its data sets; one thread.
 */
#ifndef LETHE_BENCH_TASKS_H
#define LETHE_BENCH_TASKS_H

#include "client/dataset/dataset.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define TASKS_MAX     20
#define TASKS_RUNS    20
#define TASKS_PICTURE (32 * 32) /* bytes of the largest picture */

/* A stream: the order of its tasks and what a task is. */
struct tasks_stream {
    const char *name;
    int fashion;     /* Fashion-MNIST; otherwise digits */
    int permuted;    /* tasks are permutations of all classes; otherwise pairs of classes */
    uint32_t n_runs; /* uninterrupted stretches of one task */
    uint8_t runs[TASKS_RUNS];
    uint32_t windows[2]; /* W of the published settings, then the other one */
    uint32_t selector_epochs;
};

/* Row i of the list, NULL past the end. */
const struct tasks_stream *tasks_stream_at(size_t i);

struct tasks;

/* Opens the IDX folder; `limit` (0: none) bounds the pictures of a task in each split. */
enum status tasks_open(const struct tasks_stream *stream,
                       const char *folder,
                       uint64_t seed,
                       uint32_t limit,
                       struct tasks **ret_tasks,
                       struct fault *f) MUST_CHECK;
void tasks_free(struct tasks *t);

uint32_t tasks_count(const struct tasks *t);
/* Labels of a task: 0 .. classes - 1. */
uint32_t tasks_classes(const struct tasks *t);
/* Side and bytes of a picture. */
uint32_t tasks_side(const struct tasks *t);
/* Sample numbers of a split are below this. */
uint64_t tasks_numbers(const struct tasks *t, enum dataset_split split);
/* Pictures of a task in a split; their sample numbers come from tasks_number. */
uint32_t tasks_size(const struct tasks *t, enum dataset_split split, uint32_t task);
uint64_t tasks_number(const struct tasks *t, enum dataset_split split, uint32_t task, uint32_t i);

/* Length of the stream, and the training sample at a position of it. */
uint64_t tasks_length(const struct tasks *t, uint32_t epochs);
uint64_t tasks_at(const struct tasks *t, uint32_t epochs, uint64_t position);
/* First position of run r; r = n_runs: the length. */
uint64_t tasks_run_start(const struct tasks *t, uint32_t epochs, uint32_t r);

/* Of a sample number. */
uint32_t tasks_task_of(const struct tasks *t, enum dataset_split split, uint64_t number);
uint32_t tasks_label_of(const struct tasks *t, enum dataset_split split, uint64_t number);
/* Copies the picture, side * side bytes. */
void tasks_picture(const struct tasks *t, enum dataset_split split, uint64_t number, uint8_t *to);

#endif
