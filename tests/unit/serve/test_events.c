/* Events: the queue keeps order, and what it loses when it is full is progress first, oldest first.
 */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "daemon/serve/events.h"
#include "proto/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 4

static void push(struct events *q, int64_t at, int progress, size_t want_lost)
{
    const struct wire_progress p = {.phase = "train", .epoch = 3};
    struct wire_event m = {.state = "running", .at = at, .progress = progress ? &p : NULL};
    m.request_id.b[0] = 5;
    size_t lost = 99;
    events_push(q, &m, &lost);
    assert_int_equal(lost, want_lost);
}

/* Time of the oldest event, or -1. */
static int64_t take(struct events *q)
{
    static unsigned char memory[LIMIT_EVENT_BYTES * 4];
    struct event *e = events_take(q);
    if (!e)
        return -1;
    struct arena arena;
    const struct wire_event *m;
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(wire_event_decode(e->bytes, e->size, &arena, &m, NULL), STATUS_OK);
    assert_int_equal(e->progress, m->progress != NULL);
    assert_string_equal(e->topic, "request.05000000-0000-0000-0000-000000000000");
    const int64_t at = m->at;
    arena_fini(&arena);
    event_free(e);
    return at;
}

void test_events_keep_their_order(void **state)
{
    (void)state;
    struct events *q;
    assert_int_equal(events_new(ROOM, &q, NULL), STATUS_OK);
    assert_int_equal(take(q), -1);
    for (int64_t i = 1; i <= ROOM; i++)
        push(q, i, i % 2 == 0, 0);
    for (int64_t i = 1; i <= ROOM; i++)
        assert_int_equal(take(q), i);
    assert_int_equal(take(q), -1);
    push(q, 7, 0, 0);
    events_free(q);
    events_free(NULL);
}

void test_events_a_full_queue_loses_progress_first(void **state)
{
    (void)state;
    struct events *q;
    assert_int_equal(events_new(ROOM, &q, NULL), STATUS_OK);
    push(q, 1, 0, 0);
    push(q, 2, 1, 0);
    push(q, 3, 0, 0);
    push(q, 4, 1, 0);
    push(q, 5, 0, 1); /* loses 2 */
    push(q, 6, 0, 1); /* loses 4 */
    push(q, 7, 0, 1); /* no progress left: loses 1 */
    assert_int_equal(take(q), 3);
    assert_int_equal(take(q), 5);
    assert_int_equal(take(q), 6);
    assert_int_equal(take(q), 7);
    assert_int_equal(take(q), -1);
    events_free(q);
}

void test_events_of_the_largest_size_and_beyond(void **state)
{
    (void)state;
    struct events *q;
    float *norms = calloc(LIMIT_GROUPS + 1, sizeof *norms);
    assert_non_null(norms);
    for (size_t i = 0; i <= LIMIT_GROUPS; i++)
        norms[i] = 1.5f;
    struct wire_progress p = {.phase = "train", .group_norms = norms};
    const struct wire_event m = {.state = "running", .progress = &p};
    size_t lost;
    assert_int_equal(events_new(ROOM, &q, NULL), STATUS_OK);
    p.n_group_norms = LIMIT_GROUPS;
    events_push(q, &m, &lost);
    assert_int_equal(lost, 0);
    p.n_group_norms = LIMIT_GROUPS + 1;
    events_push(q, &m, &lost);
    assert_int_equal(lost, 1);
    events_free(q);
    free(norms);
}

void test_events_survive_a_shortage_of_memory(void **state)
{
    (void)state;
    struct events *q;
    struct fault f = {0};
    for (uint64_t n = 1; n <= 2; n++) {
        sysio_fail_at(SYSIO_ALLOC, n, 1, ENOMEM);
        assert_int_equal(events_new(ROOM, &q, &f), STATUS_NO_MEMORY);
    }
    sysio_fail_at(SYSIO_ALLOC, 0, 0, 0);
    assert_int_equal(events_new(ROOM, &q, NULL), STATUS_OK);
    sysio_fail_at(SYSIO_ALLOC, 1, 1, ENOMEM);
    push(q, 1, 0, 1);
    sysio_fail_at(SYSIO_ALLOC, 0, 0, 0);
    push(q, 2, 0, 0);
    assert_int_equal(take(q), 2);
    events_free(q);
}
