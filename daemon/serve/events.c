#include "daemon/serve/events.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <pthread.h>
#include <string.h>

#define ENCODE_ARENA_BYTES (LIMIT_EVENT_BYTES + 32768u)

struct events {
    pthread_mutex_t lock;
    size_t max;
    size_t n;
    struct event **items; /* oldest first */
};

enum status events_new(size_t max, struct events **ret_events, struct fault *f)
{
    INVARIANT(max > 0);
    struct events *q = sysio_alloc(1, sizeof *q);
    struct event **items = sysio_alloc(max, sizeof *items);
    if (!q || !items) {
        sysio_free(q);
        sysio_free(items);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the queue of events");
    }
    INVARIANT(pthread_mutex_init(&q->lock, NULL) == 0);
    q->max = max;
    q->items = items;
    *ret_events = q;
    return STATUS_OK;
}

void events_free(struct events *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n; i++)
        event_free(q->items[i]);
    INVARIANT(pthread_mutex_destroy(&q->lock) == 0);
    sysio_free(q->items);
    sysio_free(q);
}

void event_free(struct event *e)
{
    sysio_free(e);
}

/* NULL if there is no memory or the event breaks a limit: events may be lost. */
static struct event *encode(const struct wire_event *m)
{
    unsigned char memory[ENCODE_ARENA_BYTES];
    struct arena arena;
    struct event *e = NULL;
    const uint8_t *bytes;
    size_t size;
    arena_init(&arena, memory, sizeof memory);
    if (wire_event_encode(m, &arena, &bytes, &size, NULL) == STATUS_OK)
        e = sysio_alloc(1, sizeof *e + size);
    if (e) {
        e->progress = m->progress != NULL;
        wire_topic_format(&m->request_id, e->topic);
        e->size = size;
        memcpy(e->bytes, bytes, size);
    }
    arena_fini(&arena);
    return e;
}

/* Makes room by losing the oldest progress, or the oldest event if there is none. */
static void drop_one(struct events *q)
{
    size_t victim = 0;
    for (size_t i = 0; i < q->n; i++)
        if (q->items[i]->progress) {
            victim = i;
            break;
        }
    event_free(q->items[victim]);
    q->n--;
    memmove(&q->items[victim], &q->items[victim + 1], (q->n - victim) * sizeof *q->items);
}

void events_push(struct events *q, const struct wire_event *m, size_t *ret_lost)
{
    struct event *e = encode(m);
    *ret_lost = 1;
    if (!e)
        return;
    INVARIANT(pthread_mutex_lock(&q->lock) == 0);
    const bool full = q->n == q->max;
    if (full)
        drop_one(q);
    q->items[q->n++] = e;
    INVARIANT(pthread_mutex_unlock(&q->lock) == 0);
    *ret_lost = full ? 1 : 0;
}

struct event *events_take(struct events *q)
{
    INVARIANT(pthread_mutex_lock(&q->lock) == 0);
    struct event *e = NULL;
    if (q->n > 0) {
        e = q->items[0];
        q->n--;
        memmove(&q->items[0], &q->items[1], q->n * sizeof *q->items);
    }
    INVARIANT(pthread_mutex_unlock(&q->lock) == 0);
    return e;
}
