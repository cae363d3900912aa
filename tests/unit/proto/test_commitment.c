/* Commitments: the HMAC as another program computes it, opening, and what does not open. */
#include "tests/support/test.h"

#include <string.h>

#include "daemon/base/bytes.h"
#include "proto/seal/commitment.h"

/* HMAC-SHA-256 of "lethe/payload/v1\nabc" under 0..31. */
void test_commitment_is_the_hmac(void **state)
{
    static const char wanted[] = "adbc353237fd310d8bbf62da4602de7e6ec9dc9f0ef8b06b24b25fddf9065ad8";
    struct commitment_salt salt;
    uint8_t bytes[SHA256_SIZE];
    (void)state;
    for (uint8_t i = 0; i < COMMITMENT_SALT_SIZE; i++)
        salt.b[i] = i;
    const struct sha256 c = commitment_make(&salt, "payload", "abc", 3);
    assert_int_equal(hex_parse(wanted, bytes, sizeof bytes), 0);
    assert_memory_equal(c.b, bytes, sizeof bytes);
}

void test_commitment_opens_with_its_parts_only(void **state)
{
    (void)state;
    struct commitment_salt salt = commitment_salt_make();
    const struct commitment_salt other = commitment_salt_make();
    struct sha256 c = commitment_make(&salt, "subject", "person", 6);
    assert_true(commitment_opens(&c, &salt, "subject", "person", 6));
    assert_false(commitment_opens(&c, &salt, "subject", "person", 5));
    assert_false(commitment_opens(&c, &salt, "payload", "person", 6));
    assert_false(commitment_opens(&c, &other, "subject", "person", 6));
    for (size_t bit = 0; bit < 8 * sizeof salt; bit++) {
        salt.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(commitment_opens(&c, &salt, "subject", "person", 6));
        salt.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof c; bit++) {
        c.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(commitment_opens(&c, &salt, "subject", "person", 6));
        c.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
