#include "bench/multilane/protocol_set.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

static const struct protocol protocols[] = {
    {"mnist", 0, 5, {2, 2, 2, 2, 2}},
    {"scenes-b0-c4", 1, 5, {4, 4, 4, 4, 4}},
    {"scenes-b10-c2", 1, 6, {10, 2, 2, 2, 2, 2}},
};

const struct protocol *protocol_at(size_t i)
{
    return i < sizeof protocols / sizeof *protocols ? &protocols[i] : NULL;
}

uint32_t protocol_first(const struct protocol *p, uint32_t task)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < task; t++)
        n += p->sizes[t];
    return n;
}

uint32_t protocol_task_of(const struct protocol *p, uint32_t class_index)
{
    uint32_t t = 0;
    while (protocol_first(p, t + 1) <= class_index)
        t++;
    return t;
}

/* ------------------------------------------------------------------ memory */

/* Memory for n images; their scale and shift are set by who knows the model. */
static enum status
set_take(struct protocol_set *s, uint32_t n, const struct preparation *p, struct fault *f)
{
    const size_t bytes = (size_t)p->size * p->size * p->channels;
    s->names = sysio_alloc(s->classes, sizeof *s->names);
    s->pixels = sysio_alloc(n, bytes);
    s->labels = sysio_alloc(n, sizeof *s->labels);
    s->hot = sysio_alloc(n, s->classes);
    if (!s->names || !s->pixels || !s->labels || !s->hot)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u images", n);
    s->images = (struct image_table){
        .pixels = s->pixels, .labels = s->labels, .size = p->size, .channels = p->channels};
    return STATUS_OK;
}

void protocol_set_free(struct protocol_set *s)
{
    if (!s)
        return;
    sysio_free(s->names);
    sysio_free(s->pixels);
    sysio_free(s->labels);
    sysio_free(s->hot);
    sysio_free(s);
}

/* ------------------------------------------------------------------ filling */

/* Appends image i of d, brought to the model's size. */
static enum status set_add(struct protocol_set *s,
                           const struct preparation *p,
                           const struct dataset *d,
                           uint32_t i,
                           struct fault *f)
{
    const struct dataset_shape shape = dataset_shape(d);
    const struct picture_size size = {shape.height, shape.width, shape.channels};
    const uint32_t row = s->images.n;
    uint8_t *pixels = s->pixels + (size_t)row * p->size * p->size * p->channels;
    if (shape.height == p->size && shape.width == p->size && shape.channels == p->channels)
        memcpy(pixels, dataset_image(d, i), dataset_image_bytes(d));
    else
        TRY(picture_prepare(dataset_image(d, i), size, p, pixels, f));
    s->images.n++;
    uint8_t *hot = s->hot + (size_t)row * s->classes;
    if (s->protocol->several)
        memcpy(hot, dataset_multi_hot(d) + (size_t)i * s->classes, s->classes);
    else
        hot[dataset_labels(d)[i]] = 1;
    s->labels[row] = 0;
    for (uint32_t c = s->classes; c-- > 0;)
        if (hot[c])
            s->labels[row] = (int32_t)c;
    return STATUS_OK;
}

static void set_end_part(struct protocol_set *s, enum protocol_part part)
{
    s->from[part + 1] = s->images.n;
}

/* Rows of every class in an order drawn by the seed, behind each other: first[c] .. first[c + 1].
 */
static void order_by_class(
    const struct dataset *d, uint64_t seed, uint32_t *order, uint32_t *rows, uint32_t *first)
{
    const uint32_t n = dataset_shape(d).n, classes = dataset_classes(d);
    const int32_t *labels = dataset_labels(d);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "protocol/rows", n);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    rng_shuffle(&r, order, n);
    uint32_t at = 0;
    for (uint32_t c = 0; c < classes; c++) {
        first[c] = at;
        for (uint32_t i = 0; i < n; i++)
            if (labels[order[i]] == (int32_t)c)
                rows[at++] = order[i];
    }
    first[classes] = at;
}

