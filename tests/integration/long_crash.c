/* A thousand rounds of kill -9, see tests/support/crash_rounds.h. */
#include "tests/support/crash_rounds.h"

void test_crash_a_thousand_times(void **state)
{
    (void)state;
    crash_rounds(1000);
}
