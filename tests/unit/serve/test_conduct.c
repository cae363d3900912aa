/* What is remembered of peers: the bucket of calls, suspension, and who makes room. */
#include "tests/support/test.h"

#include "daemon/serve/conduct.h"

#include <stdio.h>

#define SECOND ((int64_t)1000000)

void test_conduct_a_bucket_lets_a_second_s_worth_through_at_once(void **state)
{
    (void)state;
    struct conduct *c;
    assert_int_equal(conduct_new(10, &c, NULL), STATUS_OK);
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 10; i++)
        assert_int_equal(conduct_take(c, "k:a", now), 0);
    assert_int_equal(conduct_take(c, "k:a", now), SECOND / 10);
    assert_int_equal(conduct_take(c, "k:b", now), 0); /* each has its own */
    now += SECOND / 10;
    assert_int_equal(conduct_take(c, "k:a", now), 0);
    assert_true(conduct_take(c, "k:a", now) > 0);
    /* Over ten seconds at full speed: a second's worth at first, then the rate. */
    int taken = 0;
    for (int64_t t = now + 100 * SECOND; t < now + 110 * SECOND; t += 1000)
        taken += conduct_take(c, "k:a", t) == 0;
    assert_in_range(taken, 108, 111);
    conduct_free(c);
}

void test_conduct_no_rate_is_no_limit(void **state)
{
    (void)state;
    struct conduct *c;
    assert_int_equal(conduct_new(0, &c, NULL), STATUS_OK);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(conduct_take(c, "k:a", 5), 0);
    conduct_free(c);
}

void test_conduct_three_strikes_in_a_minute_suspend_for_one(void **state)
{
    (void)state;
    struct conduct *c;
    int64_t now = 50 * SECOND;
    assert_int_equal(conduct_new(0, &c, NULL), STATUS_OK);
    assert_false(conduct_strike(c, "k:a", now));
    assert_false(conduct_strike(c, "k:a", now + 1));
    assert_int_equal(conduct_suspended(c, "k:a", now + 2), 0);
    assert_true(conduct_strike(c, "k:a", now + 2));
    assert_int_equal(conduct_suspended(c, "k:a", now + 2), CONDUCT_SUSPEND_US);
    assert_int_equal(conduct_suspended(c, "k:b", now + 2), 0);
    assert_int_equal(conduct_suspended(c, "k:a", now + 1 + CONDUCT_SUSPEND_US), 1);
    assert_int_equal(conduct_suspended(c, "k:a", now + 2 + CONDUCT_SUSPEND_US), 0);
    /* Two now and one much later are not three. */
    now += 10 * CONDUCT_SUSPEND_US;
    assert_false(conduct_strike(c, "k:a", now));
    assert_false(conduct_strike(c, "k:a", now));
    assert_false(conduct_strike(c, "k:a", now + CONDUCT_SUSPEND_US + 1));
    assert_int_equal(conduct_suspended(c, "k:a", now + CONDUCT_SUSPEND_US + 2), 0);
    conduct_free(c);
}

void test_conduct_crowds_do_not_wash_a_suspension_away(void **state)
{
    (void)state;
    struct conduct *c;
    char name[32];
    const int64_t now = 50 * SECOND;
    assert_int_equal(conduct_new(0, &c, NULL), STATUS_OK);
    for (unsigned i = 0; i < CONDUCT_STRIKES; i++)
        (void)conduct_strike(c, "k:bad", now);
    for (int i = 0; i < 3 * CONDUCT_PEERS; i++) {
        (void)snprintf(name, sizeof name, "k:%d", i);
        assert_int_equal(conduct_suspended(c, name, now + i), 0);
    }
    assert_true(conduct_suspended(c, "k:bad", now + 4 * CONDUCT_PEERS) > 0);
    conduct_free(c);
}
