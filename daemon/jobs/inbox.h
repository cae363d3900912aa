/*
 * Queue of calls for one consumer: bounded, first in first out, with an eventfd so that its owner
 * can sleep in poll together with other descriptors.  Any thread posts; one thread takes.
 */
#ifndef LETHE_JOBS_INBOX_H
#define LETHE_JOBS_INBOX_H

#include "daemon/base/status.h"
#include "daemon/serve/call.h"

struct inbox;

/* A call and what to do with it. */
struct inbox_item {
    call_handler *run;
    struct call *call;
};

enum status inbox_new(struct inbox **ret_inbox, struct fault *f) MUST_CHECK;
/* Fails what is still inside with UNAVAILABLE.  NULL allowed. */
void inbox_free(struct inbox *b);
/* Readable while something is inside or inbox_wake was called. */
int inbox_fd(const struct inbox *b);
/* RESOURCE_EXHAUSTED when full or UNAVAILABLE after inbox_close; the call stays the caller's. */
enum status inbox_post(struct inbox *b, struct inbox_item item) MUST_CHECK;
/* True and the oldest item, or false when empty (the descriptor is then drained). */
int inbox_take(struct inbox *b, struct inbox_item *ret_item);
/* Makes the descriptor readable without an item.  Async-signal-safe. */
void inbox_wake(struct inbox *b);
/* Refuses whatever comes from now on. */
void inbox_close(struct inbox *b);

#endif
