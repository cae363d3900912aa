#include "daemon/serve/slots.h"

#include "daemon/base/invariant.h"

#include <string.h>

static bool same_route(const struct route *a, const struct route *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static size_t count_peer(const struct slots *s, const struct route *route)
{
    size_t n = 0;
    for (size_t i = 0; i < LIMIT_CALLS; i++)
        n += s->at[i].used && same_route(&s->at[i].route, route);
    return n;
}

enum status slots_take(
    struct slots *s, const struct route *route, size_t bytes, size_t *ret_slot, struct fault *f)
{
    if (count_peer(s, route) >= LIMIT_CALLS_PER_PEER)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL,
             "%u calls of this client are unanswered, the limit", LIMIT_CALLS_PER_PEER);
    if (s->n == LIMIT_CALLS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "%u calls are unanswered, the limit", LIMIT_CALLS);
    if (bytes > s->bytes_max - s->bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "unanswered calls hold %zu bytes, at most %zu",
             s->bytes, s->bytes_max);
    size_t i = 0;
    while (s->at[i].used)
        i++;
    INVARIANT(i < LIMIT_CALLS);
    s->at[i] = (struct slot){.used = true, .route = *route, .bytes = bytes};
    s->n++;
    s->bytes += bytes;
    *ret_slot = i;
    return STATUS_OK;
}

void slots_give(struct slots *s, size_t slot)
{
    if (slot == NO_SLOT)
        return;
    INVARIANT(slot < LIMIT_CALLS && s->at[slot].used);
    s->n--;
    s->bytes -= s->at[slot].bytes;
    s->at[slot].used = false;
}
