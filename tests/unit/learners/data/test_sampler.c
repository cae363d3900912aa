/* Epoch orders are permutations that depend on the epoch alone; splits are stratified and disjoint.
 */
#include "tests/support/test.h"

#include "learners/data/sampler.h"

#include <string.h>

enum { N = 1000, CLASSES = 7 };

void test_sampler_epochs_are_repeatable_permutations(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 5};
    uint32_t items[N], a[N], b[N];
    uint8_t seen[2 * N] = {0};
    for (uint32_t i = 0; i < N; i++)
        items[i] = 2 * i;
    sampler_epoch(&root, "shuffle", 3, items, N, a);
    sampler_epoch(&root, "shuffle", 4, items, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    sampler_epoch(&root, "other", 3, items, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    sampler_epoch(&root, "shuffle", 3, items, N, b);
    assert_memory_equal(a, b, sizeof a);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(a[i] < 2 * N && a[i] % 2 == 0 && !seen[a[i]]);
        seen[a[i]] = 1;
    }
}

/* Class c has a share that grows with c; one class may be empty. */
static void draw_labels(int32_t *labels, uint32_t *count)
{
    memset(count, 0, CLASSES * sizeof *count);
    for (uint32_t i = 0; i < N; i++) {
        int32_t c = 0;
        for (uint32_t x = i * 2654435761u >> 22; c < CLASSES - 2 && x > 130u * (uint32_t)(c + 1);
             c++)
            x -= 130u * (uint32_t)(c + 1);
        labels[i] = c;
        count[c]++;
    }
}

void test_sampler_splits_are_stratified(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 5};
    int32_t labels[N];
    uint32_t items[N], held[N], rest[N], scratch[N + 2 * CLASSES], count[CLASSES];
    draw_labels(labels, count);
    for (uint32_t i = 0; i < N; i++)
        items[i] = i;
    for (uint32_t n_held = 0; n_held <= N; n_held += 37) {
        uint32_t in_held[CLASSES] = {0};
        uint8_t seen[N] = {0};
        sampler_split(&root, "valid", labels, CLASSES, items, N, n_held, held, rest, scratch);
        for (uint32_t i = 0; i < n_held; i++) {
            assert_false(seen[held[i]]++);
            in_held[labels[held[i]]]++;
        }
        for (uint32_t i = 0; i < N - n_held; i++)
            assert_false(seen[rest[i]]++);
        for (uint32_t c = 0; c < CLASSES; c++)
            assert_near(in_held[c], (double)count[c] * n_held / N, 1);
    }
}

/* The draw of a class does not depend on the images of the others. */
void test_sampler_split_of_a_class_is_its_own(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 9};
    int32_t labels[200];
    uint32_t all[200], part[100], held[100], held_part[50], rest[200], scratch[204];
    for (uint32_t i = 0; i < 200; i++) {
        labels[i] = i < 100 ? 0 : 1;
        all[i] = i;
        if (i < 100)
            part[i] = i;
    }
    sampler_split(&root, "valid", labels, 2, all, 200, 100, held, rest, scratch);
    sampler_split(&root, "valid", labels, 2, part, 100, 50, held_part, rest, scratch);
    assert_memory_equal(held, held_part, sizeof held_part);
}
