/* Data sets of the base: which one is what, the replay memory, the sets of a job. */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/base_data.h"

static void find(struct jobs_fixture *x, struct base_data *d)
{
    struct kv_txn *txn;
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(base_data_find(txn, x->base, d, fx));
    store_read_end(txn);
}

static void load(struct jobs_fixture *x, uint32_t per_class, struct base_sets *sets)
{
    struct kv_txn *txn;
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(base_data_load(txn, x->base, per_class, sets, fx));
    store_read_end(txn);
}

void test_base_data_roles(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_data d;
    int ready = 1;
    static const char *const foreign[] = {"Dog", "Cat", "Horse", "Cow"};
    static const char *const mixed[] = {"Dog", "Circle", "Square", "Cross"};
    static const char *const numbers[] = {"3", "2", "1", "0"};
    jobs_fixture_new(&x);
    jobs_ok(base_data_ready(x.store, x.base, &ready, fx));
    assert_false(ready);
    jobs_fixture_import(&x, "a-mixed", DATASET_TRAIN, 2, mixed);
    jobs_fixture_import(&x, "b-mixed", DATASET_UNSEEN, 2, mixed);
    find(&x, &d);
    assert_null(d.train);
    assert_null(d.reference);
    base_data_free(&d);
    jobs_fixture_import(&x, "numbers", DATASET_TRAIN, 2, numbers);
    jobs_fixture_import(&x, "atest", DATASET_TEST, 2, tiny_labels);
    jobs_fixture_import(&x, "numbers", DATASET_TEST, 2, tiny_labels);
    jobs_fixture_import(&x, "zoo", DATASET_UNSEEN, 2, foreign);
    find(&x, &d);
    assert_string_equal(d.train->name, "numbers");
    assert_string_equal(d.test->name, "numbers"); /* the namesake, not the first */
    assert_string_equal(d.reference->name, "zoo");
    int32_t map[TINY_CLASSES];
    assert_int_equal(base_data_map(d.train, x.base, map), TINY_CLASSES);
    assert_int_equal(map[0], 3);
    assert_int_equal(map[3], 0);
    assert_int_equal(base_data_class(d.train, x.base, 3), 0);
    assert_int_equal(base_data_map(d.reference, x.base, map), 0);
    assert_int_equal(base_data_class(d.reference, x.base, 0), -1);
    base_data_free(&d);
    jobs_ok(base_data_ready(x.store, x.base, &ready, fx));
    assert_true(ready);
    jobs_fixture_free(&x);
}

void test_base_data_memory_needs_training_data(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct fault f = {0};
    jobs_fixture_new(&x);
    assert_int_equal(base_data_draw_memory(x.store, x.base, 0.1, JOBS_NOW, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "data");
    jobs_fixture_free(&x);
}

/* ceil(0.1 x 40) = 4 training and one validation image of each class, disjoint, drawn once. */
void test_base_data_memory_is_stratified_fixed_and_disjoint(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct replay_memory *train, *valid, *again;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    jobs_ok(base_data_draw_memory(x.store, x.base, 0.1, JOBS_NOW, fx));
    jobs_ok(store_read_memory(x.store, BASE_MEMORY_TRAIN, &train, fx));
    jobs_ok(store_read_memory(x.store, BASE_MEMORY_VALIDATION, &valid, fx));
    for (uint32_t c = 0; c < TINY_CLASSES; c++) {
        const struct replay_memory_list *a = replay_memory_find(train, DATASET_TRAIN, c);
        const struct replay_memory_list *b = replay_memory_find(valid, DATASET_TRAIN, c);
        assert_true(a && b);
        assert_int_equal(a->n_rows, 4);
        assert_int_equal(b->n_rows, 1);
        for (uint32_t i = 0; i < a->n_rows; i++) {
            assert_int_equal(a->rows[i] / 40, c);
            assert_int_not_equal(a->rows[i], b->rows[0]);
        }
    }
    jobs_ok(base_data_draw_memory(x.store, x.base, 0.5, JOBS_NOW, fx));
    jobs_ok(store_read_memory(x.store, BASE_MEMORY_TRAIN, &again, fx));
    assert_true(digest_equal(&train->digest, &again->digest));
    replay_memory_free(train);
    replay_memory_free(valid);
    replay_memory_free(again);
    jobs_fixture_free(&x);
}

/* A crash between the two memories: the second draw gives what the first would have given. */
void test_base_data_memory_completes_after_a_crash(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct replay_memory *before, *after;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    jobs_ok(base_data_draw_memory(x.store, x.base, 0.1, JOBS_NOW, fx));
    jobs_ok(store_read_memory(x.store, BASE_MEMORY_VALIDATION, &before, fx));
    const struct store_change change = {.now_us = JOBS_NOW,
                                        .memory_removed = BASE_MEMORY_VALIDATION};
    jobs_ok(store_commit(x.store, &change, NULL, fx));
    jobs_ok(base_data_draw_memory(x.store, x.base, 0.1, JOBS_NOW, fx));
    jobs_ok(store_read_memory(x.store, BASE_MEMORY_VALIDATION, &after, fx));
    assert_true(digest_equal(&before->digest, &after->digest));
    replay_memory_free(before);
    replay_memory_free(after);
    jobs_fixture_free(&x);
}

void test_base_data_loads_pixels_and_labels(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets, again;
    static const char *const foreign[] = {"Dog", "Cat", "Horse", "Cow"};
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    jobs_fixture_import(&x, "zoo", DATASET_UNSEEN, 30, foreign);
    jobs_ok(base_data_draw_memory(x.store, x.base, 0.1, JOBS_NOW, fx));
    load(&x, 7, &sets);
    assert_int_equal(sets.set[JOB_SET_MEMORY_TRAIN].n, 4 * TINY_CLASSES);
    assert_int_equal(sets.set[JOB_SET_MEMORY_VALIDATION].n, TINY_CLASSES);
    assert_int_equal(sets.set[JOB_SET_TEST].n, 7 * TINY_CLASSES);
    assert_int_equal(sets.set[JOB_SET_REFERENCE].n, 7 * TINY_CLASSES);
    assert_int_equal(sets.set[JOB_SET_SAMPLES].n, 0);
    const struct job_set *test = &sets.set[JOB_SET_TEST];
    for (uint32_t i = 0; i < test->n; i++) {
        int found = 0;
        for (uint32_t j = 0; j < 30 && !found; j++) {
            uint8_t pixels[TINY_PIXELS];
            tiny_image((uint32_t)test->labels[i], DATASET_TEST, j, pixels);
            found = memcmp(pixels, test->pixels + (size_t)i * TINY_PIXELS, TINY_PIXELS) == 0;
        }
        assert_true(found);
    }
    load(&x, 7, &again);
    for (int i = 0; i < JOB_SETS; i++)
        assert_true(digest_equal(&sets.set[i].digest, &again.set[i].digest));
    base_sets_free(&again);
    load(&x, 8, &again);
    assert_false(digest_equal(&sets.set[JOB_SET_TEST].digest, &again.set[JOB_SET_TEST].digest));
    base_sets_free(&sets);
    base_sets_free(&again);
    jobs_fixture_free(&x);
}
