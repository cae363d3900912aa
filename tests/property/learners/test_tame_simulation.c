/* The decision rules on real gradients: a few rows of the table of tame.md 6, few seeds. */
#include "tests/property/learners/tame_sim.h"

#define RECURRING .order = sim_recurring, .runs = 5, .right = 4

void test_hardened_finds_every_change_of_short_runs(void **state)
{
    (void)state;
    const struct sim_row row = {"hardened x1, 60", TAME_HARDENED, 1, 60, 0, RECURRING};
    const struct sim_score s = sim_run(&row, 3);
    assert_int_equal(s.exact, 3);
    assert_true(s.delay <= 36); /* most are held at once: two or three batches a change */
}

void test_hardened_stands_noise_that_the_reference_does_not(void **state)
{
    (void)state;
    const struct sim_row ours = {"hardened x3, 100", TAME_HARDENED, 3, 100, 0, RECURRING};
    const struct sim_row theirs = {"reference x3, 100, W 25", TAME_PARITY, 3, 100, 25, RECURRING};
    assert_int_equal(sim_run(&ours, 2).exact, 2);
    assert_int_equal(sim_run(&theirs, 2).exact, 0);
}

void test_reference_finds_the_changes_of_a_clean_stream(void **state)
{
    (void)state;
    const struct sim_row row = {"reference x1, 100, W 25", TAME_PARITY, 1, 100, 25, RECURRING};
    assert_int_equal(sim_run(&row, 2).exact, 2);
}

void test_reference_misses_with_a_window_of_the_run(void **state)
{
    (void)state;
    const struct sim_row row = {"reference x1, 100, W 100", TAME_PARITY, 1, 100, 100, RECURRING};
    const struct sim_score s = sim_run(&row, 2);
    assert_int_equal(s.exact, 0);
    assert_true(s.missed >= 6);
}

void test_no_alarm_within_one_task(void **state)
{
    (void)state;
    const struct sim_row row = {
        "hardened x2, one task", TAME_HARDENED, 2, 500, 50, sim_single, 1, .right = 1};
    assert_int_equal(sim_run(&row, 2).exact, 2);
}
