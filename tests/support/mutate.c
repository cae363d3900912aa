#include "tests/support/mutate.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PIECE 16u

/* Changes that keep the size come first. */
enum { FLIP_BIT, NEW_BYTE, EXTREME, CUT, DOUBLE, BRING_TAIL };

static uint8_t new_byte(struct rng *r, const struct mutate_plan *p)
{
    if (p->signs && rng_below(r, 3) != 0)
        return (uint8_t)p->signs[rng_below(r, strlen(p->signs))];
    return (uint8_t)rng_below(r, 256);
}

static void
bring_tail(struct rng *r, struct mutate_input *m, size_t at, const struct mutate_plan *p)
{
    const struct mutate_input *other = &p->others[rng_below(r, p->n_others)];
    const size_t from = other->size ? (size_t)rng_below(r, other->size) : 0;
    const size_t tail = other->size - from;
    if (at + tail > p->room)
        return;
    memcpy(m->bytes + at, other->bytes + from, tail);
    m->size = at + tail;
}

static void mutate_once(struct rng *r, struct mutate_input *m, const struct mutate_plan *p)
{
    const size_t end = p->head && p->head < m->size ? p->head : m->size;
    if (end <= p->from)
        return;
    const size_t at = p->from + (size_t)rng_below(r, end - p->from);
    const size_t left = m->size - at;
    const size_t n = 1 + (size_t)rng_below(r, left < MAX_PIECE ? left : MAX_PIECE);
    const uint64_t kinds = p->head ? EXTREME + 1 : p->n_others ? BRING_TAIL + 1 : DOUBLE + 1;
    switch (rng_below(r, kinds)) {
    case FLIP_BIT:
        m->bytes[at] ^= (uint8_t)(1u << rng_below(r, 8));
        break;
    case NEW_BYTE:
        m->bytes[at] = new_byte(r, p);
        break;
    case EXTREME:
        memset(m->bytes + at, rng_below(r, 2) ? 0xff : 0, end - at < 4 ? end - at : 4);
        break;
    case CUT:
        memmove(m->bytes + at, m->bytes + at + n, left - n);
        m->size -= n;
        break;
    case DOUBLE:
        if (m->size + n > p->room)
            break;
        memmove(m->bytes + at + n, m->bytes + at, left);
        m->size += n;
        break;
    default:
        bring_tail(r, m, at, p);
        break;
    }
}

void mutate_some(struct rng *r, struct mutate_input *m, const struct mutate_plan *p)
{
    for (uint64_t changes = 1 + rng_below(r, MUTATE_CHANGES); changes > 0; changes--)
        mutate_once(r, m, p);
}

void mutate_run(const uint8_t *bytes, size_t size, mutate_target *target)
{
    uint8_t *exact = malloc(size + (size == 0));
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    (void)target(exact, size);
    free(exact);
}

void mutate_rounds(const uint8_t *seed,
                   size_t size,
                   const struct mutate_plan *p,
                   mutate_target *target)
{
    const struct rng_root root = {.seed = 1};
    struct rng r;
    assert_true(size > p->from && size <= p->room);
    uint8_t *bytes = malloc(p->room);
    assert_non_null(bytes);
    rng_init(&r, &root, p->stream, p->index);
    mutate_run(seed, size, target);
    for (unsigned round = 0; round < p->rounds; round++) {
        struct mutate_input m = {bytes, size};
        memcpy(bytes, seed, size);
        mutate_some(&r, &m, p);
        mutate_run(m.bytes, m.size, target);
    }
    free(bytes);
}
