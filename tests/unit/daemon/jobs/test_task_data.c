/*
 * Rows of learned tasks: chosen by their content alone, keys computed once a data set, images with
 * several labels carrying those of live classes only.
 */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/task_data.h"

#define IMAGES  60u
#define COLUMNS 3u
#define OWNER   1u

static const char *const names[COLUMNS] = {"ash", "birch", "cedar"};

/* Image i shows the classes of this set, never none. */
static uint32_t shown(uint32_t i)
{
    return 1 + i % 7;
}

struct import {
    const char *name;
    enum dataset_role role;
    uint32_t without; /* a class left out, with the images that show nothing else; COLUMNS: none */
};

/* Images with several labels; returns how many. */
static uint32_t import_several(struct jobs_fixture *x, const struct import *what)
{
    static uint8_t pixels[IMAGES * TINY_PIXELS], labels[IMAGES * COLUMNS];
    const char *classes[COLUMNS];
    uint32_t n = 0, at = 0, k = 0;
    for (uint32_t c = 0; c < COLUMNS; c++)
        if (c != what->without)
            classes[k++] = names[c];
    for (uint32_t i = 0; i < IMAGES; i++) {
        if (shown(i) == 1u << what->without)
            continue;
        tiny_image(50, 1, i, pixels + n++ * TINY_PIXELS);
        for (uint32_t c = 0; c < COLUMNS; c++)
            if (c != what->without)
                labels[at++] = (uint8_t)(shown(i) >> c & 1);
    }
    const struct store_blob blobs[] = {{BLOB_PIXELS, pixels, (size_t)n * TINY_PIXELS},
                                       {BLOB_LABELS, labels, at}};
    struct dataset d = {.role = what->role,
                        .n = n,
                        .height = TINY_SIZE,
                        .width = TINY_SIZE,
                        .channels = 1,
                        .label_kind = DATASET_LABELS_MULTI,
                        .class_names = classes,
                        .n_classes = k,
                        .pixels = seal_hash(blobs[0].bytes, blobs[0].size),
                        .labels = seal_hash(blobs[1].bytes, blobs[1].size),
                        .created_us = JOBS_NOW};
    (void)snprintf(d.name, sizeof d.name, "%s", what->name);
    const struct store_change change = {
        .now_us = JOBS_NOW, .blobs = blobs, .n_blobs = 2, .datasets = &d, .n_datasets = 1};
    jobs_ok(store_commit(x->store, &change, NULL, fx));
    return n;
}

/* The job's classes: one of the base, then the task's. */
static struct job_class the_classes[1 + COLUMNS];

static void classes_make(enum job_class_status last)
{
    memset(the_classes, 0, sizeof the_classes);
    strcpy(the_classes[0].name, "Circle");
    for (uint32_t c = 0; c < COLUMNS; c++) {
        strcpy(the_classes[1 + c].name, names[c]);
        the_classes[1 + c].owner = OWNER;
    }
    the_classes[COLUMNS].status = last;
}

static struct task_rows rows_of(const char *dataset, struct task_keys *keys)
{
    return (struct task_rows){.dataset = dataset,
                              .keys = keys,
                              .classes = the_classes,
                              .n_classes = 1 + COLUMNS,
                              .owner = OWNER,
                              .test_per_class = 1000,
                              .use = TASK_TRAIN};
}

static int append(struct jobs_fixture *x, const struct task_rows *t, struct base_sets *sets)
{
    struct kv_txn *txn;
    int several;
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(task_data_append(txn, x->base, t, sets, &several, fx));
    store_read_end(txn);
    return several;
}

static uint32_t labels_of(const struct job_set *set, uint32_t i)
{
    uint32_t found = 0;
    for (uint32_t c = 0; c < COLUMNS; c++)
        found |= (uint32_t)job_set_has(set, i, 1 + c) << c;
    return found;
}

void test_task_data_several_labels_reach_the_job(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    const struct import what = {"trees", DATASET_TRAIN, COLUMNS};
    jobs_fixture_new(&x);
    assert_int_equal(import_several(&x, &what), IMAGES);
    classes_make(JOB_CLASS_LIVE);
    const struct task_rows t = rows_of("trees", NULL);
    assert_int_equal(append(&x, &t, &sets), 1);
    uint32_t total = 0, labels = 0;
    for (int role = 0; role < JOB_SETS; role++) {
        total += sets.set[role].n;
        for (uint32_t i = 0; i < sets.set[role].n; i++) {
            const uint32_t set = labels_of(&sets.set[role], i);
            assert_true(set > 0);
            labels += (set & 1) + (set >> 1 & 1) + (set >> 2 & 1);
        }
    }
    assert_int_equal(total, IMAGES);
    assert_true(sets.set[JOB_SET_TASK_TRAIN].n > sets.set[JOB_SET_TASK_VALIDATION].n);
    assert_true(sets.set[JOB_SET_TASK_VALIDATION].n > 0 && sets.set[JOB_SET_TEST].n > 0);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < IMAGES; i++)
        expected += (shown(i) & 1) + (shown(i) >> 1 & 1) + (shown(i) >> 2 & 1);
    assert_int_equal(labels, expected);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

