/* Request ids of calls without a stored request: same id, same payload. */
#include "tests/support/test.h"

#include "daemon/jobs/repeats.h"

static struct request_id id_of(uint32_t n)
{
    return (struct request_id){{(uint8_t)(n >> 8), (uint8_t)n, 1}};
}

void test_repeats_same_id_needs_same_payload(void **state)
{
    (void)state;
    struct repeats *r;
    struct fault f = {0};
    const struct request_id id = id_of(1);
    const struct digest a = {{1}}, b = {{2}};
    assert_int_equal(repeats_new(&r, NULL), STATUS_OK);
    assert_false(repeats_known(r, &id));
    assert_int_equal(repeats_check(r, &id, &a, &f), STATUS_OK);
    assert_int_equal(repeats_check(r, &id, &a, &f), STATUS_OK);
    assert_int_equal(repeats_check(r, &id, &b, &f), STATUS_ALREADY_EXISTS);
    assert_string_equal(f.field, "request_id");
    assert_true(repeats_known(r, &id));
    repeats_free(r);
}

void test_repeats_forgets_the_oldest(void **state)
{
    (void)state;
    struct repeats *r;
    const struct digest a = {{1}};
    assert_int_equal(repeats_new(&r, NULL), STATUS_OK);
    for (uint32_t i = 0; i <= REPEATS_MAX; i++) {
        const struct request_id id = id_of(i);
        assert_int_equal(repeats_check(r, &id, &a, NULL), STATUS_OK);
    }
    const struct request_id first = id_of(0), second = id_of(1), last = id_of(REPEATS_MAX);
    assert_false(repeats_known(r, &first));
    assert_true(repeats_known(r, &second));
    assert_true(repeats_known(r, &last));
    repeats_free(r);
}
