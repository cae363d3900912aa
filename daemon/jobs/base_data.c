#include "daemon/jobs/base_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/data/replay.h"

/* ---------------------------------------------------------------- which set is what */

enum status base_data_shape(const struct dataset *d, const struct base_model *base, struct fault *f)
{
    const struct vit_config *c = &base->vit;
    if (d->height != c->image_size || d->width != c->image_size)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
             "data set %s holds images of %ux%u, the model takes %ux%u", d->name, d->height,
             d->width, c->image_size, c->image_size);
    if (d->channels != c->channels)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
             "data set %s has %u channels, the model takes %u", d->name, d->channels, c->channels);
    return STATUS_OK;
}

enum status base_data_fits(const struct dataset *d, const struct base_model *base, struct fault *f)
{
    TRY(base_data_shape(d, base, f));
    if (d->label_kind != DATASET_LABELS_CLASS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples", "data set %s is multi-label", d->name);
    return STATUS_OK;
}

static int64_t class_number(const char *name)
{
    if (name[0] == '\0' || strlen(name) > 5 || strspn(name, "0123456789") != strlen(name))
        return -1;
    return (int64_t)strtol(name, NULL, 10);
}

/* Numbers stand for classes only if every name is one, below K, and not itself a label. */
static int names_are_numbers(const struct dataset *d, const struct base_model *base)
{
    for (uint32_t i = 0; i < d->n_classes; i++) {
        const int64_t k = class_number(d->class_names[i]);
        if (k < 0 || k >= (int64_t)base->vit.classes)
            return 0;
    }
    return d->n_classes > 0 && base_model_label(base, d->class_names[0]) < 0;
}

uint32_t base_data_map(const struct dataset *d, const struct base_model *base, int32_t *map)
{
    const int numbers = names_are_numbers(d, base);
    uint32_t known = 0;
    for (uint32_t i = 0; i < d->n_classes; i++) {
        map[i] = numbers ? (int32_t)class_number(d->class_names[i])
                         : (int32_t)base_model_label(base, d->class_names[i]);
        known += map[i] >= 0;
    }
    return known;
}

int64_t base_data_class(const struct dataset *d, const struct base_model *base, uint32_t k)
{
    const int numbers = names_are_numbers(d, base);
    for (uint32_t i = 0; i < d->n_classes; i++) {
        const int same = numbers ? class_number(d->class_names[i]) == (int64_t)k
                                 : strcmp(d->class_names[i], base->labels[k]) == 0;
        if (same)
            return (int64_t)i;
    }
    return -1;
}

/* What a listing decides for one set: the role it can play for the base, or DATASET_ROLES. */
struct finder {
    const struct base_model *base;
    char train[DATASET_NAME_SIZE];
    char test[DATASET_NAME_SIZE];
    char reference[DATASET_NAME_SIZE];
};

static uint32_t count_known(const struct dataset *d, const struct base_model *base)
{
    uint32_t known = 0;
    const int numbers = names_are_numbers(d, base);
    for (uint32_t i = 0; i < d->n_classes; i++)
        known += numbers || base_model_label(base, d->class_names[i]) >= 0;
    return known;
}

/* Sets come in order of their names: the first of a role wins, the training set's namesake next. */
static void find_offer(char chosen[DATASET_NAME_SIZE], const char *name, const char *preferred)
{
    if (chosen[0] == '\0' || strcmp(name, preferred) == 0)
        memcpy(chosen, name, DATASET_NAME_SIZE);
}

static enum status find_train(const struct dataset *d, void *context, struct fault *f)
{
    (void)f;
    struct finder *s = context;
    if (d->role == DATASET_TRAIN && base_data_fits(d, s->base, NULL) == STATUS_OK &&
        count_known(d, s->base) == d->n_classes)
        find_offer(s->train, d->name, s->train);
    return STATUS_OK;
}

static enum status find_others(const struct dataset *d, void *context, struct fault *f)
{
    (void)f;
    struct finder *s = context;
    if (base_data_fits(d, s->base, NULL) != STATUS_OK)
        return STATUS_OK;
    const uint32_t known = count_known(d, s->base);
    if (d->role == DATASET_TEST && known == d->n_classes)
        find_offer(s->test, d->name, s->train);
    if (d->role == DATASET_UNSEEN && known == 0)
        find_offer(s->reference, d->name, s->train);
    return STATUS_OK;
}

/* The set that the memory was drawn from stays the training set whatever is imported later. */
static enum status find_memory(struct kv_txn *txn, struct finder *s, struct fault *f)
{
    struct replay_memory *m;
    const enum status st = replay_memory_get(txn, BASE_MEMORY_TRAIN, &m, NULL);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st != STATUS_OK)
        FAIL(f, st, "memory", "the replay memory cannot be read");
    memcpy(s->train, m->dataset, sizeof s->train);
    replay_memory_free(m);
    return STATUS_OK;
}

