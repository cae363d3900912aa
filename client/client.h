/*
 * The connection behind struct lethe: one DEALER socket for calls, one SUB socket for events.
 * client.c is the only user of ZeroMQ on this side.  One thread at a time.
 *
 * A call is [envelope][raw frames] and has one answer [reply][raw frames] with the same request id;
 * answers with another id are late ones to calls that were given up, and are dropped.  A message
 * leaves only over a standing connection (ZMQ_IMMEDIATE), so "cannot be reached" and "did not
 * answer" are told apart.
 */
#ifndef LETHE_CLIENT_CLIENT_H
#define LETHE_CLIENT_CLIENT_H

#include "client/lethe.h"
#include "client/result.h"
#include "proto/wire.h"

#include <stdbool.h>

struct client_call {
    /* In.  A zero request id is replaced by a fresh one; frame sizes are filled in from `raw`. */
    struct wire_envelope envelope;
    const struct wire_bytes *raw; /* raw frames to send, borrowed */
    size_t n_raw;
    uint32_t timeout_ms; /* all attempts together; 0: the connection's own */
    uint32_t attempts;   /* 0: the connection's own */
    enum wire_answer expects;

    /* Out, in the arena of the result. */
    const struct wire_reply *reply;
    const struct wire_bytes *answer_raw;
    size_t n_answer_raw;
};

/*
 * Sends and waits for the answer; everything lives in r.  Same id on every attempt.
 * An error that the daemon sent is a failure of the call (origin LETHE_FROM_DAEMON).
 */
enum lethe_code client_call(struct lethe *l,
                            struct client_call *c,
                            struct result *r,
                            struct lethe_error *e) LETHE_CALL;

/* While a watch is set, client_call also takes events from the SUB socket and hands them over. */
struct client_watch {
    lethe_event_fn *function;
    void *context;
    uint64_t seen; /* events handed over */
    bool stopped;  /* the function returned false: client_call ends with LETHE_CANCELLED */
};
/* NULL takes it away.  Borrowed. */
void client_set_watch(struct lethe *l, struct client_watch *watch);

/* The time-out for calls that read or check much. */
uint32_t client_slow_timeout_ms(const struct lethe *l);
/* True once any call on this connection was answered. */
bool client_was_answered(const struct lethe *l);

#endif
