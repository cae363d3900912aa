/* Every work item runs exactly once, on a legal thread; rounds follow each other; bounds. */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "learners/math/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 1000

struct counts {
    atomic_uint runs[ITEMS];
    atomic_uint bad_thread;
    uint32_t threads;
};

static void count_item(void *context, uint32_t i, uint32_t thread)
{
    struct counts *c = context;
    atomic_fetch_add(&c->runs[i], 1);
    if (thread >= c->threads)
        atomic_fetch_add(&c->bad_thread, 1);
}

static void check_pool(uint32_t threads)
{
    struct counts *c = calloc(1, sizeof *c);
    void *memory = malloc(pool_plan(threads));
    struct pool *p = NULL;
    assert_non_null(c);
    assert_int_equal(pool_init(memory, threads, &p), STATUS_OK);
    assert_int_equal(pool_threads(p), threads);
    c->threads = threads;
    unsigned rounds[ITEMS] = {0};
    for (uint32_t round = 0; round < 50; round++) {
        const uint32_t n = (round * 37) % (ITEMS + 1);
        pool_run(p, count_item, c, n);
        /* all done when the call returns, none beyond n */
        for (uint32_t i = 0; i < ITEMS; i++) {
            rounds[i] += i < n;
            assert_int_equal(atomic_load(&c->runs[i]), rounds[i]);
        }
    }
    assert_int_equal(atomic_load(&c->bad_thread), 0);
    pool_fini(p);
    free(memory);
    free(c);
}

void test_pool_runs_every_item_once(void **state)
{
    (void)state;
    check_pool(1);
    check_pool(2);
    check_pool(5);
}

void test_pool_refuses_bad_thread_counts(void **state)
{
    (void)state;
    void *memory = malloc(pool_plan(POOL_MAX_THREADS));
    struct pool *p = NULL;
    assert_int_equal(pool_init(memory, 0, &p), STATUS_INVALID_ARGUMENT);
    assert_int_equal(pool_init(memory, POOL_MAX_THREADS + 1, &p), STATUS_INVALID_ARGUMENT);
    assert_null(p);
    pool_fini(NULL);
    free(memory);
}

static void count_pulse(void *context)
{
    ++*(uint32_t *)context;
}

static void do_nothing(void *context, uint32_t i, uint32_t thread)
{
    (void)context;
    (void)i;
    (void)thread;
}

void test_pool_pulse_after_every_run(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct pool *p;
        uint32_t pulses = 0;
        void *memory = sysio_alloc(pool_plan(threads), 1);
        assert_non_null(memory);
        assert_int_equal(pool_init(memory, threads, &p), STATUS_OK);
        pool_run(p, do_nothing, NULL, 3);
        pool_watch(p, count_pulse, &pulses);
        pool_run(p, do_nothing, NULL, 3);
        pool_run(p, do_nothing, NULL, 1);
        assert_int_equal(pulses, 2);
        pool_watch(p, NULL, NULL);
        pool_run(p, do_nothing, NULL, 3);
        assert_int_equal(pulses, 2);
        pool_fini(p);
        sysio_free(memory);
    }
}
