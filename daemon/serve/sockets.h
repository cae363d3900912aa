/*
 * Sockets: the server's transport.  One ROUTER for calls and one XPUB for events, each bound to at
 * most two places: `endpoint`, which is encrypted (CURVE) if the daemon has a key, and
 * `local_endpoint`, for users of this machine without one.  Options of libzmq hold for what is
 * bound after they are set, so the place with keys comes first.
 *
 * Order: handler of authentication, sockets, binding, self-test at every place.  Owned by the
 * thread of server_open and server_close, by the serve thread between server_start and server_stop.
 *
 * ipc:// places are files of mode 0660 with a lock beside them (endpoint.h); tcp:// needs a key.
 */
#ifndef LETHE_SERVE_SOCKETS_H
#define LETHE_SERVE_SOCKETS_H

#include "daemon/serve/auth.h"
#include "daemon/serve/endpoint.h"
#include "daemon/serve/zap.h"

#include <stdint.h>

struct sockets_options {
    const char *endpoint; /* addresses are borrowed until sockets_close */
    const char *events_endpoint;
    const char *local_endpoint; /* NULL: none */
    const char *local_events_endpoint;
    const struct curve_key *secret; /* of the daemon, copied; NULL: it has no key */
    struct auth *auth;              /* borrowed */
    uint32_t drain_ms;
};

#define SOCKETS_PLACES 2
#define ADDRESS_SIZE   300

struct sockets {
    struct sockets_options options;
    struct curve_key *secret; /* locked memory; NULL: none */
    void *context;
    void *router;
    void *publisher;
    struct zap *zap;
    struct endpoint request_files[SOCKETS_PLACES];
    struct endpoint event_files[SOCKETS_PLACES];
    char addresses[2][SOCKETS_PLACES][ADDRESS_SIZE]; /* as bound: calls, events */
};

/*
 * Opens in *s, which sockets_close takes in whatever state this leaves.  INVALID_ARGUMENT: an
 * address that cannot be served, or tcp:// without a key (names the option at fault);
 * ALREADY_EXISTS, NOT_FOUND, PERMISSION_DENIED, IO_ERROR as endpoint.h and the system say;
 * INTERNAL: the self-test of authentication failed.
 */
enum status
sockets_open(struct sockets *s, const struct sockets_options *options, struct fault *f) MUST_CHECK;
/*
 * Ends every connection of the events socket by making it anew; clients connect again by
 * themselves and are asked who they are.  On failure there are no events until it works again
 * (the publisher is NULL).
 */
enum status sockets_renew_publisher(struct sockets *s, struct fault *f) MUST_CHECK;
/* sockets_close will not wait for peers that do not read. */
void sockets_forget(struct sockets *s);
/* Once. */
void sockets_close(struct sockets *s);

#endif
