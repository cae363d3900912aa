/* Who took which task, and the detector's changes against the true ones, on numbers made by hand.
 */
#include "tests/support/test.h"

#include <math.h>

#include "bench/tame/figures.h"
#include "daemon/base/sysio.h"
#include "tests/unit/bench/mnist_fixture.h"

static struct figures_counts counts; /* large */

static void set(uint32_t e, uint64_t a, uint64_t b, uint64_t c)
{
    counts.taken[e][0] = a;
    counts.taken[e][1] = b;
    counts.taken[e][2] = c;
}

void test_tame_figures_majority(void **state)
{
    (void)state;
    set(0, 90, 10, 0);
    set(1, 0, 70, 50);
    set(2, 10, 20, 50);
    assert_int_equal(figures_expert_of(&counts, 3, 0), 0);
    assert_int_equal(figures_expert_of(&counts, 3, 1), 1);
    assert_int_equal(figures_expert_of(&counts, 3, 2), 1); /* a tie: the lower number */
    assert_int_equal(figures_task_of(&counts, 3, 0), 0);
    assert_int_equal(figures_task_of(&counts, 3, 1), 1);
    assert_int_equal(figures_task_of(&counts, 3, 2), 2);
    /* what is not with its task's expert: 10 of task 0, 10 + 20 of task 1, 50 of task 2 */
    assert_int_equal(figures_misplaced(&counts, 3, 3), 90);
}

static const struct figures_stretch stretches[] = {{0, 0}, {100, 1}, {200, 1}, {300, 0}, {400, 1}};

static struct figures_changes judge(const uint64_t *changes, uint32_t n)
{
    struct figures_changes x;
    figures_judge(stretches, 5, changes, n, &x);
    assert_int_equal(x.true_changes, 3);
    assert_int_equal(x.switches, n);
    return x;
}

void test_tame_figures_all_found(void **state)
{
    (void)state;
    const uint64_t changes[] = {100, 201, 404};
    const struct figures_changes x = judge(changes, 3);
    assert_int_equal(x.wrong, 0);
    assert_int_equal(x.missed, 0);
    assert_near(x.delay, 5.0 / 3.0, 1e-12);
}

/* One before any change, a second in a stretch, one where the task stays; one change missed. */
void test_tame_figures_wrong_and_missed(void **state)
{
    (void)state;
    const uint64_t changes[] = {99, 102, 150, 333, 400};
    const struct figures_changes x = judge(changes, 5);
    assert_int_equal(x.wrong, 3);
    assert_int_equal(x.missed, 1);
    assert_near(x.delay, 1.0, 1e-12);
}

void test_tame_figures_nothing_found(void **state)
{
    (void)state;
    const struct figures_changes x = judge(NULL, 0);
    assert_int_equal(x.wrong, 0);
    assert_int_equal(x.missed, 3);
    assert_true(isnan(x.delay));
}

/* ------------------------------------------------------------------ figures of known answers */

/* A net that always gives this output: nothing but a bias. */
static void set_constant(struct trial *t, int selector, uint32_t e, uint32_t answer)
{
    struct fault f = {0};
    const size_t floats = selector ? trial_selector_floats(t) : trial_floats(t);
    float *w = sysio_alloc(floats, sizeof *w);
    assert_non_null(w);
    w[floats - 2 + answer] = 1.0f; /* two outputs, their biases last */
    if (selector)
        assert_int_equal(trial_set_selector(t, TRIAL_PRUNED, w, &f), STATUS_OK);
    else
        assert_int_equal(trial_set_weights(t, TRIAL_PRUNED, e, w, &f), STATUS_OK);
    sysio_free(w);
}

/*
 * Five tasks of 8 test pictures, half of them label 1.  Expert 0 took tasks 0 to 2 and says 0,
 * expert 1 took tasks 3 and 4 and says 1; expert 0 stands for task 1, expert 1 for task 3.  The
 * selector always asks expert 1.
 */
void test_tame_figures_of_constant_nets(void **state)
{
    (void)state;
    char folder[256];
    struct fault f = {0};
    struct tasks *tasks = NULL;
    struct trial *t = NULL;
    static struct figures_counts c;
    static struct figures x;
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", 40, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 40, MNIST_FIXTURE_SIDE);
    assert_int_equal(tasks_open(tasks_stream_at(0), folder, 1, 0, &tasks, &f), STATUS_OK);
    const struct trial_config config = {.classes = 2,
                                        .side = 28,
                                        .window = 10,
                                        .numbers = tasks_numbers(tasks, DATASET_TRAIN),
                                        .fit_epochs = 1,
                                        .selector_epochs = 1,
                                        .threads = 1};
    assert_int_equal(trial_new(&config, &t, &f), STATUS_OK);
    trial_adopt(t, 2);
    set_constant(t, 0, 0, 0);
    set_constant(t, 0, 1, 1);
    set_constant(t, 1, 0, 1);
    const uint64_t taken[2][5] = {{5, 9, 6, 0, 1}, {0, 1, 0, 9, 8}};
    for (size_t e = 0; e < 2; e++)
        for (size_t k = 0; k < 5; k++)
            c.taken[e][k] = taken[e][k];
    figures_measure(t, TRIAL_PRUNED, tasks, &c, &x);
    for (size_t k = 0; k < 5; k++) {
        assert_int_equal(x.task[k].n, 8);
        assert_int_equal(x.task[k].within, 4);
        assert_int_equal(x.task[k].expert, 4);
        assert_int_equal(x.task[k].selector, k >= 3 ? 8 : 0);
        assert_int_equal(x.task[k].incremental, k == 3 ? 4 : 0);
    }
    assert_int_equal(x.total.n, 40);
    assert_int_equal(x.total.within, 20);
    assert_int_equal(x.total.selector, 16);
    assert_int_equal(x.total.expert, 20);
    assert_int_equal(x.total.incremental, 4);
    trial_free(t);
    tasks_free(tasks);
    test_support_rmdir(folder);
}
