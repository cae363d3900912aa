/* Two hundred rounds of kill -9, see tests/support/crash_rounds.h. */
#include "tests/support/crash_rounds.h"

void test_crash_two_hundred_times(void **state)
{
    (void)state;
    crash_rounds(200);
}
