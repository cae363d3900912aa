/* Twenty rounds of kill -9; long_crash.c does a thousand. */
#include "tests/support/crash_rounds.h"

void test_crash_of_daemon_and_worker_at_any_moment(void **state)
{
    (void)state;
    crash_rounds(20);
}
