#include "daemon/jobs/task_data.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

/* One row of a data set. */
struct keyed_row {
    struct digest key;
    uint32_t row;
    uint32_t class; /* of the data set */
};

struct keyed {
    struct keyed_row *rows; /* ascending by key */
    uint8_t *pixels;        /* [n, row bytes], in the order of the data set */
    uint32_t n;
    size_t row_bytes;
};

/* Key of one row: its pixels [bytes], then the name of its label. */
static struct digest task_data_key(const uint8_t *pixels, size_t bytes, const char *label)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, pixels, bytes);
    seal_hash_update(&h, label, strlen(label));
    return seal_hash_final(&h);
}

static int compare_rows(const void *a, const void *b)
{
    const struct keyed_row *x = a, *y = b;
    const int order = memcmp(x->key.b, y->key.b, DIGEST_SIZE);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

int task_data_compare(const void *a, const void *b)
{
    return memcmp(((const struct digest *)a)->b, ((const struct digest *)b)->b, DIGEST_SIZE);
}

static void keyed_free(struct keyed *k)
{
    sysio_free(k->rows);
    sysio_free(k->pixels);
    memset(k, 0, sizeof *k);
}

static enum status keyed_read(struct kv_txn *txn,
                              const struct dataset *d,
                              uint32_t *scratch,
                              struct keyed *k,
                              struct fault *f)
{
    for (uint32_t i = 0; i < k->n; i++)
        scratch[i] = i;
    TRY(dataset_read_rows(txn, d, scratch, k->n, k->pixels, f));
    TRY(dataset_read_classes(txn, d, scratch, f));
    for (uint32_t i = 0; i < k->n; i++) {
        k->rows[i] = (struct keyed_row){.row = i, .class = scratch[i]};
        k->rows[i].key =
            task_data_key(k->pixels + i * k->row_bytes, k->row_bytes, d->class_names[scratch[i]]);
    }
    qsort(k->rows, k->n, sizeof *k->rows, compare_rows);
    return STATUS_OK;
}

static enum status
keyed_load(struct kv_txn *txn, const struct dataset *d, struct keyed *k, struct fault *f)
{
    *k = (struct keyed){.n = (uint32_t)d->n, .row_bytes = (size_t)dataset_row_bytes(d)};
    uint32_t *scratch = sysio_alloc((size_t)k->n + 1, sizeof *scratch);
    k->rows = sysio_alloc((size_t)k->n + 1, sizeof *k->rows);
    k->pixels = sysio_alloc((size_t)k->n + 1, k->row_bytes);
    enum status st = STATUS_NO_MEMORY;
    if (scratch && k->rows && k->pixels)
        st = keyed_read(txn, d, scratch, k, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for %u images of %s", k->n,
                        d->name);
    sysio_free(scratch);
    if (st != STATUS_OK)
        keyed_free(k);
    return st;
}

enum status task_data_keys(struct kv_txn *txn,
                           const struct dataset *d,
                           struct digest **ret_keys,
                           struct fault *f)
{
    struct keyed k;
    TRY(keyed_load(txn, d, &k, f));
    struct digest *keys = sysio_alloc((size_t)k.n + 1, sizeof *keys);
    for (uint32_t i = 0; i < k.n && keys; i++)
        keys[i] = k.rows[i].key;
    keyed_free(&k);
    if (!keys)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the keys of %s", d->name);
    *ret_keys = keys;
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

static enum job_set_role role_of(const struct keyed_row *r, int has_test)
{
    const unsigned slice = slice_of(&r->key);
    if (slice == SLICE_VALIDATION)
        return JOB_SET_TASK_VALIDATION;
    return slice == SLICE_TEST && !has_test ? JOB_SET_TEST : JOB_SET_TASK_TRAIN;
}

/* ---------------------------------------------------------------- appending */

/* Rows of one data set that go to one set of the job. */
struct additions {
    uint32_t *at; /* positions in keyed.rows */
    uint32_t n;
};

static enum status grow(struct job_set *set,
                        const struct keyed *k,
                        const struct additions *a,
                        const int32_t *map,
                        struct fault *f)
{
    const size_t total = (size_t)set->n + a->n;
    uint8_t *pixels = sysio_alloc(total + 1, k->row_bytes);
    int32_t *labels = sysio_alloc(total + 1, sizeof *labels);
    if (!pixels || !labels) {
        sysio_free(pixels);
        sysio_free(labels);
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu images", total);
    }
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    if (set->n > 0) {
        memcpy(pixels, set->pixels, set->n * k->row_bytes);
        memcpy(labels, set->labels, set->n * sizeof *labels);
    }
    for (uint32_t i = 0; i < a->n; i++) {
        const struct keyed_row *r = &k->rows[a->at[i]];
        memcpy(pixels + (set->n + i) * k->row_bytes, k->pixels + r->row * k->row_bytes,
               k->row_bytes);
        labels[set->n + i] = map[r->class];
        seal_hash_update(&h, r->key.b, DIGEST_SIZE);
    }
    sysio_free((void *)(uintptr_t)set->pixels);
    sysio_free((void *)(uintptr_t)set->labels);
    *set = (struct job_set){
        .n = (uint32_t)total, .pixels = pixels, .labels = labels, .digest = seal_hash_final(&h)};
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
                (role == JOB_SET_TEST || c->status == JOB_CLASS_LIVE))
                map[i] = (int32_t)k;
        }
    }
}