static enum status get_named(struct kv_txn *txn,
                             const char *name,
                             enum dataset_role role,
                             struct dataset **ret_dataset,
                             struct fault *f)
{
    if (name[0] == '\0')
        return STATUS_OK;
    return dataset_get(txn, name, role, ret_dataset, f);
}

enum status base_data_find(struct kv_txn *txn,
                           const struct base_model *base,
                           struct base_data *ret_data,
                           struct fault *f)
{
    struct finder s = {.base = base};
    struct base_data d = {0};
    TRY(find_memory(txn, &s, f));
    if (s.train[0] == '\0')
        TRY(dataset_list(txn, find_train, &s, f));
    TRY(dataset_list(txn, find_others, &s, f));
    enum status st = get_named(txn, s.train, DATASET_TRAIN, &d.train, f);
    if (st == STATUS_OK)
        st = get_named(txn, s.test, DATASET_TEST, &d.test, f);
    if (st == STATUS_OK)
        st = get_named(txn, s.reference, DATASET_UNSEEN, &d.reference, f);
    if (st != STATUS_OK) {
        base_data_free(&d);
        return st;
    }
    *ret_data = d;
    return STATUS_OK;
}

void base_data_free(struct base_data *d)
{
    datasets_free(d->train);
    datasets_free(d->test);
    datasets_free(d->reference);
    memset(d, 0, sizeof *d);
}

