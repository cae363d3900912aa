/* The watchdog is fed exactly when every part that ought to move has moved. */
#include "tests/support/test.h"

#include "daemon/service/watchdog.h"

static const struct watchdog_view idle = {.serve_ticks = 7};

static void expect(struct watchdog *w, struct watchdog_view now, const char *stuck)
{
    const char *got = watchdog_look(w, &now);
    if (stuck) {
        assert_non_null(got);
        assert_string_equal(got, stuck);
    } else {
        assert_null(got);
    }
}

void test_watchdog_serve_loop(void **state)
{
    (void)state;
    struct watchdog w = {0};
    struct watchdog_view now = {0};
    expect(&w, now, "serve"); /* it has not turned once */
    now.serve_ticks = 1;
    expect(&w, now, NULL);
    expect(&w, now, "serve");
    expect(&w, now, "serve");
    now.serve_ticks = 2;
    expect(&w, now, NULL);
}

void test_watchdog_predict_pool(void **state)
{
    (void)state;
    struct watchdog w = {.fed = idle};
    struct watchdog_view now = idle;
    now.serve_ticks++;
    expect(&w, now, NULL); /* idle: nothing has to move */
    now.serve_ticks++;
    now.predict_busy = true;
    expect(&w, now, NULL); /* it was idle a moment ago */
    now.serve_ticks++;
    expect(&w, now, "predict");
    now.predict_done++;
    expect(&w, now, NULL);
    now.serve_ticks++;
    now.predict_busy = false;
    expect(&w, now, NULL);
}

void test_watchdog_worker(void **state)
{
    (void)state;
    struct watchdog w = {.fed = idle};
    struct watchdog_view now = idle;
    now.serve_ticks++;
    now.worker_busy = true;
    expect(&w, now, NULL);
    now.serve_ticks++;
    expect(&w, now, "worker");
    now.serve_ticks++; /* what others do does not count for it */
    now.predict_busy = true;
    now.predict_done++;
    expect(&w, now, "worker");
    now.worker_heard++;
    expect(&w, now, NULL);
    now.serve_ticks++;
    now.predict_done++;
    now.worker_busy = false; /* killed or done */
    expect(&w, now, NULL);
}

void test_watchdog_kills_a_silent_worker_before_the_manager_would(void **state)
{
    (void)state;
    assert_int_equal(watchdog_worker_stall_s(60, 0), 60);
    assert_int_equal(watchdog_worker_stall_s(60, 60000000), 30);
    assert_int_equal(watchdog_worker_stall_s(30, 60000000), 30);
    assert_int_equal(watchdog_worker_stall_s(5, 60000000), 5);
    assert_int_equal(watchdog_worker_stall_s(60, 1000), 1);
}
