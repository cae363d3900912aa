#include "daemon/jobs/task_data.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

/* A data set as its rows are chosen from it. */
struct keyed {
    struct task_keys *keys;
    const struct task_key_list *list;
    const struct dataset *set;
    uint8_t *hot; /* [n, classes] where images have several labels; else NULL */
    size_t row_bytes;
};

int task_data_compare(const void *a, const void *b)
{
    return memcmp(((const struct digest *)a)->b, ((const struct digest *)b)->b, DIGEST_SIZE);
}

static void keyed_free(struct keyed *k)
{
    task_keys_put(k->keys, k->list);
    sysio_free(k->hot);
    memset(k, 0, sizeof *k);
}

static enum status
keyed_hot(struct kv_txn *txn, const struct dataset *d, struct keyed *k, struct fault *f)
{
    if (d->label_kind != DATASET_LABELS_MULTI)
        return STATUS_OK;
    k->hot = sysio_alloc((size_t)dataset_label_bytes(d) + 1, 1);
    if (!k->hot)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the labels of %s", d->name);
    return dataset_read_multi(txn, d, k->hot, f);
}

static enum status keyed_load(struct task_keys *keys,
                              struct kv_txn *txn,
                              const struct dataset *d,
                              struct keyed *k,
                              struct fault *f)
{
    *k = (struct keyed){.keys = keys, .set = d, .row_bytes = (size_t)dataset_row_bytes(d)};
    TRY(task_keys_get(keys, txn, d, &k->list, f));
    const enum status st = keyed_hot(txn, d, k, f);
    if (st != STATUS_OK)
        keyed_free(k);
    return st;
}