enum status
base_data_ready(struct store *store, const struct base_model *base, int *ret_ready, struct fault *f)
{
    struct kv_txn *txn;
    struct base_data d;
    TRY(store_read_begin(store, &txn, f));
    const enum status st = base_data_find(txn, base, &d, f);
    store_read_end(txn);
    TRY(st);
    *ret_ready = d.train != NULL;
    base_data_free(&d);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- drawing */

/* Random streams of the base: a root that depends on nothing but the base and the purpose. */
static struct rng_root base_root(const struct base_model *base, const char purpose[16])
{
    struct rng_root root = {0};
    for (int i = 0; i < 8; i++)
        root.seed = root.seed << 8 | base->digest.b[i];
    memcpy(root.request, purpose, sizeof root.request);
    return root;
}

static int compare_rows(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Rows of a data set per class; lists of train come first, those of validation second. */
struct draw {
    uint32_t n_classes;
    uint32_t *labels;  /* [n] */
    uint32_t *scratch; /* [n] */
    uint32_t *rows[2]; /* drawn rows, class after class */
    uint32_t *counts;  /* [n_classes] images of each class */
    uint8_t *keep;     /* [n_classes] */
    struct replay_memory_list *lists[2];
    uint32_t n_lists[2];
    uint32_t used[2];
};

static void draw_free(struct draw *w)
{
    sysio_free(w->labels);
    sysio_free(w->scratch);
    sysio_free(w->counts);
    sysio_free(w->keep);
    for (int i = 0; i < 2; i++) {
        sysio_free(w->rows[i]);
        sysio_free(w->lists[i]);
    }
}

static enum status
draw_new(struct kv_txn *txn, const struct dataset *d, struct draw *w, struct fault *f)
{
    *w = (struct draw){.n_classes = d->n_classes};
    w->labels = sysio_alloc(d->n, sizeof *w->labels);
    w->scratch = sysio_alloc(d->n, sizeof *w->scratch);
    w->counts = sysio_alloc(d->n_classes, sizeof *w->counts);
    w->keep = sysio_alloc(d->n_classes, 1);
    int complete = w->labels && w->scratch && w->counts && w->keep;
    for (int i = 0; i < 2; i++) {
        w->rows[i] = sysio_alloc(d->n, sizeof *w->rows[i]);
        w->lists[i] = sysio_alloc(d->n_classes, sizeof *w->lists[i]);
        complete = complete && w->rows[i] && w->lists[i];
    }
    enum status st = STATUS_NO_MEMORY;
    if (complete)
        st = dataset_read_classes(txn, d, w->labels, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "memory", "no memory to draw from %s", d->name);
    if (st != STATUS_OK) {
        draw_free(w);
        return st;
    }
    for (uint64_t i = 0; i < d->n; i++)
        w->counts[w->labels[i]]++;
    return STATUS_OK;
}

static void draw_list(struct draw *w,
                      int which,
                      enum dataset_role role,
                      uint32_t class_index,
                      const uint32_t *rows,
                      uint32_t n)
{
    if (n == 0)
        return;
    uint32_t *at = w->rows[which] + w->used[which];
    memcpy(at, rows, n * sizeof *at);
    qsort(at, n, sizeof *at, compare_rows);
    w->lists[which][w->n_lists[which]++] = (struct replay_memory_list){
        .role = role, .class_index = class_index, .rows = at, .n_rows = n};
    w->used[which] += n;
}

/* One class at a time: `size` images of it, each class from its own stream. */
static enum status draw_class(struct draw *w,
                              const struct dataset *d,
                              uint32_t class_index,
                              const struct replay_size *size,
                              const struct rng_root *root,
                              struct fault *f)
{
    const size_t n = w->counts[class_index];
    struct replay m = {.train = sysio_alloc(n + 1, sizeof(uint32_t)),
                       .valid = sysio_alloc(n + 1, sizeof(uint32_t))};
    if (m.train && m.valid) {
        memset(w->keep, 0, w->n_classes);
        w->keep[class_index] = 1;
        replay_draw((const int32_t *)w->labels, (uint32_t)d->n, w->n_classes, w->keep, size, root,
                    w->scratch, &m);
        draw_list(w, 0, d->role, class_index, m.train, m.n_train);
        draw_list(w, 1, d->role, class_index, m.valid, m.n_valid);
    }
    const int complete = m.train && m.valid;
    sysio_free(m.train);
    sysio_free(m.valid);
    if (!complete)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory to draw from %s", d->name);
    return STATUS_OK;
}

static enum status draw_memory_lists(struct draw *w,
                                     const struct dataset *d,
                                     const struct base_model *base,
                                     double fraction,
                                     struct fault *f)
{
    const struct rng_root root = base_root(base, "replay memory..");
    for (uint32_t c = 0; c < d->n_classes; c++) {
        if (w->counts[c] == 0)
            continue;
        struct replay_size size = {0};
        size.train_per_class = (uint32_t)ceil(fraction * (double)w->counts[c]);
        size.valid_per_class = replay_valid_share(size.train_per_class);
        TRY(draw_class(w, d, c, &size, &root, f));
    }
    return STATUS_OK;
}

static enum status put_memory(struct store *store,
                              const struct draw *w,
                              int which,
                              const char *name,
                              const struct dataset *d,
                              int64_t now_us,
                              struct fault *f)
{
    struct replay_memory m = {.lists = w->lists[which], .n_lists = w->n_lists[which]};
    memcpy(m.name, name, strlen(name) + 1);
    memcpy(m.dataset, d->name, sizeof m.dataset);
    const struct store_change change = {.now_us = now_us, .memory = &m};
    return store_commit(store, &change, NULL, f);
}

static enum status memory_exists(struct store *store, const char *name, int *ret_exists)
{
    struct replay_memory *m;
    const enum status st = store_read_memory(store, name, &m, NULL);
    *ret_exists = st == STATUS_OK;
    if (st == STATUS_OK)
        replay_memory_free(m);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status draw_both(struct store *store,
                             const struct base_model *base,
                             double fraction,
                             struct base_data *ret_data,
                             struct draw *ret_draw,
                             struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(store, &txn, f));
    enum status st = base_data_find(txn, base, ret_data, f);
    if (st == STATUS_OK && !ret_data->train)
        st = fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "data",
                       "no training data of the base: lethe data import NAME PATH --role train");
    if (st == STATUS_OK)
        st = draw_new(txn, ret_data->train, ret_draw, f);
    store_read_end(txn);
    TRY(st);
    st = draw_memory_lists(ret_draw, ret_data->train, base, fraction, f);
    if (st != STATUS_OK)
        draw_free(ret_draw);
    return st;
}

enum status base_data_draw_memory(struct store *store,
                                  const struct base_model *base,
                                  double fraction,
                                  int64_t now_us,
                                  struct fault *f)
{
    int train, validation;
    TRY(memory_exists(store, BASE_MEMORY_TRAIN, &train));
    TRY(memory_exists(store, BASE_MEMORY_VALIDATION, &validation));
    if (train && validation)
        return STATUS_OK;
    struct base_data data = {0};
    struct draw w;
    enum status st = draw_both(store, base, fraction, &data, &w, f);
    if (st == STATUS_OK) {
        /* The draw depends on the base alone, so a crash between the two changes nothing. */
        if (!train)
            st = put_memory(store, &w, 0, BASE_MEMORY_TRAIN, data.train, now_us, f);
        if (st == STATUS_OK && !validation)
            st = put_memory(store, &w, 1, BASE_MEMORY_VALIDATION, data.train, now_us, f);
        draw_free(&w);
    }
    base_data_free(&data);
    return st;
}
