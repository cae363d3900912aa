/*
 * Trying the door out: connects to an endpoint as a stranger would and tells whether it was let in.
 * Part of every start, because a transport without its handler lets everybody in and says nothing.
 */
#ifndef LETHE_SERVE_ZAP_CHECK_H
#define LETHE_SERVE_ZAP_CHECK_H

#include "daemon/serve/auth.h"

struct zap_door {
    const char *address;            /* as bound, with its real port */
    bool events;                    /* the socket there publishes */
    const struct curve_key *server; /* the daemon's public key; NULL: an ipc:// door without */
};

/*
 * At a door with keys: a random key and a peer without one must be refused, a key on trial let in;
 * at one without: this process must be refused and let in as the trial says.  INTERNAL: the door is
 * open to somebody who should be refused, or closed to somebody who should not, or does not answer
 * within two seconds; then nothing must be served.
 */
enum status zap_check(const struct zap_door *door, struct auth *auth, struct fault *f) MUST_CHECK;

#endif
