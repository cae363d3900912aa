/*
 * Server: the ROUTER socket for calls and the XPUB socket for events (sockets.h), owned by one
 * thread.  It receives within the limits of proto/limits.h, asks who the peer is (auth.h), decodes,
 * checks role, phase and size by the dispatch table and hands the call to its handler; it sends
 * what other threads have finished.  Whatever is malformed is answered with an error that names
 * field and limit, and costs nobody else anything.
 *
 * Order: server_open, server_start, server_set_phase(SERVING) ... server_set_phase(DRAINING), the
 * handlers' side finishes its calls, server_stop, server_close.
 */
#ifndef LETHE_SERVE_SERVER_H
#define LETHE_SERVE_SERVER_H

#include "daemon/serve/auth.h"
#include "daemon/serve/dispatch.h"

#include <stdint.h>

struct server;

struct server_options {
    const char *endpoint;        /* addresses as in sockets.h, borrowed until server_close */
    const char *events_endpoint; /* another one */
    const char *local_endpoint;  /* NULL: none; then both */
    const char *local_events_endpoint;
    const struct curve_key *secret; /* of the daemon, for clients with keys; NULL: it has none */
    struct auth *auth;              /* taken over, also on failure; NULL: the daemon's user only */
    struct dispatch_table table;    /* rows borrowed */
    uint32_t drain_ms;              /* how long server_stop waits for answers to leave */
    size_t held_bytes_max;          /* raw frames of unanswered calls; 0: LIMIT_CALLS_BYTES */
};

/*
 * Binds the sockets and tries out that strangers are refused; nothing is received before
 * server_start.  INVALID_ARGUMENT: an endpoint that cannot be served, or tcp:// without a key;
 * ALREADY_EXISTS: another daemon serves there, or a file that is no socket is in the way;
 * NOT_FOUND: no such folder; INTERNAL: strangers are let in; IO_ERROR, NO_MEMORY.
 */
enum status server_open(const struct server_options *options,
                        struct server **ret_server,
                        struct fault *f) MUST_CHECK;
/* Starts the serve thread in phase STARTING.  `core` is passed to the handlers. */
enum status server_start(struct server *s, struct core *core, struct fault *f) MUST_CHECK;
/* Ends the thread after the answers already finished have been handed to the sockets. */
void server_stop(struct server *s);
/* After server_stop: server_close will not wait for peers that do not read.  NULL allowed. */
void server_forget_answers(struct server *s);
/*
 * Stops if needed, closes the sockets within drain_ms, removes the socket files and frees.  Calls
 * that are still unfinished may be finished later; they are then dropped.  NULL allowed.
 */
void server_close(struct server *s);

/* Any thread. */
void server_set_phase(struct server *s, enum server_phase phase);
enum server_phase server_get_phase(const struct server *s);

/*
 * Queues an event for the subscribers of its request; encoded before this returns.  Any thread,
 * never blocks.  When LIMIT_EVENT_QUEUE events wait, the oldest one with mere progress is dropped;
 * if all are changes of state, the oldest.  Events may be lost; the stored state is the truth.
 */
void server_publish(struct server *s, const struct wire_event *event);

/* Who may call; for the handlers of keys.  Lives as long as the server. */
struct auth *server_auth(struct server *s);
/*
 * After keys were revoked: ends all connections of the events socket, so that their owners
 * lose them.  Others come back by themselves.  Any thread; happens in the serve thread's next turn.
 */
void server_renew_events(struct server *s);

/* Turns of the serve loop so far (it turns at least once a second): the watchdog compares. */
uint64_t server_ticks(const struct server *s);

struct server_stats {
    uint64_t calls;                /* handed to a handler */
    uint64_t answers;              /* sent */
    uint64_t refused;              /* answered by the server itself with an error */
    uint64_t dropped;              /* answers whose peer was gone or did not read */
    uint64_t events;               /* published */
    uint64_t events_dropped;       /* lost in a full queue */
    uint64_t open_calls;           /* unanswered now */
    uint64_t open_bytes;           /* their raw frames */
    uint64_t denied[AUTH_DENIALS]; /* by reason: auth_denial_name */
};
/* Any thread; each figure is exact, together they are a snapshot at about the same time. */
void server_stats(const struct server *s, struct server_stats *ret_stats);

#endif
