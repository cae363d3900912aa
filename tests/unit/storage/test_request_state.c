/* The life cycle table against the one in operations.md, written out a second time here. */
#include "tests/support/test.h"

#include "storage/queue/request_state.h"

#include <string.h>

/* from, event, to; every pair that is not here must be refused. */
static const char *const EXPECTED[][3] = {
    {"none", "accept", "received"},
    {"received", "duplicate", "duplicate"},
    {"received", "ask_approval", "awaiting_approval"},
    {"received", "enqueue", "queued"},
    {"awaiting_approval", "gone", "denied"},
    {"queued", "gone", "denied"},
    {"awaiting_approval", "approve", "queued"},
    {"awaiting_approval", "deny", "denied"},
    {"received", "cancel", "cancelled"},
    {"awaiting_approval", "cancel", "cancelled"},
    {"queued", "cancel", "cancelled"},
    {"queued", "start", "running"},
    {"running", "candidate", "evaluating"},
    {"running", "cancel", "cancelled"},
    {"running", "retry", "queued"},
    {"running", "give_up", "failed"},
    {"running", "restart", "queued"},
    {"evaluating", "restart", "queued"},
    {"evaluating", "retry", "queued"},
    {"evaluating", "give_up", "failed"},
    {"evaluating", "next_step", "running"},
    {"evaluating", "reject", "rejected"},
    {"evaluating", "overtaken", "queued"},
    {"evaluating", "commit", "committed"},
    {"evaluating", "dry_run_done", "cancelled"},
};
#define EXPECTED_ROWS (sizeof EXPECTED / sizeof *EXPECTED)

static const char *expected_target(const char *from, const char *event)
{
    for (size_t i = 0; i < EXPECTED_ROWS; i++) {
        if (strcmp(EXPECTED[i][0], from) == 0 && strcmp(EXPECTED[i][1], event) == 0)
            return EXPECTED[i][2];
    }
    return "none";
}

void test_request_state_every_pair(void **state)
{
    (void)state;
    size_t rows = 0;
    (void)request_transitions(&rows);
    assert_int_equal(rows, EXPECTED_ROWS);
    for (unsigned s = 0; s < REQUEST_STATES; s++) {
        for (unsigned e = 0; e < REQUEST_EVENTS; e++) {
            const enum request_state to =
                request_state_after((enum request_state)s, (enum request_event)e);
            assert_string_equal(request_state_name(to),
                                expected_target(request_state_name((enum request_state)s),
                                                request_event_name((enum request_event)e)));
        }
    }
}

void test_request_state_final_ones(void **state)
{
    (void)state;
    static const char *const FINAL[] = {"committed", "rejected", "failed",
                                        "cancelled", "denied",   "duplicate"};
    size_t final = 0;
    for (size_t i = 0; i < sizeof FINAL / sizeof *FINAL; i++)
        assert_true(request_state_is_final(request_state_parse(FINAL[i])));
    for (unsigned s = REQUEST_RECEIVED; s < REQUEST_STATES; s++)
        final += request_state_is_final((enum request_state)s) != 0;
    assert_int_equal(final, sizeof FINAL / sizeof *FINAL);
}

/* Every state but the first is reached, and from every open state a final one can be reached. */
void test_request_state_no_dead_ends(void **state)
{
    (void)state;
    unsigned char ends[REQUEST_STATES];
    size_t n;
    const struct request_transition *t = request_transitions(&n);
    for (unsigned s = 0; s < REQUEST_STATES; s++)
        ends[s] = request_state_is_final((enum request_state)s) != 0;
    for (unsigned round = 0; round < REQUEST_STATES; round++) {
        for (size_t i = 0; i < n; i++)
            ends[t[i].from] |= ends[t[i].to];
    }
    for (unsigned s = 0; s < REQUEST_STATES; s++) {
        size_t into = s == REQUEST_NONE;
        for (size_t i = 0; i < n; i++)
            into += t[i].to == (enum request_state)s;
        assert_true(into > 0);
        assert_true(ends[s]);
    }
}

void test_request_state_names_round_trip(void **state)
{
    (void)state;
    for (unsigned s = REQUEST_RECEIVED; s < REQUEST_STATES; s++) {
        assert_int_equal(request_state_parse(request_state_name((enum request_state)s)), s);
        assert_true(request_state_is_valid(s));
    }
    assert_int_equal(request_state_parse("none"), REQUEST_NONE);
    assert_int_equal(request_state_parse("Queued"), REQUEST_NONE);
    assert_false(request_state_is_valid(REQUEST_NONE));
    assert_false(request_state_is_valid(REQUEST_STATES));
}
