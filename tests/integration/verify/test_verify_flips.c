/*
 * Any one bit of a receipt, a certificate, a checkpoint, a proof of consistency or of what served:
 * flipped, lethe-verify says NOT VERIFIED and ends with 1.  All bits, by the program's own entry.
 */
#include "tests/support/verify_flips.h"

void test_every_flipped_bit_exits_with_1(void **state)
{
    (void)state;
    assert_true(verify_flips_all(verify_call_inside) > 50000);
}
