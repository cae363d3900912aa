/* Figures of task sequences: matrices by hand, tasks without images, intervals. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/continual.h"

static _Alignas(64) unsigned char memory[1 << 20];

/* Stage by stage; cells above the diagonal are nonsense that nobody may read. */
static const double by_hand[] = {0.9, -7,  -7, /* after task 0 */
                                 0.7, 0.8, -7, /* after task 1 */
                                 0.8, 0.5, 0.6 /* after task 2 */};

void test_continual_figures_by_hand(void **state)
{
    (void)state;
    assert_near(continual_accuracy(by_hand, 3, 0), 0.9, 1e-15);
    assert_near(continual_accuracy(by_hand, 3, 1), 0.75, 1e-15);
    assert_near(continual_accuracy(by_hand, 3, 2), 1.9 / 3, 1e-15);
    assert_near(continual_average(by_hand, 3, 3), (0.9 + 0.75 + 1.9 / 3) / 3, 1e-15);
    assert_near(continual_average(by_hand, 3, 2), (0.9 + 0.75) / 2, 1e-15);
    /* The best of earlier stages counts: 0.9 for the first task, not 0.7. */
    assert_near(continual_forgetting(by_hand, 3, 2), ((0.9 - 0.8) + (0.8 - 0.5)) / 2, 1e-15);
    assert_near(continual_forgetting(by_hand, 3, 1), 0.9 - 0.7, 1e-15);
    assert_near(continual_backward(by_hand, 3, 2), ((0.8 - 0.9) + (0.5 - 0.8)) / 2, 1e-15);
    assert_true(isnan(continual_forgetting(by_hand, 3, 0)));
    assert_true(isnan(continual_backward(by_hand, 3, 0)));
}

/* A task that was better in between than when it was learned. */
void test_continual_forgetting_looks_back_to_the_best_stage(void **state)
{
    (void)state;
    const double a[] = {0.5, 0, 0, 0.9, 0.5, 0, 0.6, 0.5, 0.5};
    assert_near(continual_forgetting(a, 3, 2), (0.3 + 0.0) / 2, 1e-15);
    assert_near(continual_backward(a, 3, 2), (0.1 + 0.0) / 2, 1e-15);
    const double better[] = {0.5, 0, 0.7, 0.5};
    assert_near(continual_forgetting(better, 2, 1), -0.2, 1e-15);
}

void test_continual_tasks_without_images_are_passed_over(void **state)
{
    (void)state;
    const double nan = (double)NAN;
    const double a[] = {0.9, 0, 0, 0.7, nan, 0, 0.8, nan, 0.6};
    assert_near(continual_accuracy(a, 3, 1), 0.7, 1e-15);
    assert_near(continual_accuracy(a, 3, 2), 0.7, 1e-15);
    assert_near(continual_forgetting(a, 3, 2), 0.1, 1e-15);
    const double first[] = {nan, 0, nan, 0.5};
    assert_near(continual_average(first, 2, 2), 0.5, 1e-15);
    assert_true(isnan(continual_backward(first, 2, 1)));
}

/* Tasks of 2 and 6 images: unweighted, so not the share of all images. */
static const uint8_t small_right[] = {1, 1, 0, 0, 0, 0, 0, 0, /* after task 0 */
                                      1, 0, 1, 1, 1, 0, 0, 0 /* after task 1 */};
static const uint32_t small_task[] = {0, 0, 1, 1, 1, 1, 1, 1};

void test_continual_matrix_weighs_tasks_equally(void **state)
{
    (void)state;
    double a[4], size[2];
    const struct continual c = {
        .right = small_right, .task = small_task, .n = 8, .T = 2, .draws = 10};
    continual_matrix(&c, size, a);
    const double expected[] = {1, 0, 0.5, 0.5};
    assert_memory_equal(a, expected, sizeof a);
    assert_true(size[0] == 2 && size[1] == 6);
    assert_near(continual_accuracy(a, 2, 1), 0.5, 1e-15);
}

