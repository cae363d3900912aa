/* Slots: the bounds on unanswered calls at their maximum and one above, and what giving back frees.
 */
#include "tests/support/test.h"

#include "daemon/serve/slots.h"

#include <stdlib.h>

static struct route route_of(unsigned peer)
{
    return (struct route){.bytes = {(uint8_t)peer, (uint8_t)(peer >> 8)}, .size = 2};
}

static enum status take(struct slots *s, unsigned peer, size_t bytes, size_t *slot)
{
    struct fault f = {0};
    const struct route route = route_of(peer);
    const enum status code = slots_take(s, &route, bytes, slot, &f);
    if (code != STATUS_OK) {
        assert_int_equal(code, STATUS_RESOURCE_EXHAUSTED);
        assert_string_equal(f.field, "");
        assert_true(f.text[0] != '\0');
    }
    return code;
}

void test_slots_limit_each_peer(void **state)
{
    (void)state;
    struct slots *s = calloc(1, sizeof *s);
    size_t slot = NO_SLOT, last = NO_SLOT;
    for (unsigned i = 0; i < LIMIT_CALLS_PER_PEER; i++)
        assert_int_equal(take(s, 1, 0, &last), STATUS_OK);
    assert_int_equal(take(s, 1, 0, &slot), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(slot, NO_SLOT);
    assert_int_equal(take(s, 2, 0, &slot), STATUS_OK);
    slots_give(s, last);
    assert_int_equal(take(s, 1, 0, &last), STATUS_OK);
    assert_int_equal(s->n, LIMIT_CALLS_PER_PEER + 1);
    free(s);
}

void test_slots_tell_peers_apart_by_every_byte(void **state)
{
    (void)state;
    struct slots *s = calloc(1, sizeof *s);
    size_t slot;
    struct route longer = route_of(1);
    longer.size = 3;
    for (unsigned i = 0; i < LIMIT_CALLS_PER_PEER; i++)
        assert_int_equal(take(s, 1, 0, &slot), STATUS_OK);
    assert_int_equal(slots_take(s, &longer, 0, &slot, NULL), STATUS_OK);
    assert_int_equal(take(s, 257, 0, &slot), STATUS_OK);
    free(s);
}

void test_slots_limit_all_calls(void **state)
{
    (void)state;
    struct slots *s = calloc(1, sizeof *s);
    size_t slot;
    for (unsigned i = 0; i < LIMIT_CALLS; i++)
        assert_int_equal(take(s, i, 0, &slot), STATUS_OK);
    assert_int_equal(take(s, LIMIT_CALLS, 0, &slot), STATUS_RESOURCE_EXHAUSTED);
    slots_give(s, 17);
    assert_int_equal(take(s, LIMIT_CALLS, 0, &slot), STATUS_OK);
    assert_int_equal(slot, 17);
    free(s);
}

void test_slots_limit_bytes(void **state)
{
    (void)state;
    struct slots *s = calloc(1, sizeof *s);
    size_t first, second;
    s->bytes_max = 100;
    assert_int_equal(take(s, 1, 60, &first), STATUS_OK);
    assert_int_equal(take(s, 2, 41, &second), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(take(s, 2, SIZE_MAX, &second), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(take(s, 2, 40, &second), STATUS_OK);
    assert_int_equal(s->bytes, 100);
    slots_give(s, first);
    slots_give(s, NO_SLOT);
    assert_int_equal(s->bytes, 40);
    slots_give(s, second);
    assert_int_equal(s->bytes, 0);
    assert_int_equal(s->n, 0);
    free(s);
}
