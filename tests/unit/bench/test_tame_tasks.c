/* The order, labels and pictures of the benchmark streams, on a small set in MNIST's form. */
#include "tests/support/test.h"

#include <string.h>

#include "bench/tame/tasks.h"
#include "tests/unit/bench/mnist_fixture.h"

#define TRAIN 40u
#define TEST  20u

static const struct tasks_stream *stream_named(const char *name)
{
    for (size_t i = 0; tasks_stream_at(i); i++)
        if (strcmp(tasks_stream_at(i)->name, name) == 0)
            return tasks_stream_at(i);
    fail_msg("no stream %s", name);
    return NULL;
}

static struct tasks *
open_stream(const char *name, const char *folder, uint64_t seed, uint32_t limit)
{
    struct fault f = {0};
    struct tasks *t = NULL;
    mnist_fixture_write(folder, "train", TRAIN, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", TEST, MNIST_FIXTURE_SIDE);
    if (tasks_open(stream_named(name), folder, seed, limit, &t, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    return t;
}

/* t1 t2 t3 t2 t4, two passes each, classes in pairs, file order; labels 0 and 1 inside a task. */
void test_tame_tasks_order_of_a_recurring_stream(void **state)
{
    (void)state;
    char folder[256];
    test_support_mkdir(folder);
    struct tasks *t = open_stream("recurring-mnist", folder, 1, 0);
    const uint32_t order[] = {0, 1, 2, 1, 3};
    assert_int_equal(tasks_count(t), 4);
    assert_int_equal(tasks_classes(t), 2);
    assert_int_equal(tasks_size(t, DATASET_TRAIN, 1), TRAIN / 5);
    assert_int_equal(tasks_length(t, 2), 5 * 2 * (TRAIN / 5));
    for (uint64_t at = 0; at < tasks_length(t, 2); at++) {
        const uint32_t run = (uint32_t)(at / 16);
        const uint64_t number = tasks_at(t, 2, at);
        const uint32_t task = tasks_task_of(t, DATASET_TRAIN, number);
        assert_int_equal(task, order[run]);
        assert_int_equal(tasks_run_start(t, 2, run), 16 * run);
        /* the i-th picture of a pair of classes: 10 (i / 2) + first class + i % 2 */
        const uint64_t i = at % 8;
        assert_int_equal(number, task * TRAIN + 10 * (i / 2) + 2 * task + i % 2);
        assert_int_equal(tasks_label_of(t, DATASET_TRAIN, number), i % 2);
        assert_true(number < tasks_numbers(t, DATASET_TRAIN));
    }
    tasks_free(t);
    test_support_rmdir(folder);
}

void test_tame_tasks_limit(void **state)
{
    (void)state;
    char folder[256];
    test_support_mkdir(folder);
    struct tasks *t = open_stream("split-mnist", folder, 1, 3);
    for (uint32_t k = 0; k < 5; k++) {
        assert_int_equal(tasks_size(t, DATASET_TRAIN, k), 3);
        assert_int_equal(tasks_size(t, DATASET_TEST, k), 3);
    }
    assert_int_equal(tasks_length(t, 4), 60);
    tasks_free(t);
    test_support_rmdir(folder);
}

static void sort_bytes(uint8_t *x, size_t n)
{
    size_t count[256] = {0}, at = 0;
    for (size_t i = 0; i < n; i++)
        count[x[i]]++;
    for (size_t v = 0; v < 256; v++)
        for (size_t i = 0; i < count[v]; i++)
            x[at++] = (uint8_t)v;
}

/* The first task shows the picture with black edges, the others its pixels elsewhere; train and
 * test pictures of a task are permuted alike. */
void test_tame_tasks_permutations(void **state)
{
    (void)state;
    char folder[256];
    uint8_t first[TASKS_PICTURE], third[TASKS_PICTURE], other[TASKS_PICTURE];
    test_support_mkdir(folder);
    struct tasks *t = open_stream("permuted-mnist", folder, 7, 0);
    assert_int_equal(tasks_count(t), 20);
    assert_int_equal(tasks_classes(t), 10);
    assert_int_equal(tasks_side(t), 32);
    tasks_picture(t, DATASET_TRAIN, tasks_number(t, DATASET_TRAIN, 0, 5), first);
    tasks_picture(t, DATASET_TRAIN, tasks_number(t, DATASET_TRAIN, 2, 5), third);
    assert_int_equal(tasks_label_of(t, DATASET_TRAIN, tasks_number(t, DATASET_TRAIN, 2, 5)), 5);
    for (size_t p = 0; p < 32; p++)
        assert_true(first[p] == 0 && first[31 * 32 + p] == 0 && first[p * 32] == 0);
    assert_memory_not_equal(first, third, sizeof first);
    sort_bytes(first, sizeof first);
    memcpy(other, third, sizeof other);
    sort_bytes(other, sizeof other);
    assert_memory_equal(first, other, sizeof first);
    tasks_free(t);
    /* the seed decides about the permutation */
    t = open_stream("permuted-mnist", folder, 7, 0);
    tasks_picture(t, DATASET_TRAIN, tasks_number(t, DATASET_TRAIN, 2, 5), other);
    assert_memory_equal(other, third, sizeof third);
    tasks_free(t);
    t = open_stream("permuted-mnist", folder, 8, 0);
    tasks_picture(t, DATASET_TRAIN, tasks_number(t, DATASET_TRAIN, 2, 5), other);
    assert_memory_not_equal(other, third, sizeof third);
    tasks_free(t);
    test_support_rmdir(folder);
}

void test_tame_tasks_refuses_other_pictures(void **state)
{
    (void)state;
    char folder[256];
    struct fault f = {0};
    struct tasks *t = NULL;
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", TRAIN, 8);
    mnist_fixture_write(folder, "t10k", TEST, 8);
    assert_int_equal(tasks_open(stream_named("split-mnist"), folder, 1, 0, &t, &f),
                     STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(f.text, "28x28"));
    test_support_rmdir(folder);
    assert_int_not_equal(tasks_open(stream_named("split-mnist"), folder, 1, 0, &t, &f), STATUS_OK);
}
