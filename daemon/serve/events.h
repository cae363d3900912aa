/*
 * Events on their way from the threads that cause them to the serve thread that sends them: a
 * bounded queue of encoded messages.  Full, it loses progress before it loses changes of state, and
 * old before new.  Every function may be called from any thread.
 */
#ifndef LETHE_SERVE_EVENTS_H
#define LETHE_SERVE_EVENTS_H

#include "proto/wire.h"

#include <stdbool.h>

/* One encoded event; owned by whoever took it (event_free). */
struct event {
    bool progress; /* no change of state */
    char topic[WIRE_TOPIC_SIZE];
    size_t size;
    uint8_t bytes[];
};

struct events;

enum status events_new(size_t max, struct events **ret_events, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void events_free(struct events *q);
/* Encodes and queues; *ret_lost says how many events were dropped (this one included). */
void events_push(struct events *q, const struct wire_event *m, size_t *ret_lost);
/* The oldest, or NULL. */
struct event *events_take(struct events *q);
void event_free(struct event *e);

#endif