/* Where a class is forgotten, what is trained on is what a set without the class would give. */
void test_task_data_without_a_class_is_as_if_it_was_never_there(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets forgot = {0}, never = {0};
    const struct import whole = {"trees", DATASET_TRAIN, COLUMNS};
    const struct import part = {"trees-of-two", DATASET_TRAIN, COLUMNS - 1};
    jobs_fixture_new(&x);
    (void)import_several(&x, &whole);
    assert_true(import_several(&x, &part) < IMAGES);
    classes_make(JOB_CLASS_FORGET_NOW);
    const struct task_rows all = rows_of("trees", NULL), two = rows_of("trees-of-two", NULL);
    (void)append(&x, &all, &forgot);
    (void)append(&x, &two, &never);
    for (int role = JOB_SET_TASK_TRAIN; role <= JOB_SET_TASK_VALIDATION; role++) {
        const struct job_set *a = &forgot.set[role], *b = &never.set[role];
        assert_int_equal(a->n, b->n);
        assert_int_equal(a->n_more, b->n_more);
        assert_memory_equal(a->pixels, b->pixels, a->n * TINY_PIXELS);
        assert_memory_equal(a->labels, b->labels, a->n * sizeof *a->labels);
        assert_true(digest_equal(&a->digest, &b->digest));
        for (uint32_t i = 0; i < a->n_more; i++)
            assert_memory_equal(&a->more[i], &b->more[i], sizeof a->more[i]);
    }
    /* it is measured all the same: whoever showed the class still shows it in the test set */
    uint32_t still = 0;
    for (uint32_t i = 0; i < forgot.set[JOB_SET_TEST].n; i++)
        still += labels_of(&forgot.set[JOB_SET_TEST], i) >> 2 & 1;
    assert_true(still > 0);
    base_sets_free(&forgot);
    base_sets_free(&never);
    jobs_fixture_free(&x);
}

