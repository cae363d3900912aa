/* The whole table of tame.md 6, every row with the seeds that it names. */
#include "tests/property/learners/tame_sim.h"

#define RECURRING .order = sim_recurring, .runs = 5, .right = 4
#define NOISY     .noise = 1, .n_run = 200, RECURRING

/* Rows, their seeds and the least and most exact runs that the design allows. */
static const struct {
    struct sim_row row;
    uint32_t seeds, least, most;
} table[] = {
    {{"reference x1, 200, W 50", TAME_PARITY, 1, 200, 50, RECURRING}, 30, 27, 30},
    {{"reference x1, 200, W 100", TAME_PARITY, 1, 200, 100, RECURRING}, 30, 27, 30},
    {{"hardened x1, 200", TAME_HARDENED, 1, 200, 0, RECURRING}, 30, 29, 30},
    {{"reference x2, 200, W 100", TAME_PARITY, 2, 200, 100, RECURRING}, 20, 0, 15},
    {{"reference x2, 200, W 50", TAME_PARITY, 2, 200, 50, RECURRING}, 20, 0, 15},
    {{"hardened x2, 200", TAME_HARDENED, 2, 200, 0, RECURRING}, 20, 19, 20},
    {{"reference x3, 200, W 100", TAME_PARITY, 3, 200, 100, RECURRING}, 20, 0, 2},
    {{"hardened x3, 200", TAME_HARDENED, 3, 200, 0, RECURRING}, 20, 19, 20},
    {{"reference, 1 in 200 mislabelled", TAME_PARITY, .window = 100, .mislabel = 200, NOISY},
     20,
     0,
     12},
    {{"hardened, 1 in 200 mislabelled", TAME_HARDENED, .mislabel = 200, NOISY}, 20, 16, 20},
    {{"hardened, 1 in 50 mislabelled", TAME_HARDENED, .mislabel = 50, NOISY}, 20, 7, 20},
    {{"hardened, patience 3, 1 in 200", TAME_HARDENED, .mislabel = 200, .patience = 3, NOISY},
     20,
     19,
     20},
    {{"hardened, patience 3, 1 in 50", TAME_HARDENED, .mislabel = 50, .patience = 3, NOISY},
     20,
     17,
     20},
    {{"hardened, no outlier guard, 1 in 50", TAME_HARDENED, .mislabel = 50, .no_guard = 1, NOISY},
     20,
     0,
     5},
    {{"reference x1, 100, W 100", TAME_PARITY, 1, 100, 100, RECURRING}, 20, 0, 2},
    {{"reference x1, 100, W 25", TAME_PARITY, 1, 100, 25, RECURRING}, 30, 26, 30},
    {{"hardened x1, 100", TAME_HARDENED, 1, 100, 0, RECURRING}, 30, 27, 30},
    {{"reference x1, 60, W 15", TAME_PARITY, 1, 60, 15, RECURRING}, 30, 0, 15},
    {{"hardened x1, 60", TAME_HARDENED, 1, 60, 0, RECURRING}, 30, 28, 30},
    {{"reference x1, 30, W 8", TAME_PARITY, 1, 30, 8, RECURRING}, 30, 0, 3},
    {{"hardened x1, 30", TAME_HARDENED, 1, 30, 0, RECURRING}, 30, 28, 30},
    {{"hardened x1, 24", TAME_HARDENED, 1, 24, 0, RECURRING}, 30, 28, 30},
    {{"hardened x2, 24", TAME_HARDENED, 2, 24, 0, RECURRING}, 30, 26, 30},
    {{"hardened x1, 20", TAME_HARDENED, 1, 20, 0, RECURRING}, 30, 3, 30},
    {{"reference x2, ten runs, W 100", TAME_PARITY, 2, 200, 100, sim_twice, 10, .right = 5},
     10,
     0,
     4},
    {{"hardened x2, ten runs", TAME_HARDENED, 2, 200, 0, sim_twice, 10, .right = 5}, 10, 9, 10},
    {{"hardened x1, one task", TAME_HARDENED, 1, 2000, 50, sim_single, 1, .right = 1}, 8, 8, 8},
    {{"hardened x3, one task", TAME_HARDENED, 3, 2000, 50, sim_single, 1, .right = 1}, 8, 8, 8},
    {{"hardened x2, one task, W 16", TAME_HARDENED, 2, 2000, 16, sim_single, 1, .right = 1},
     8,
     8,
     8},
};

void test_table_of_the_design(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct sim_score s = sim_run(&table[i].row, table[i].seeds);
        if (s.exact >= table[i].least && s.exact <= table[i].most)
            continue;
        wrong++;
        print_error("%s: %u exact runs of %u; %u to %u expected\n", table[i].row.name, s.exact,
                    s.seeds, table[i].least, table[i].most);
    }
    assert_int_equal(wrong, 0);
}
