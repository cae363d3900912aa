#include "daemon/jobs/stream_data.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

/* ---------------------------------------------------------------- keys */

uint64_t stream_data_key(const char *stream, uint64_t seed, const struct digest *content)
{
    static const char DOMAIN[] = "lethe stream sample";
    uint8_t bytes[8];
    struct seal_hasher h;
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    put_u64(&w, seed);
    seal_hash_init(&h);
    seal_hash_update(&h, DOMAIN, sizeof DOMAIN);
    seal_hash_update(&h, bytes, sizeof bytes);
    seal_hash_update(&h, stream, strlen(stream) + 1);
    seal_hash_update(&h, content->b, DIGEST_SIZE);
    const struct digest d = seal_hash_final(&h);
    struct byte_reader r = byte_reader_make(d.b, sizeof d.b);
    const uint64_t key = get_u64(&r);
    return key ? key : 1; /* 0 is a row of no stream */
}

/* ---------------------------------------------------------------- a loaded data set */

struct loaded {
    const struct dataset *d;
    uint32_t n;
    size_t row_bytes;
    uint8_t *pixels;                   /* [n, row bytes] */
    int32_t *classes;                  /* [n] of the job, -1: none of the stream's */
    struct digest *keys;               /* [n] */
    const struct task_key_list *order; /* ascending by key */
    struct task_keys *cache;
};

static void loaded_free(struct loaded *x)
{
    task_keys_put(x->cache, x->order);
    sysio_free(x->pixels);
    sysio_free(x->classes);
    sysio_free(x->keys);
}

/* map[i]: the job's class that class i of the set is, or -1. */
static void map_classes(const struct dataset *d, const struct stream_rows *s, int32_t *map)
{
    for (uint32_t i = 0; i < d->n_classes; i++) {
        map[i] = -1;
        for (uint32_t k = 0; k < s->n_classes && map[i] < 0; k++)
            if (strcmp(s->classes[k].name, d->class_names[i]) == 0 &&
                job_owner_of_stream(&s->owners[s->classes[k].owner], s->stream))
                map[i] = (int32_t)k;
    }
}

static enum status name_rows(const struct stream_rows *s, struct loaded *x, struct fault *f)
{
    int32_t *map = sysio_alloc((size_t)x->d->n_classes + 1, sizeof *map);
    if (!map)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", x->d->n_classes);
    map_classes(x->d, s, map);
    for (uint32_t i = 0; i < x->n; i++) {
        const struct task_key *k = &x->order->rows[i];
        x->keys[k->row] = k->key;
        x->classes[k->row] = map[k->class];
    }
    sysio_free(map);
    return STATUS_OK;
}

static enum status read_pixels(struct kv_txn *txn, struct loaded *x, struct fault *f)
{
    uint32_t *rows = sysio_alloc((size_t)x->n + 1, sizeof *rows);
    if (!rows)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u rows", x->n);
    for (uint32_t i = 0; i < x->n; i++)
        rows[i] = i;
    const enum status st = dataset_read_rows(txn, x->d, rows, x->n, x->pixels, f);
    sysio_free(rows);
    return st;
}

static enum status load(struct kv_txn *txn,
                        const struct dataset *d,
                        const struct stream_rows *s,
                        struct loaded *x,
                        struct fault *f)
{
    const size_t n = (size_t)d->n;
    *x = (struct loaded){
        .d = d, .n = (uint32_t)n, .row_bytes = (size_t)dataset_row_bytes(d), .cache = s->keys};
    x->pixels = sysio_alloc(n + 1, x->row_bytes);
    x->classes = sysio_alloc(n + 1, sizeof *x->classes);
    x->keys = sysio_alloc(n + 1, sizeof *x->keys);
    enum status st = STATUS_NO_MEMORY;
    if (x->pixels && x->classes && x->keys)
        st = task_keys_get(s->keys, txn, d, &x->order, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for %zu images of %s", n,
                        d->name);
    if (st == STATUS_OK)
        st = name_rows(s, x, f);
    if (st == STATUS_OK)
        st = read_pixels(txn, x, f);
    if (st != STATUS_OK)
        loaded_free(x);
    return st;
}

