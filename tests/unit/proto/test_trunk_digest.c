/* The trunk's name follows the base and the erasures, their number and their order. */
#include "tests/support/test.h"

#include <string.h>

#include "proto/seal/hash.h"
#include "proto/seal/trunk_digest.h"

static const struct digest base = {{1, 2, 3}};
static const struct digest records[2] = {{{4}}, {{5}}};

void test_trunk_digest_is_the_hash_of_its_layout(void **state)
{
    (void)state;
    uint8_t bytes[8 + 3 * 32];
    memcpy(bytes, "lethetr1", 8);
    memcpy(bytes + 8, base.b, 32);
    memcpy(bytes + 40, records[0].b, 32);
    memcpy(bytes + 72, records[1].b, 32);
    const struct digest two = seal_hash(bytes, sizeof bytes), none = seal_hash(bytes, 40);
    const struct digest got_two = trunk_digest(&base, records, 2);
    const struct digest got_none = trunk_digest(&base, NULL, 0);
    assert_true(digest_equal(&got_two, &two));
    assert_true(digest_equal(&got_none, &none));
    assert_false(digest_equal(&got_none, &base));
}

void test_trunk_digest_depends_on_the_order(void **state)
{
    (void)state;
    const struct digest swapped[2] = {records[1], records[0]};
    const struct digest a = trunk_digest(&base, records, 2), b = trunk_digest(&base, swapped, 2),
                        c = trunk_digest(&base, records, 1);
    assert_false(digest_equal(&a, &b));
    assert_false(digest_equal(&a, &c));
    assert_false(digest_equal(&b, &c));
}