/* Of each class' rows the first `valid` validate, the next `check` compare, others are fitted. */
static enum status divide(struct protocol_set *s,
                          const struct dataset *d,
                          const struct protocol_source *source,
                          const uint32_t *rows,
                          const uint32_t *first,
                          struct fault *f)
{
    const struct protocol_sizes *z = &source->sizes;
    const struct preparation *p = source->preparation;
    const uint64_t held = (uint64_t)z->valid + z->check;
    for (uint32_t c = 0; c < s->classes; c++)
        if (first[c + 1] - first[c] <= held)
            FAIL(f, STATUS_INVALID_ARGUMENT, "data", "class %u has %u images; %llu are held out", c,
                 first[c + 1] - first[c], (unsigned long long)held);
    for (uint32_t c = 0; c < s->classes; c++) {
        const uint32_t from = first[c] + (uint32_t)held, n = first[c + 1] - from;
        for (uint32_t i = 0; i < n && (z->limit == 0 || i < z->limit); i++)
            TRY(set_add(s, p, d, rows[from + i], f));
    }
    set_end_part(s, PROTOCOL_TRAIN);
    for (uint32_t c = 0; c < s->classes; c++)
        for (uint32_t i = 0; i < z->valid; i++)
            TRY(set_add(s, p, d, rows[first[c] + i], f));
    set_end_part(s, PROTOCOL_VALID);
    for (uint32_t c = 0; c < s->classes; c++)
        for (uint32_t i = 0; i < z->check; i++)
            TRY(set_add(s, p, d, rows[first[c] + z->valid + i], f));
    set_end_part(s, PROTOCOL_CHECK);
    return STATUS_OK;
}

static enum status add_range(struct protocol_set *s,
                             const struct preparation *p,
                             const struct dataset *d,
                             uint32_t from,
                             uint32_t to,
                             struct fault *f)
{
    for (uint32_t i = from; i < to; i++)
        TRY(set_add(s, p, d, i, f));
    return STATUS_OK;
}

static enum status
check_shape(const struct protocol *p, const struct dataset *d, const char *path, struct fault *f)
{
    const int labels = p->several ? dataset_multi_hot(d) != NULL : dataset_labels(d) != NULL;
    const uint32_t classes = protocol_first(p, p->n_tasks);
    if (labels && dataset_classes(d) == classes && dataset_image_bytes(d) > 0)
        return STATUS_OK;
    FAIL(f, STATUS_INVALID_ARGUMENT, "data", "%.160s is not pictures with %s of %u classes", path,
         p->several ? "several labels" : "one label", classes);
}

static enum status open_file(const struct protocol *p,
                             const struct protocol_source *source,
                             const char *file,
                             enum dataset_split split,
                             struct dataset **ret_set,
                             struct fault *f)
{
    char path[4096];
    const struct dataset_options o = {.split = split};
    (void)snprintf(path, sizeof path, "%s%s%s", source->folder, *file ? "/" : "", file);
    TRY(dataset_open(path, &o, ret_set, f));
    const enum status st = check_shape(p, *ret_set, path, f);
    if (st != STATUS_OK)
        dataset_free(*ret_set);
    return st;
}

static void copy_names(struct protocol_set *s, const struct dataset *d)
{
    for (uint32_t c = 0; c < s->classes; c++)
        (void)snprintf(s->names[c], sizeof s->names[c], "%s", dataset_class_name(d, c));
}

static enum status fill_single(struct protocol_set *s,
                               const struct protocol_source *source,
                               struct dataset *const *sets,
                               struct fault *f)
{
    const struct dataset_shape shape = dataset_shape(sets[0]);
    const uint32_t n_test = dataset_shape(sets[1]).n;
    uint32_t first[PROTOCOL_CLASSES + 1];
    TRY(set_take(s, shape.n + n_test, source->preparation, f));
    copy_names(s, sets[0]);
    uint32_t *order = sysio_alloc(shape.n, sizeof *order);
    uint32_t *rows = sysio_alloc(shape.n, sizeof *rows);
    enum status st = STATUS_NO_MEMORY;
    if (order && rows) {
        order_by_class(sets[0], source->seed, order, rows, first);
        st = divide(s, sets[0], source, rows, first, f);
    }
    sysio_free(order);
    sysio_free(rows);
    TRY(st);
    TRY(add_range(s, source->preparation, sets[1], 0, n_test, f));
    set_end_part(s, PROTOCOL_TEST);
    return STATUS_OK;
}

static enum status fill_several(struct protocol_set *s,
                                const struct protocol_source *source,
                                struct dataset *const *sets,
                                struct fault *f)
{
    const struct protocol_sizes *z = &source->sizes;
    const struct dataset_shape shape = dataset_shape(sets[0]);
    const uint32_t n_valid = dataset_shape(sets[1]).n, n_test = dataset_shape(sets[2]).n;
    if (shape.n <= z->check)
        FAIL(f, STATUS_INVALID_ARGUMENT, "check", "%u images, but there are only %u", z->check,
             shape.n);
    TRY(set_take(s, shape.n + n_valid + n_test, source->preparation, f));
    copy_names(s, sets[0]);
    const uint32_t rest = shape.n - z->check;
    TRY(add_range(s, source->preparation, sets[0], 0, z->limit && z->limit < rest ? z->limit : rest,
                  f));
    set_end_part(s, PROTOCOL_TRAIN);
    TRY(add_range(s, source->preparation, sets[1], 0, n_valid, f));
    set_end_part(s, PROTOCOL_VALID);
    TRY(add_range(s, source->preparation, sets[0], rest, shape.n, f));
    set_end_part(s, PROTOCOL_CHECK);
    TRY(add_range(s, source->preparation, sets[2], 0, n_test, f));
    set_end_part(s, PROTOCOL_TEST);
    return STATUS_OK;
}

