/* Replay memory: stratified, disjoint, fixed by its seed, independent per class; few-shot draw. */
#include "tests/support/test.h"

#include "learners/data/replay.h"

#include <string.h>

#define N       840
#define CLASSES 6

static int32_t labels[N];
static uint32_t scratch[N], train[N], valid[N], train2[N], valid2[N];
static const struct rng_root root = {.seed = 42};

/* Class c has 40 (c + 1) images, mixed. */
static void make_labels(void)
{
    uint32_t at = 0;
    for (int32_t c = 0; c < CLASSES; c++)
        for (int32_t i = 0; i < 40 * (c + 1) && at < N; i++)
            labels[at++] = c;
    assert_int_equal(at, N);
    struct rng r;
    rng_init(&r, &root, "labels", 0);
    uint32_t order[N];
    int32_t copy[N];
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    rng_shuffle(&r, order, N);
    memcpy(copy, labels, sizeof copy);
    for (uint32_t i = 0; i < N; i++)
        labels[i] = copy[order[i]];
}

static uint32_t count_class(const uint32_t *list, uint32_t n, int32_t c)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++)
        found += labels[list[i]] == c;
    return found;
}

void test_replay_is_stratified_and_disjoint(void **state)
{
    (void)state;
    make_labels();
    struct replay m = {.train = train, .valid = valid};
    replay_draw(labels, N, CLASSES, NULL, &(struct replay_size){30, 8}, &root, scratch, &m);
    uint8_t seen[N] = {0};
    for (uint32_t i = 0; i < m.n_train; i++)
        assert_int_equal(seen[m.train[i]]++, 0);
    for (uint32_t i = 0; i < m.n_valid; i++)
        assert_int_equal(seen[m.valid[i]]++, 0);
    for (int32_t c = 0; c < CLASSES; c++) {
        assert_int_equal(count_class(m.train, m.n_train, c), 30);
        assert_int_equal(count_class(m.valid, m.n_valid, c), 8);
    }
}

void test_replay_small_class_keeps_a_fifth_for_validation(void **state)
{
    (void)state;
    make_labels();
    struct replay m = {.train = train, .valid = valid};
    replay_draw(labels, N, CLASSES, NULL, &(struct replay_size){60, 15}, &root, scratch, &m);
    assert_int_equal(count_class(m.train, m.n_train, 0), 32);
    assert_int_equal(count_class(m.valid, m.n_valid, 0), 8);
    assert_int_equal(count_class(m.train, m.n_train, 1), 60);
    assert_int_equal(count_class(m.valid, m.n_valid, 1), 15);
    assert_int_equal(replay_valid_share(600), 150);
    assert_int_equal(replay_valid_share(5), 2);
}

void test_replay_leaving_a_class_out_does_not_move_the_others(void **state)
{
    (void)state;
    make_labels();
    const uint8_t keep[CLASSES] = {1, 0, 1, 1, 0, 1}, erased[CLASSES] = {0, 1, 0, 0, 1, 0};
    struct replay a = {.train = train, .valid = valid}, b = {.train = train2, .valid = valid2};
    replay_draw(labels, N, CLASSES, NULL, &(struct replay_size){30, 8}, &root, scratch, &a);
    replay_draw(labels, N, CLASSES, keep, &(struct replay_size){30, 8}, &root, scratch, &b);
    assert_int_not_equal(a.n_train, b.n_train);
    replay_remove_classes(&a, labels, erased);
    assert_int_equal(a.n_train, b.n_train);
    assert_int_equal(a.n_valid, b.n_valid);
    assert_memory_equal(a.train, b.train, a.n_train * sizeof *a.train);
    assert_memory_equal(a.valid, b.valid, a.n_valid * sizeof *a.valid);
}

void test_replay_depends_on_the_seed(void **state)
{
    (void)state;
    make_labels();
    struct replay a = {.train = train, .valid = valid}, b = {.train = train2, .valid = valid2};
    const struct rng_root other = {.seed = 43};
    replay_draw(labels, N, CLASSES, NULL, &(struct replay_size){30, 8}, &root, scratch, &a);
    replay_draw(labels, N, CLASSES, NULL, &(struct replay_size){30, 8}, &other, scratch, &b);
    assert_memory_not_equal(a.train, b.train, a.n_train * sizeof *a.train);
}

void test_replay_few_shot_takes_exactly_k_or_names_the_class(void **state)
{
    (void)state;
    make_labels();
    for (uint32_t i = 0; i < N; i++)
        train2[i] = i;
    uint32_t n = 0;
    struct fault f = {0};
    assert_int_equal(replay_few_shot(labels, train2, N, CLASSES, 4, &root, scratch, train, &n, &f),
                     STATUS_OK);
    assert_int_equal(n, 4 * CLASSES);
    for (int32_t c = 0; c < CLASSES; c++)
        assert_int_equal(count_class(train, n, c), 4);
    assert_int_equal(replay_few_shot(labels, train2, N, CLASSES, 41, &root, scratch, train, &n, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "few_shot");
    assert_non_null(strstr(f.text, "class 0 has 40"));
}

void test_replay_cap_keeps_order(void **state)
{
    (void)state;
    const int32_t l[6] = {1, 0, 1, 1, 0, 1};
    uint32_t list[6] = {5, 4, 3, 2, 1, 0}, counts[2];
    assert_int_equal(replay_cap(l, list, 6, 2, 2, counts, list), 4);
    const uint32_t expected[4] = {5, 4, 3, 1};
    assert_memory_equal(list, expected, sizeof expected);
}
