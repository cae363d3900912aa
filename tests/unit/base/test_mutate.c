/* The mutations that the fuzz tests rely on: within their bounds, of every kind, repeatable. */
#include "tests/support/mutate.h"
#include "tests/support/test.h"

#include <string.h>

enum { ROOM = 64, SIZE = 40, ROUNDS = 2000 };

static struct {
    unsigned calls, changed, longer, shorter, sum;
} met;

static uint8_t seed[SIZE];

static int look(const uint8_t *data, size_t size)
{
    met.calls++;
    met.changed += size != SIZE || memcmp(data, seed, SIZE) != 0;
    met.longer += size > SIZE;
    met.shorter += size < SIZE;
    for (size_t i = 0; i < size; i++)
        met.sum = met.sum * 31 + data[i];
    assert_true(size <= ROOM);
    return 0;
}

static int keeps_first(const uint8_t *data, size_t size)
{
    assert_true(size >= 3 && memcmp(data, seed, 3) == 0);
    return look(data, size);
}

static int keeps_rest(const uint8_t *data, size_t size)
{
    assert_int_equal(size, SIZE);
    assert_int_equal(data[0], seed[0]);
    assert_memory_equal(data + 20, seed + 20, SIZE - 20);
    return look(data, size);
}

static void run(const struct mutate_plan *p, mutate_target *target)
{
    memset(&met, 0, sizeof met);
    for (uint8_t i = 0; i < SIZE; i++)
        seed[i] = (uint8_t)(i * 5 + 1);
    mutate_rounds(seed, SIZE, p, target);
    assert_int_equal(met.calls, p->rounds + 1);
    assert_true(met.changed > p->rounds * 9 / 10);
}

void test_mutate_changes_inputs_in_every_way_and_repeatably(void **state)
{
    (void)state;
    struct mutate_plan p = {.stream = "m", .rounds = ROUNDS, .room = ROOM};
    run(&p, look);
    assert_true(met.longer > ROUNDS / 10 && met.shorter > ROUNDS / 10);
    const unsigned first = met.sum;
    run(&p, look);
    assert_int_equal(met.sum, first);
    p.index = 1;
    run(&p, look);
    assert_int_not_equal(met.sum, first);
}

void test_mutate_leaves_the_first_bytes_alone(void **state)
{
    (void)state;
    const struct mutate_plan p = {.stream = "m", .rounds = ROUNDS, .room = ROOM, .from = 3};
    run(&p, keeps_first);
}

void test_mutate_of_a_head_moves_nothing(void **state)
{
    (void)state;
    const struct mutate_plan p = {
        .stream = "m", .rounds = ROUNDS, .room = SIZE, .from = 1, .head = 20, .signs = "{}"};
    run(&p, keeps_rest);
}

void test_mutate_brings_tails_of_other_inputs(void **state)
{
    (void)state;
    uint8_t tail[8];
    unsigned brought = 0;
    memset(tail, 0xee, sizeof tail);
    const struct mutate_input others[] = {{tail, sizeof tail}, {tail, 0}};
    const struct mutate_plan p = {.stream = "m", .room = ROOM, .others = others, .n_others = 2};
    const struct rng_root root = {.seed = 1};
    struct rng r;
    rng_init(&r, &root, "tails", 0);
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[ROOM] = {0};
        struct mutate_input m = {bytes, SIZE};
        mutate_some(&r, &m, &p);
        assert_true(m.size <= ROOM);
        brought += m.size > 1 && bytes[m.size - 1] == 0xee && bytes[m.size - 2] == 0xee;
    }
    assert_true(brought > ROUNDS / 10);
}