enum status task_data_keys(struct task_keys *keys,
                           struct kv_txn *txn,
                           const struct dataset *d,
                           struct digest **ret_keys,
                           struct fault *f)
{
    const struct task_key_list *list;
    TRY(task_keys_get(keys, txn, d, &list, f));
    struct digest *copy = sysio_alloc((size_t)list->n + 1, sizeof *copy);
    for (uint32_t i = 0; i < list->n && copy; i++)
        copy[i] = list->rows[i].key;
    task_keys_put(keys, list);
    if (!copy)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the keys of %s", d->name);
    *ret_keys = copy;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- choosing */

static int is_erased(const struct task_tombstones *t, const struct digest *key)
{
    return t->n > 0 && bsearch(key, t->keys, t->n, sizeof *t->keys, task_data_compare) != NULL;
}

/* Which fifth of the key space a row lies in. */
static unsigned slice_of(const struct digest *key)
{
    return key->b[0] * 5u / 256u;
}

enum { SLICE_VALIDATION = 0, SLICE_TEST = 1 };

int task_data_tests(const struct digest *key)
{
    return slice_of(key) == SLICE_TEST;
}

static enum job_set_role role_of(const struct task_key *r, int has_test)
{
    const unsigned slice = slice_of(&r->key);
    if (slice == SLICE_VALIDATION)
        return JOB_SET_TASK_VALIDATION;
    return slice == SLICE_TEST && !has_test ? JOB_SET_TEST : JOB_SET_TASK_TRAIN;
}

/* ---------------------------------------------------------------- appending */

/* Rows of one data set that go to one set of the job. */
struct additions {
    uint32_t *at; /* [n] positions in the list of keys */
    uint32_t n;
    uint32_t n_labels; /* of all of them; n where images have one each */
};

/* The job's classes of a row, ascending, into to [classes of the set]; returns how many. */
static uint32_t
classes_of(const struct keyed *k, const struct task_key *r, const int32_t *map, uint32_t *to)
{
    const uint32_t classes = k->set->n_classes;
    uint32_t n = 0;
    if (!k->hot) {
        if (map[r->class] >= 0)
            to[n++] = (uint32_t)map[r->class];
        return n;
    }
    for (uint32_t c = 0; c < classes; c++) {
        if (!k->hot[(size_t)r->row * classes + c] || map[c] < 0)
            continue;
        uint32_t at = n++;
        for (; at > 0 && to[at - 1] > (uint32_t)map[c]; at--)
            to[at] = to[at - 1];
        to[at] = (uint32_t)map[c];
    }
    return n;
}

/* Room for at least so many rows and further labels; grows by doubling, so that adding one task
 * after the other copies each image a few times at most. */
static enum status make_room(struct base_sets *sets,
                             enum job_set_role role,
                             size_t n,
                             size_t n_more,
                             size_t row_bytes,
                             struct fault *f)
{
    struct job_set *set = &sets->set[role];
    struct base_sets_room *room = &sets->room[role];
    if (n > room->rows) {
        const size_t to = n > 2 * (size_t)set->n ? n : 2 * (size_t)set->n;
        uint8_t *pixels = sysio_alloc(to + 1, row_bytes);
        int32_t *labels = sysio_alloc(to + 1, sizeof *labels);
        if (!pixels || !labels) {
            sysio_free(pixels);
            sysio_free(labels);
            FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu images", to);
        }
        if (set->n > 0) {
            memcpy(pixels, set->pixels, set->n * row_bytes);
            memcpy(labels, set->labels, set->n * sizeof *labels);
        }
        sysio_free((void *)(uintptr_t)set->pixels);
        sysio_free((void *)(uintptr_t)set->labels);
        set->pixels = pixels;
        set->labels = labels;
        room->rows = to;
    }
    if (n_more > room->more) {
        const size_t to = n_more > 2 * (size_t)set->n_more ? n_more : 2 * (size_t)set->n_more;
        struct job_label *more = sysio_alloc(to + 1, sizeof *more);
        if (!more)
            FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu labels", to);
        if (set->n_more > 0)
            memcpy(more, set->more, set->n_more * sizeof *more);
        sysio_free((void *)(uintptr_t)set->more);
        set->more = more;
        room->more = to;
    }
    return STATUS_OK;
}

struct placed_row {
    uint32_t row, place;
};

static int compare_placed(const void *a, const void *b)
{
    const struct placed_row *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* Pixels of the chosen rows, in the order of their keys; read in the order of the data set. */
static enum status read_pixels(struct kv_txn *txn,
                               const struct keyed *k,
                               const struct additions *a,
                               uint8_t *to,
                               struct fault *f)
{
    struct placed_row *order = sysio_alloc((size_t)a->n + 1, sizeof *order);
    uint32_t *rows = sysio_alloc((size_t)a->n + 1, sizeof *rows);
    uint8_t *pixels = sysio_alloc((size_t)a->n + 1, k->row_bytes);
    enum status st = STATUS_NO_MEMORY;
    if (order && rows && pixels) {
        for (uint32_t i = 0; i < a->n; i++)
            order[i] = (struct placed_row){k->list->rows[a->at[i]].row, i};
        qsort(order, a->n, sizeof *order, compare_placed);
        for (uint32_t i = 0; i < a->n; i++)
            rows[i] = order[i].row;
        st = dataset_read_rows(txn, k->set, rows, a->n, pixels, f);
        for (uint32_t i = 0; i < a->n && st == STATUS_OK; i++)
            memcpy(to + order[i].place * k->row_bytes, pixels + i * k->row_bytes, k->row_bytes);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for %u images", a->n);
    }
    sysio_free(order);
    sysio_free(rows);
    sysio_free(pixels);
    return st;
}

/* Labels of the chosen rows behind what the set has; `found` [classes of the data set]. */
static void append_labels(const struct keyed *k,
                          const struct additions *a,
                          const int32_t *map,
                          uint32_t *found,
                          struct job_set *set)
{
    int32_t *labels = (int32_t *)(uintptr_t)set->labels;
    struct job_label *more = (struct job_label *)(uintptr_t)set->more;
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    for (uint32_t i = 0; i < a->n; i++, set->n++) {
        const struct task_key *r = &k->list->rows[a->at[i]];
        const uint32_t n = classes_of(k, r, map, found);
        labels[set->n] = (int32_t)found[0];
        for (uint32_t j = 1; j < n; j++)
            more[set->n_more++] = (struct job_label){.row = set->n, .class = found[j]};
        seal_hash_update(&h, r->key.b, DIGEST_SIZE);
    }
    set->digest = seal_hash_final(&h);
}

static enum status append(struct kv_txn *txn,
                          const struct keyed *k,
                          const struct additions *a,
                          const int32_t *map,
                          uint32_t *found,
                          struct base_sets *sets,
                          enum job_set_role role,
                          struct fault *f)
{
    struct job_set *set = &sets->set[role];
    if (a->n == 0)
        return STATUS_OK;
    TRY(make_room(sets, role, (size_t)set->n + a->n, (size_t)set->n_more + a->n_labels - a->n,
                  k->row_bytes, f));
    uint8_t *to = (uint8_t *)(uintptr_t)set->pixels + set->n * k->row_bytes;
    TRY(read_pixels(txn, k, a, to, f));
    append_labels(k, a, map, found, set);
    return STATUS_OK;
}

/* map[i]: the job's class that class i of the set feeds in this role, or -1. */
static void map_classes(const struct dataset *d,
                        const struct task_rows *t,
                        enum job_set_role role,
                        int32_t *map)
{
    for (uint32_t i = 0; i < d->n_classes; i++) {
        map[i] = -1;
        for (uint32_t k = 0; k < t->n_classes; k++) {
            const struct job_class *c = &t->classes[k];
            if (c->owner == t->owner && strcmp(c->name, d->class_names[i]) == 0 &&
                (role == JOB_SET_TEST || c->status == JOB_CLASS_LIVE ||
                 (t->use == TASK_SUPPRESS && c->status == JOB_CLASS_FORGET_NOW)))
                map[i] = (int32_t)k;
        }
    }
}

/* What choosing one role's rows of a set works with. */
struct chooser {
    int32_t *map;     /* [classes of the set] */
    uint32_t *found;  /* [classes of the set] */
    uint32_t *counts; /* [classes of the job] rows taken so far */
    struct additions a;
};

static void chooser_free(struct chooser *x)
{
    sysio_free(x->map);
    sysio_free(x->found);
    sysio_free(x->counts);
    sysio_free(x->a.at);
}

static enum status
chooser_new(const struct keyed *k, const struct task_rows *t, struct chooser *x, struct fault *f)
{
    const size_t classes = k->set->n_classes;
    *x = (struct chooser){.map = sysio_alloc(classes + 1, sizeof *x->map),
                          .found = sysio_alloc(classes + 1, sizeof *x->found),
                          .counts = sysio_alloc((size_t)t->n_classes + 1, sizeof *x->counts),
                          .a = {.at = sysio_alloc((size_t)k->list->n + 1, sizeof *x->a.at)}};
    if (x->map && x->found && x->counts && x->a.at)
        return STATUS_OK;
    chooser_free(x);
    FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the rows of %s", k->set->name);
}

/* Takes the row if one of its classes has room: at most `most` a class, more of one that comes with
 * others. */
static void choose(
    const struct keyed *k, const struct task_key *r, uint32_t i, uint32_t most, struct chooser *x)
{
    const uint32_t n = classes_of(k, r, x->map, x->found);
    int wanted = 0;
    for (uint32_t j = 0; j < n; j++)
        wanted |= x->counts[x->found[j]] < most;
    if (!wanted)
        return;
    for (uint32_t j = 0; j < n; j++)
        x->counts[x->found[j]]++;
    x->a.at[x->a.n++] = i;
    x->a.n_labels += n;
}

/* Adds the rows that belong to `role`. */
static enum status add_role(struct kv_txn *txn,
                            const struct keyed *k,
                            const struct task_rows *t,
                            int has_test,
                            enum job_set_role role,
                            struct base_sets *sets,
                            struct fault *f)
{
    struct chooser x;
    const uint32_t most = role == JOB_SET_TEST ? t->test_per_class : UINT32_MAX;
    const int all_test = k->set->role == DATASET_TEST;
    TRY(chooser_new(k, t, &x, f));
    map_classes(k->set, t, role, x.map);
    for (uint32_t i = 0; i < k->list->n; i++) {
        const struct task_key *r = &k->list->rows[i];
        const enum job_set_role own = all_test ? JOB_SET_TEST : role_of(r, has_test);
        if (own == role && !is_erased(&t->tombstones, &r->key))
            choose(k, r, i, most, &x);
    }
    const enum status st = append(txn, k, &x.a, x.map, x.found, sets, role, f);
    chooser_free(&x);
    return st;
}

static enum status add_train(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct task_rows *t,
                             int has_test,
                             struct base_sets *sets,
                             int *several,
                             struct fault *f)
{
    struct dataset *d;
    struct keyed k;
    if (t->use == TASK_TEST && has_test)
        return STATUS_OK;
    const enum status found = dataset_get(txn, t->dataset, DATASET_TRAIN, &d, f);
    if (found == STATUS_NOT_FOUND && t->use == TASK_TEST)
        return STATUS_OK;
    TRY(found);
    *several = d->label_kind == DATASET_LABELS_MULTI;
    enum status st = base_data_shape(d, base, f);
    if (st == STATUS_OK)
        st = keyed_load(t->keys, txn, d, &k, f);
    if (st == STATUS_OK) {
        if (t->use != TASK_TEST)
            st = add_role(txn, &k, t, has_test, JOB_SET_TASK_TRAIN, sets, f);
        if (t->use != TASK_TEST && st == STATUS_OK)
            st = add_role(txn, &k, t, has_test, JOB_SET_TASK_VALIDATION, sets, f);
        if (!has_test && st == STATUS_OK)
            st = add_role(txn, &k, t, has_test, JOB_SET_TEST, sets, f);
        keyed_free(&k);
    }
    datasets_free(d);
    return st;
}

enum status task_data_append(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct task_rows *t,
                             struct base_sets *sets,
                             int *ret_several,
                             struct fault *f)
{
    struct dataset *test;
    struct keyed k;
    int several = -1;
    const enum status found = dataset_get(txn, t->dataset, DATASET_TEST, &test, NULL);
    if (found != STATUS_OK && found != STATUS_NOT_FOUND)
        FAIL(f, found, "data", "the test set of %s cannot be read", t->dataset);
    enum status st = add_train(txn, base, t, found == STATUS_OK, sets, &several, f);
    if (found != STATUS_OK) {
        *ret_several = several > 0;
        return st;
    }
    *ret_several = test->label_kind == DATASET_LABELS_MULTI;
    if (st == STATUS_OK && several >= 0 && several != *ret_several)
        st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "data",
                       "training and test set of %s: one has several labels an image, one has not",
                       t->dataset);
    if (st == STATUS_OK)
        st = base_data_shape(test, base, f);
    if (st == STATUS_OK)
        st = keyed_load(t->keys, txn, test, &k, f);
    if (st == STATUS_OK) {
        st = add_role(txn, &k, t, 1, JOB_SET_TEST, sets, f);
        keyed_free(&k);
    }
    datasets_free(test);
    return st;
}
