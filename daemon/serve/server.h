/*
 * Server: the ROUTER socket for calls and the XPUB socket for events, owned by one thread.  It
 * receives within the limits of proto/limits.h, decodes, checks role, phase and size by the
 * dispatch table and hands the call to its handler; it sends what other threads have finished.
 * Whatever is malformed is answered with an error that names field and limit, and costs nobody
 * else anything.  The only user of zmq.h on the daemon's side.
 *
 * Sockets are files (ipc://), mode 0660.  A lock file beside the socket (".lock") says that a
 * daemon lives; a socket without a living daemon is replaced.  tcp:// needs CURVE and is refused.
 *
 * Order: server_open, server_start, server_set_phase(SERVING) ... server_set_phase(DRAINING), the
 * handlers' side finishes its calls, server_stop, server_close.
 */
#ifndef LETHE_SERVE_SERVER_H
#define LETHE_SERVE_SERVER_H

#include "daemon/serve/dispatch.h"

#include <stdint.h>

struct server;

struct server_options {
    const char *endpoint;        /* ipc://PATH; both addresses are borrowed by server_open alone */
    const char *events_endpoint; /* ipc://PATH, another one */
    struct dispatch_table table; /* rows borrowed */
    uint32_t drain_ms;           /* how long server_stop waits for answers to leave */
    unsigned roles;              /* of every local peer; 0: ROLE_ANY */
    size_t held_bytes_max;       /* raw frames of unanswered calls; 0: LIMIT_CALLS_BYTES */
};

/*
 * Binds both sockets; nothing is received before server_start.  INVALID_ARGUMENT: an endpoint that
 * is not a usable ipc:// path; UNIMPLEMENTED: tcp://; ALREADY_EXISTS: another daemon serves there,
 * or a file that is no socket is in the way; NOT_FOUND: no such folder; IO_ERROR, NO_MEMORY.
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

/* Turns of the serve loop so far (it turns at least once a second): the watchdog compares. */
uint64_t server_ticks(const struct server *s);

struct server_stats {
    uint64_t calls;          /* handed to a handler */
    uint64_t answers;        /* sent */
    uint64_t refused;        /* answered by the server itself with an error */
    uint64_t dropped;        /* answers whose peer was gone or did not read */
    uint64_t events;         /* published */
    uint64_t events_dropped; /* lost in a full queue */
    uint64_t open_calls;     /* unanswered now */
    uint64_t open_bytes;     /* their raw frames */
};
/* Any thread; each figure is exact, together they are a snapshot at about the same time. */
void server_stats(const struct server *s, struct server_stats *ret_stats);

#endif
