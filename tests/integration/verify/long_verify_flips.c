/* As test_verify_flips.c, with the program started anew for every bit. */
#include "tests/support/verify_flips.h"

void test_every_flipped_bit_makes_the_program_exit_with_1(void **state)
{
    (void)state;
    const size_t bits = verify_flips_all(verify_call_program);
    print_message("%zu bits\n", bits);
    assert_true(bits > 50000);
}