static enum status run(const struct continual *c,
                       size_t size,
                       struct eval_value *accuracy,
                       struct continual_figures *f)
{
    const struct rng_root root = {.seed = 5};
    struct arena scratch;
    struct rng rng;
    rng_init(&rng, &root, "continual", 0);
    arena_init(&scratch, memory, size);
    const enum status st = continual_run(c, &rng, &scratch, accuracy, f);
    assert_int_equal(scratch.used, 0);
    arena_fini(&scratch);
    return st;
}

void test_continual_run_gives_the_figures_of_the_matrix(void **state)
{
    (void)state;
    struct eval_value accuracy[2];
    struct continual_figures f;
    const struct continual c = {
        .right = small_right, .task = small_task, .n = 8, .T = 2, .draws = 10};
    assert_int_equal(run(&c, continual_plan(8, 2, 0, 10), accuracy, &f), STATUS_OK);
    assert_near(f.last.value, 0.5, 1e-15);
    assert_near(f.average.value, 0.75, 1e-15);
    assert_near(f.forgetting.value, 0.5, 1e-15);
    assert_near(f.backward.value, -0.5, 1e-15);
    assert_near(accuracy[0].value, 1, 1e-15);
    assert_near(accuracy[1].value, 0.5, 1e-15);
    assert_true(f.last.n == 8 && isinf(f.last.lo)); /* eight images have no interval */
}

void test_continual_first_stage_has_no_forgetting(void **state)
{
    (void)state;
    const uint8_t right[] = {1, 0, 1};
    const uint32_t task[] = {0, 0, 0};
    struct continual_figures f;
    const struct continual c = {.right = right, .task = task, .n = 3, .T = 1, .draws = 10};
    assert_int_equal(run(&c, continual_plan(3, 1, 0, 10), NULL, &f), STATUS_OK);
    assert_near(f.last.value, 2.0 / 3, 1e-15);
    assert_near(f.average.value, 2.0 / 3, 1e-15);
    assert_int_equal(f.forgetting.n, 0);
    assert_int_equal(f.backward.n, 0);
    const struct continual none = {.right = right, .task = task, .n = 0, .T = 1, .draws = 10};
    assert_int_equal(run(&none, continual_plan(0, 1, 0, 10), NULL, &f), STATUS_OK);
    assert_int_equal(f.last.n, 0);
}

void test_continual_too_little_scratch_is_an_error(void **state)
{
    (void)state;
    struct continual_figures f = {.last = {.n = 77}};
    const struct continual c = {
        .right = small_right, .task = small_task, .n = 8, .T = 2, .draws = 10};
    for (size_t size = 0; size < 640; size += 64) {
        assert_int_equal(run(&c, size, NULL, &f), STATUS_NO_MEMORY);
        assert_int_equal(f.last.n, 77);
    }
}

/* Binomial accuracy 0.8 of 500: the interval is close to the normal one, 0.8 +- 0.0351. */
void test_continual_interval_of_one_task_is_the_binomial_one(void **state)
{
    (void)state;
    enum { N = 500 };
    uint8_t right[N];
    uint32_t task[N] = {0};
    struct continual_figures f;
    for (uint32_t i = 0; i < N; i++)
        right[i] = i % 5 != 0;
    const struct continual c = {.right = right, .task = task, .n = N, .T = 1, .draws = 1000};
    assert_int_equal(run(&c, continual_plan(N, 1, 0, 1000), NULL, &f), STATUS_OK);
    assert_near(f.last.value, 0.8, 1e-15);
    assert_near(f.last.lo, 0.8 - 0.0351, 0.004);
    assert_near(f.last.hi, 0.8 + 0.0351, 0.004);
    /* Strata that are right or wrong as a whole have nothing to vary. */
    uint32_t stratum[N];
    for (uint32_t i = 0; i < N; i++)
        stratum[i] = right[i];
    const struct continual fixed = {.right = right,
                                    .task = task,
                                    .stratum = stratum,
                                    .n = N,
                                    .T = 1,
                                    .n_strata = 2,
                                    .draws = 100};
    assert_int_equal(run(&fixed, continual_plan(N, 1, 2, 100), NULL, &f), STATUS_OK);
    assert_near(f.last.hi - f.last.lo, 0, 0);
}