/* ---------------------------------------------------------------- choosing */

/* Rows of a loaded data set that go to one set of the job, in this order. */
struct picks {
    uint32_t *rows;
    uint32_t n;
};

static int is_erased(const struct task_tombstones *t, const struct digest *key)
{
    return t->n > 0 && bsearch(key, t->keys, t->n, sizeof *t->keys, task_data_compare) != NULL;
}

static void pick_train(const struct loaded *x,
                       const struct stream_rows *s,
                       enum stream_use use,
                       int has_test,
                       struct picks *p)
{
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->classes[i] < 0 || s->classes[x->classes[i]].status != JOB_CLASS_LIVE ||
            (!has_test && task_data_tests(&x->keys[i])) ||
            (use != STREAM_PUSH && is_erased(&s->tombstones, &x->keys[i])))
            continue;
        p->rows[p->n++] = i;
    }
}

/* Classes that are being forgotten are tested too; those forgotten before have their own probes. */
static void
pick_test(const struct loaded *x, const struct stream_rows *s, int whole, struct picks *p)
{
    for (uint32_t i = 0; i < x->n; i++) {
        const uint32_t row = x->order->rows[i].row;
        const int32_t k = x->classes[row];
        if (k < 0 || s->tested[k] >= s->test_per_class ||
            (!whole && !task_data_tests(&x->keys[row])) || is_erased(&s->tombstones, &x->keys[row]))
            continue;
        s->tested[k]++;
        p->rows[p->n++] = row;
    }
}

/* ---------------------------------------------------------------- appending */

static enum status grow(struct base_sets *sets,
                        enum job_set_role role,
                        const struct loaded *x,
                        const struct picks *p,
                        struct fault *f)
{
    struct job_set *set = &sets->set[role];
    const size_t total = (size_t)set->n + p->n;
    uint8_t *pixels = sysio_alloc(total + 1, x->row_bytes);
    int32_t *labels = sysio_alloc(total + 1, sizeof *labels);
    struct seal_hasher h;
    if (!pixels || !labels) {
        sysio_free(pixels);
        sysio_free(labels);
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu images", total);
    }
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    if (set->n > 0) {
        memcpy(pixels, set->pixels, set->n * x->row_bytes);
        memcpy(labels, set->labels, set->n * sizeof *labels);
    }
    for (uint32_t i = 0; i < p->n; i++) {
        const uint32_t row = p->rows[i];
        memcpy(pixels + (set->n + i) * x->row_bytes, x->pixels + row * x->row_bytes, x->row_bytes);
        labels[set->n + i] = x->classes[row];
        seal_hash_update(&h, x->keys[row].b, DIGEST_SIZE);
    }
    sysio_free((void *)(uintptr_t)set->pixels);
    sysio_free((void *)(uintptr_t)set->labels);
    sets->room[role].rows = total;
    set->n = (uint32_t)total;
    set->pixels = pixels;
    set->labels = labels;
    set->digest = seal_hash_final(&h);
    return STATUS_OK;
}

/* Keys of the rows that are about to be added to TASK_TRAIN; rows of tasks before them have 0. */
static enum status add_keys(struct base_sets *sets,
                            const struct loaded *x,
                            const struct stream_rows *s,
                            const struct picks *p,
                            struct fault *f)
{
    const size_t before = sets->set[JOB_SET_TASK_TRAIN].n;
    uint64_t *keys = sysio_alloc(before + p->n + 1, sizeof *keys);
    if (!keys)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu keys", before + p->n);
    if (sets->n_task_keys > 0)
        memcpy(keys, sets->task_keys, sets->n_task_keys * sizeof *keys);
    for (uint32_t i = 0; i < p->n; i++)
        keys[before + i] = stream_data_key(s->stream, s->seed, &x->keys[p->rows[i]]);
    sysio_free(sets->task_keys);
    sets->task_keys = keys;
    sets->n_task_keys = (uint32_t)before + p->n;
    return STATUS_OK;
}