enum status protocol_set_open(const struct protocol *p,
                              const struct protocol_source *source,
                              struct protocol_set **ret_set,
                              struct fault *f)
{
    static const char *const files[2][3] = {{"", "", NULL},
                                            {"train.npz", "validation.npz", "test.npz"}};
    struct dataset *sets[3] = {NULL};
    struct protocol_set *s = sysio_alloc(1, sizeof *s);
    if (!s)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for a protocol");
    s->protocol = p;
    s->classes = protocol_first(p, p->n_tasks);
    enum status st = STATUS_OK;
    for (uint32_t i = 0; i < 3 && st == STATUS_OK && files[p->several][i]; i++)
        st = open_file(p, source, files[p->several][i],
                       !p->several && i == 1 ? DATASET_TEST : DATASET_TRAIN, &sets[i], f);
    if (st == STATUS_OK)
        st = p->several ? fill_several(s, source, sets, f) : fill_single(s, source, sets, f);
    for (uint32_t i = 0; i < 3; i++)
        dataset_free(sets[i]);
    if (st != STATUS_OK) {
        protocol_set_free(s);
        return st;
    }
    *ret_set = s;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ tasks */

int protocol_set_shows(const struct protocol_set *s, uint32_t row, uint32_t first, uint32_t last)
{
    const uint8_t *hot = s->hot + (size_t)row * s->classes;
    for (uint32_t c = first; c < last; c++)
        if (hot[c])
            return 1;
    return 0;
}

/* Copies row `row` of the set. */
static void task_add(const struct protocol_set *s,
                     uint32_t row,
                     uint32_t first,
                     uint32_t last,
                     struct protocol_task *t)
{
    const size_t bytes = (size_t)s->images.size * s->images.size * s->images.channels;
    const uint32_t to = t->images.n++;
    memcpy(t->pixels + to * bytes, s->pixels + row * bytes, bytes);
    if (t->hot)
        memcpy(t->hot + (size_t)to * (last - first), s->hot + (size_t)row * s->classes + first,
               last - first);
    else
        t->labels[to] = s->labels[row] - (int32_t)first;
    t->rows[to] = to;
}

static uint64_t sum_of(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t task_sum(const struct protocol_task *t, uint32_t classes)
{
    const struct image_table *x = &t->images;
    const uint64_t h =
        sum_of(0xcbf29ce484222325u, t->pixels, (size_t)x->n * x->size * x->size * x->channels);
    return t->hot ? sum_of(h, t->hot, (size_t)x->n * classes)
                  : sum_of(h, t->labels, x->n * sizeof *t->labels);
}

enum status protocol_task_make(const struct protocol_set *s,
                               uint32_t first,
                               uint32_t last,
                               struct protocol_task *ret_task,
                               struct fault *f)
{
    const uint32_t end = s->from[PROTOCOL_VALID + 1];
    const size_t bytes = (size_t)s->images.size * s->images.size * s->images.channels;
    struct protocol_task t = {.images = s->images};
    uint32_t n = 0;
    for (uint32_t i = 0; i < end; i++)
        n += protocol_set_shows(s, i, first, last) != 0;
    t.pixels = sysio_alloc(n + 1, bytes);
    t.labels = sysio_alloc(n + 1, sizeof *t.labels);
    t.rows = sysio_alloc(n + 1, sizeof *t.rows);
    t.hot = s->protocol->several ? sysio_alloc(n + 1, last - first) : NULL;
    if (!t.pixels || !t.labels || !t.rows || (s->protocol->several && !t.hot)) {
        protocol_task_free(&t);
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for a task of %u images", n);
    }
    t.images.pixels = t.pixels;
    t.images.labels = t.labels;
    t.images.n = 0;
    for (uint32_t i = 0; i < end; i++) {
        if (i == s->from[PROTOCOL_VALID])
            t.n_train = t.images.n;
        if (protocol_set_shows(s, i, first, last))
            task_add(s, i, first, last, &t);
    }
    if (s->from[PROTOCOL_VALID] == end)
        t.n_train = t.images.n;
    t.sum = task_sum(&t, last - first);
    *ret_task = t;
    return STATUS_OK;
}

void protocol_task_free(struct protocol_task *t)
{
    sysio_free(t->pixels);
    sysio_free(t->labels);
    sysio_free(t->hot);
    sysio_free(t->rows);
}
