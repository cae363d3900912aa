#include "bench/tame/tasks.h"

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

#include <string.h>

#define RAW     28 /* side of the pictures of the data sets */
#define EDGE    2  /* black pixels round a picture that is permuted */
#define CLASSES 10
#define PAIR    2
#define SPLITS  2

#define FIVE                                                                                       \
    {                                                                                              \
        0, 1, 2, 3, 4                                                                              \
    }
#define AGAIN                                                                                      \
    {                                                                                              \
        0, 1, 2, 1, 3                                                                              \
    }
#define TWICE                                                                                      \
    {                                                                                              \
        0, 1, 2, 1, 3, 0, 1, 2, 1, 3                                                               \
    }
#define TWENTY                                                                                     \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19                       \
    }

static const struct tasks_stream streams[] = {
    {"split-mnist", 0, 0, 5, FIVE, {35, 100}, 200},
    {"split-fashion", 1, 0, 5, FIVE, {35, 100}, 200},
    {"permuted-mnist", 0, 1, 20, TWENTY, {100, 35}, 100},
    {"recurring-mnist", 0, 0, 5, AGAIN, {35, 100}, 200},
    {"recurring-mnist-twice", 0, 0, 10, TWICE, {35, 100}, 200},
    {"recurring-fashion", 1, 0, 5, AGAIN, {35, 100}, 200},
    {"recurring-fashion-twice", 1, 0, 10, TWICE, {35, 100}, 200},
};

const struct tasks_stream *tasks_stream_at(size_t i)
{
    return i < sizeof streams / sizeof *streams ? &streams[i] : NULL;
}

/* Pictures of one split, in file order. */
struct split {
    struct dataset *set;
    uint32_t n;                  /* of the set */
    uint32_t size[TASKS_MAX];    /* pictures of a task */
    uint32_t *images[TASKS_MAX]; /* [size], their numbers in the set */
};

struct tasks {
    struct tasks_stream stream;
    uint32_t n_tasks, classes, side;
    struct split splits[SPLITS];
    /* permuted only: [tasks, side * side], where pixel p of the new picture comes from */
    uint32_t *places;
};

/* ------------------------------------------------------------------ opening */

static int belongs(const struct tasks *t, int32_t label, uint32_t task)
{
    return t->stream.permuted || (uint32_t)label / PAIR == task;
}

static enum status list_images(struct tasks *t, struct split *s, uint32_t limit, struct fault *f)
{
    const int32_t *labels = dataset_labels(s->set);
    for (uint32_t k = 0; k < t->n_tasks; k++) {
        s->images[k] = sysio_alloc(s->n, sizeof(uint32_t));
        if (!s->images[k])
            FAIL(f, STATUS_NO_MEMORY, NULL, "lists of %u pictures", s->n);
        for (uint32_t i = 0; i < s->n; i++)
            if (belongs(t, labels[i], k) && (limit == 0 || s->size[k] < limit))
                s->images[k][s->size[k]++] = i;
        if (s->size[k] == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "data", "task %u has no pictures", k);
    }
    return STATUS_OK;
}

static enum status open_split(
    struct tasks *t, const char *folder, enum dataset_split split, uint32_t limit, struct fault *f)
{
    struct split *s = &t->splits[split];
    TRY(dataset_open(folder, &(struct dataset_options){.split = split}, &s->set, f));
    const struct dataset_shape shape = dataset_shape(s->set);
    if (shape.height != RAW || shape.width != RAW || shape.channels != 1 ||
        !dataset_labels(s->set) || dataset_classes(s->set) != CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "%s is not %d classes of grey %dx%d pictures",
             folder, CLASSES, RAW, RAW);
    s->n = shape.n;
    return list_images(t, s, limit, f);
}

/* The first task is as it is, the others are shuffles of its pixels. */
static enum status draw_places(struct tasks *t, uint64_t seed, struct fault *f)
{
    const size_t pixels = (size_t)t->side * t->side;
    const struct rng_root root = {.seed = seed};
    t->places = sysio_alloc(t->n_tasks * pixels, sizeof *t->places);
    if (!t->places)
        FAIL(f, STATUS_NO_MEMORY, NULL, "permutations of %u tasks", t->n_tasks);
    for (uint32_t k = 0; k < t->n_tasks; k++) {
        uint32_t *row = t->places + k * pixels;
        struct rng r;
        for (uint32_t p = 0; p < pixels; p++)
            row[p] = p;
        rng_init(&r, &root, "permutation", k);
        if (k > 0)
            rng_shuffle(&r, row, pixels);
    }
    return STATUS_OK;
}