static enum status append_train(const struct loaded *x,
                                enum stream_use use,
                                const struct stream_rows *s,
                                int has_test,
                                struct base_sets *sets,
                                struct picks *p,
                                struct fault *f)
{
    if (use == STREAM_TEST)
        return STATUS_OK;
    pick_train(x, s, use, has_test, p);
    if (p->n == 0)
        return STATUS_OK;
    TRY(add_keys(sets, x, s, p, f));
    return grow(sets, JOB_SET_TASK_TRAIN, x, p, f);
}

/* Adds what one loaded data set has; returns in *ret_n what TASK_TRAIN got. */
static enum status append(const struct loaded *x,
                          enum stream_use use,
                          const struct stream_rows *s,
                          int has_test,
                          struct base_sets *sets,
                          uint32_t *ret_n,
                          struct fault *f)
{
    const int is_test = x->d->role == DATASET_TEST;
    struct picks train = {.rows = sysio_alloc((size_t)x->n + 1, sizeof *train.rows)};
    struct picks test = {.rows = sysio_alloc((size_t)x->n + 1, sizeof *test.rows)};
    enum status st = STATUS_NO_MEMORY;
    if (train.rows && test.rows)
        st = is_test ? STATUS_OK : append_train(x, use, s, has_test, sets, &train, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for %u rows", x->n);
    if (st == STATUS_OK && (is_test || !has_test)) {
        pick_test(x, s, is_test, &test);
        if (test.n > 0)
            st = grow(sets, JOB_SET_TEST, x, &test, f);
    }
    *ret_n = train.n;
    sysio_free(train.rows);
    sysio_free(test.rows);
    return st;
}

static enum status append_set(struct kv_txn *txn,
                              const struct base_model *base,
                              const struct dataset *d,
                              enum stream_use use,
                              const struct stream_rows *s,
                              int has_test,
                              struct base_sets *sets,
                              uint32_t *ret_n,
                              struct fault *f)
{
    struct loaded x;
    TRY(base_data_fits(d, base, f));
    TRY(load(txn, d, s, &x, f));
    const enum status st = append(&x, use, s, has_test, sets, ret_n, f);
    loaded_free(&x);
    return st;
}

enum status stream_data_append(struct kv_txn *txn,
                               const struct base_model *base,
                               const char *dataset,
                               enum stream_use use,
                               const struct stream_rows *rows,
                               struct base_sets *sets,
                               uint32_t *ret_first,
                               uint32_t *ret_n,
                               struct fault *f)
{
    struct dataset *train = NULL, *test = NULL;
    uint32_t n = 0, none;
    const uint32_t first = sets->set[JOB_SET_TASK_TRAIN].n;
    enum status st = dataset_get(txn, dataset, DATASET_TEST, &test, f);
    if (st == STATUS_NOT_FOUND || st == STATUS_OK)
        st = dataset_get(txn, dataset, DATASET_TRAIN, &train, f);
    const int gone = st == STATUS_NOT_FOUND && use != STREAM_PUSH;
    if (st == STATUS_OK && (use != STREAM_TEST || !test))
        st = append_set(txn, base, train, use, rows, test != NULL, sets, &n, f);
    if ((st == STATUS_OK || gone) && test)
        st = append_set(txn, base, test, STREAM_TEST, rows, 1, sets, &none, f);
    datasets_free(train);
    datasets_free(test);
    if (ret_first)
        *ret_first = first;
    if (ret_n)
        *ret_n = n;
    return gone && st == STATUS_NOT_FOUND ? STATUS_OK : st;
}