/* Every class has its images, at most as many as are asked for unless they come with others. */
void test_task_data_test_images_a_class(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    const struct import train = {"trees", DATASET_TRAIN, COLUMNS};
    const struct import test = {"trees", DATASET_TEST, COLUMNS};
    uint32_t counts[COLUMNS] = {0};
    jobs_fixture_new(&x);
    (void)import_several(&x, &train);
    (void)import_several(&x, &test);
    classes_make(JOB_CLASS_LIVE);
    struct task_rows t = rows_of("trees", NULL);
    t.test_per_class = 4;
    t.use = TASK_TEST;
    (void)append(&x, &t, &sets);
    const struct job_set *set = &sets.set[JOB_SET_TEST];
    for (uint32_t i = 0; i < set->n; i++)
        for (uint32_t c = 0; c < COLUMNS; c++)
            counts[c] += labels_of(set, i) >> c & 1;
    for (uint32_t c = 0; c < COLUMNS; c++)
        assert_in_range(counts[c], 4, 4 * COLUMNS);
    assert_in_range(set->n, 4, 4 * COLUMNS);
    assert_int_equal(sets.set[JOB_SET_TASK_TRAIN].n, 0);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

static int digest_order(const void *a, const void *b)
{
    return task_data_compare(a, b);
}

void test_task_data_erased_samples_stay_out(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets all = {0}, less = {0};
    struct kv_txn *txn;
    struct dataset *d;
    struct digest *keys;
    const struct import what = {"trees", DATASET_TRAIN, COLUMNS};
    jobs_fixture_new(&x);
    (void)import_several(&x, &what);
    classes_make(JOB_CLASS_LIVE);
    jobs_ok(store_read_begin(x.store, &txn, fx));
    jobs_ok(dataset_get(txn, "trees", DATASET_TRAIN, &d, fx));
    jobs_ok(task_data_keys(NULL, txn, d, &keys, fx));
    store_read_end(txn);
    datasets_free(d);
    for (uint32_t i = 1; i < IMAGES; i++)
        assert_true(digest_order(&keys[i - 1], &keys[i]) < 0);
    struct task_rows t = rows_of("trees", NULL);
    (void)append(&x, &t, &all);
    t.tombstones = (struct task_tombstones){keys, 10};
    (void)append(&x, &t, &less);
    uint32_t before = 0, after = 0;
    for (int role = 0; role < JOB_SETS; role++) {
        before += all.set[role].n;
        after += less.set[role].n;
    }
    assert_int_equal(before, IMAGES);
    assert_int_equal(after, IMAGES - 10);
    sysio_free(keys);
    base_sets_free(&all);
    base_sets_free(&less);
    jobs_fixture_free(&x);
}

void test_task_data_refuses_sets_labelled_in_two_ways(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    struct fault f = {0};
    struct kv_txn *txn;
    int several;
    const struct import what = {"trees", DATASET_TRAIN, COLUMNS};
    jobs_fixture_new(&x);
    (void)import_several(&x, &what);
    jobs_fixture_import(&x, "trees", DATASET_TEST, 2, tiny_labels);
    classes_make(JOB_CLASS_LIVE);
    const struct task_rows t = rows_of("trees", NULL);
    jobs_ok(store_read_begin(x.store, &txn, fx));
    assert_int_equal(task_data_append(txn, x.base, &t, &sets, &several, &f),
                     STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "data");
    store_read_end(txn);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

/* ------------------------------------------------------------------ kept keys */

static const struct task_key_list *
get_keys(struct jobs_fixture *x, struct task_keys *keys, const char *name, uint64_t hashed)
{
    struct kv_txn *txn;
    struct dataset *d;
    const struct task_key_list *list;
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(dataset_get(txn, name, DATASET_TRAIN, &d, fx));
    jobs_ok(task_keys_get(keys, txn, d, &list, fx));
    assert_int_equal(list->n, d->n);
    store_read_end(txn);
    datasets_free(d);
    assert_int_equal(task_keys_hashed(keys), hashed);
    return list;
}

void test_task_data_keys_are_computed_once(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct task_keys *keys;
    struct base_sets first = {0}, second = {0}, anew = {0};
    const struct import what = {"trees", DATASET_TRAIN, COLUMNS};
    jobs_fixture_new(&x);
    jobs_ok(task_keys_new(TASK_KEYS_BYTES, &keys, fx));
    (void)import_several(&x, &what);
    classes_make(JOB_CLASS_LIVE);
    const struct task_rows t = rows_of("trees", keys), plain = rows_of("trees", NULL);
    (void)append(&x, &t, &first);
    (void)append(&x, &t, &second);
    (void)append(&x, &plain, &anew);
    assert_int_equal(task_keys_hashed(keys), 1);
    for (int role = 0; role < JOB_SETS; role++) {
        assert_int_equal(first.set[role].n, anew.set[role].n);
        assert_true(digest_equal(&first.set[role].digest, &second.set[role].digest));
        assert_true(digest_equal(&first.set[role].digest, &anew.set[role].digest));
    }
    base_sets_free(&first);
    base_sets_free(&second);
    base_sets_free(&anew);
    task_keys_free(keys);
    jobs_fixture_free(&x);
}

/* What does not fit goes, the longest unused first; what is lent out stays until it is back. */
void test_task_data_kept_keys_are_bounded(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct task_keys *keys;
    const struct import what[] = {{"a", DATASET_TRAIN, COLUMNS}, {"b", DATASET_TRAIN, 0}};
    jobs_fixture_new(&x);
    (void)import_several(&x, &what[0]);
    (void)import_several(&x, &what[1]);
    jobs_fixture_import(&x, "c", DATASET_TRAIN, 15, tiny_labels);
    /* room for two of the three */
    jobs_ok(task_keys_new((size_t)2 * (IMAGES + 4) *
                              (sizeof(struct task_key) + sizeof(struct task_picture)),
                          &keys, fx));
    const struct task_key_list *a = get_keys(&x, keys, "a", 1);
    task_keys_put(keys, get_keys(&x, keys, "b", 2));
    task_keys_put(keys, get_keys(&x, keys, "c", 3)); /* b goes: a is in use */
    task_keys_put(keys, get_keys(&x, keys, "a", 3));
    task_keys_put(keys, get_keys(&x, keys, "b", 4)); /* c goes */
    const struct digest first = a->rows[0].key;
    task_keys_put(keys, a);
    task_keys_put(keys, get_keys(&x, keys, "c", 5)); /* a goes, the longest unused */
    a = get_keys(&x, keys, "a", 6);
    assert_true(digest_equal(&first, &a->rows[0].key));
    task_keys_put(keys, a);
    task_keys_free(keys);
    task_keys_put(NULL, NULL);
    jobs_fixture_free(&x);
}