static enum status
fill(struct tasks *t, const char *folder, uint64_t seed, uint32_t limit, struct fault *f)
{
    for (uint32_t r = 0; r < t->stream.n_runs; r++)
        if (t->stream.runs[r] >= t->n_tasks)
            t->n_tasks = t->stream.runs[r] + 1u;
    t->classes = t->stream.permuted ? CLASSES : PAIR;
    t->side = t->stream.permuted ? RAW + 2 * EDGE : RAW;
    TRY(open_split(t, folder, DATASET_TRAIN, limit, f));
    TRY(open_split(t, folder, DATASET_TEST, limit, f));
    return t->stream.permuted ? draw_places(t, seed, f) : STATUS_OK;
}

enum status tasks_open(const struct tasks_stream *stream,
                       const char *folder,
                       uint64_t seed,
                       uint32_t limit,
                       struct tasks **ret_tasks,
                       struct fault *f)
{
    struct tasks *t = sysio_alloc(1, sizeof *t);
    if (!t)
        FAIL(f, STATUS_NO_MEMORY, NULL, "task stream");
    t->stream = *stream;
    const enum status s = fill(t, folder, seed, limit, f);
    if (s != STATUS_OK) {
        tasks_free(t);
        return s;
    }
    *ret_tasks = t;
    return STATUS_OK;
}

void tasks_free(struct tasks *t)
{
    if (!t)
        return;
    for (size_t s = 0; s < SPLITS; s++) {
        dataset_free(t->splits[s].set);
        for (size_t k = 0; k < TASKS_MAX; k++)
            sysio_free(t->splits[s].images[k]);
    }
    sysio_free(t->places);
    sysio_free(t);
}

/* ------------------------------------------------------------------ looking */

uint32_t tasks_count(const struct tasks *t)
{
    return t->n_tasks;
}

uint32_t tasks_classes(const struct tasks *t)
{
    return t->classes;
}

uint32_t tasks_side(const struct tasks *t)
{
    return t->side;
}

uint64_t tasks_numbers(const struct tasks *t, enum dataset_split split)
{
    return (uint64_t)t->n_tasks * t->splits[split].n;
}

uint32_t tasks_size(const struct tasks *t, enum dataset_split split, uint32_t task)
{
    return t->splits[split].size[task];
}

uint64_t tasks_number(const struct tasks *t, enum dataset_split split, uint32_t task, uint32_t i)
{
    const struct split *s = &t->splits[split];
    return (uint64_t)task * s->n + s->images[task][i];
}

uint64_t tasks_run_start(const struct tasks *t, uint32_t epochs, uint32_t r)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < r; i++)
        at += (uint64_t)epochs * tasks_size(t, DATASET_TRAIN, t->stream.runs[i]);
    return at;
}

uint64_t tasks_length(const struct tasks *t, uint32_t epochs)
{
    return tasks_run_start(t, epochs, t->stream.n_runs);
}

uint64_t tasks_at(const struct tasks *t, uint32_t epochs, uint64_t position)
{
    for (uint32_t r = 0;; r++) {
        const uint32_t task = t->stream.runs[r], n = tasks_size(t, DATASET_TRAIN, task);
        if (position < (uint64_t)epochs * n)
            return tasks_number(t, DATASET_TRAIN, task, (uint32_t)(position % n));
        position -= (uint64_t)epochs * n;
    }
}

uint32_t tasks_task_of(const struct tasks *t, enum dataset_split split, uint64_t number)
{
    return (uint32_t)(number / t->splits[split].n);
}

uint32_t tasks_label_of(const struct tasks *t, enum dataset_split split, uint64_t number)
{
    const struct split *s = &t->splits[split];
    return (uint32_t)dataset_labels(s->set)[number % s->n] % t->classes;
}

/* With black edges, pixel p of the permuted picture from its place. */
static void
permute(const struct tasks *t, const uint8_t *image, const uint32_t *places, uint8_t *to)
{
    uint8_t padded[TASKS_PICTURE] = {0};
    for (size_t r = 0; r < RAW; r++)
        memcpy(padded + (r + EDGE) * t->side + EDGE, image + r * RAW, RAW);
    for (size_t p = 0; p < (size_t)t->side * t->side; p++)
        to[p] = padded[places[p]];
}

void tasks_picture(const struct tasks *t, enum dataset_split split, uint64_t number, uint8_t *to)
{
    const struct split *s = &t->splits[split];
    const uint8_t *image = dataset_image(s->set, (uint32_t)(number % s->n));
    const size_t pixels = (size_t)t->side * t->side;
    if (t->stream.permuted)
        permute(t, image, t->places + number / s->n * pixels, to);
    else
        memcpy(to, image, pixels);
}