/* Adds the rows that belong to `role`. */
static enum status add_role(const struct keyed *k,
                            const struct dataset *d,
                            const struct task_rows *t,
                            int has_test,
                            enum job_set_role role,
                            struct base_sets *sets,
                            struct fault *f)
{
    int32_t *map = sysio_alloc((size_t)d->n_classes + 1, sizeof *map);
    struct additions a = {.at = sysio_alloc((size_t)k->n + 1, sizeof *a.at)};
    uint32_t *counts = sysio_alloc((size_t)d->n_classes + 1, sizeof *counts);
    const uint32_t most = role == JOB_SET_TEST ? t->test_per_class : UINT32_MAX;
    enum status st = STATUS_NO_MEMORY;
    if (map)
        map_classes(d, t, role, map);
    for (uint32_t i = 0; i < k->n && a.at && counts && map; i++) {
        const struct keyed_row *r = &k->rows[i];
        const enum job_set_role own = d->role == DATASET_TEST ? JOB_SET_TEST : role_of(r, has_test);
        if (own != role || map[r->class] < 0 || is_erased(&t->tombstones, &r->key) ||
            counts[r->class] >= most)
            continue;
        counts[r->class]++;
        a.at[a.n++] = i;
    }
    if (a.at && counts && map)
        st = a.n > 0 ? grow(&sets->set[role], k, &a, map, f) : STATUS_OK;
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for the rows of %s", d->name);
    sysio_free(map);
    sysio_free(a.at);
    sysio_free(counts);
    return st;
}

static enum status add_train(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct task_rows *t,
                             int has_test,
                             struct base_sets *sets,
                             struct fault *f)
{
    struct dataset *d;
    struct keyed k;
    if (!t->train && has_test)
        return STATUS_OK;
    const enum status found = dataset_get(txn, t->dataset, DATASET_TRAIN, &d, f);
    if (found == STATUS_NOT_FOUND && !t->train)
        return STATUS_OK;
    TRY(found);
    enum status st = base_data_fits(d, base, f);
    if (st == STATUS_OK)
        st = keyed_load(txn, d, &k, f);
    if (st == STATUS_OK) {
        if (t->train)
            st = add_role(&k, d, t, has_test, JOB_SET_TASK_TRAIN, sets, f);
        if (t->train && st == STATUS_OK)
            st = add_role(&k, d, t, has_test, JOB_SET_TASK_VALIDATION, sets, f);
        if (!has_test && st == STATUS_OK)
            st = add_role(&k, d, t, has_test, JOB_SET_TEST, sets, f);
        keyed_free(&k);
    }
    datasets_free(d);
    return st;
}

enum status task_data_append(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct task_rows *t,
                             struct base_sets *sets,
                             struct fault *f)
{
    struct dataset *test;
    struct keyed k;
    const enum status found = dataset_get(txn, t->dataset, DATASET_TEST, &test, NULL);
    if (found != STATUS_OK && found != STATUS_NOT_FOUND)
        FAIL(f, found, "data", "the test set of %s cannot be read", t->dataset);
    TRY(add_train(txn, base, t, found == STATUS_OK, sets, f));
    if (found != STATUS_OK)
        return STATUS_OK;
    enum status st = base_data_fits(test, base, f);
    if (st == STATUS_OK)
        st = keyed_load(txn, test, &k, f);
    if (st == STATUS_OK) {
        st = add_role(&k, test, t, 1, JOB_SET_TEST, sets, f);
        keyed_free(&k);
    }
    datasets_free(test);
    return st;
}
