/*
 * Endpoint: the file behind an ipc:// address.  Claiming one takes a lock on PATH.lock for as long
 * as the claim lives, and removes a socket that a dead daemon left; so two daemons cannot serve on
 * one path, and libzmq, which replaces whatever it finds, never takes a living daemon's socket.
 */
#ifndef LETHE_SERVE_ENDPOINT_H
#define LETHE_SERVE_ENDPOINT_H

#include "daemon/base/status.h"

#define ENDPOINT_PATH_SIZE 108 /* of sockaddr_un, NUL included */

struct endpoint {
    char path[ENDPOINT_PATH_SIZE];
    int lock_fd; /* -1: not claimed */
};

/*
 * Parses and claims.  `field` names the address in errors.  INVALID_ARGUMENT: not ipc:// with an
 * absolute path that fits a socket address; ALREADY_EXISTS: a daemon serves there, or something
 * that is no socket is in the way; NOT_FOUND, PERMISSION_DENIED, IO_ERROR: the folder cannot be
 * used. *ret_endpoint is valid (and must be released) only on success.
 */
enum status endpoint_claim(const char *address,
                           const char *field,
                           struct endpoint *ret_endpoint,
                           struct fault *f) MUST_CHECK;
/* Opens the bound socket to owner and group: 0660. */
enum status endpoint_open_to_group(const struct endpoint *e, struct fault *f) MUST_CHECK;
/* Removes the socket file, if it is still there, and gives up the claim.  Twice is harmless. */
void endpoint_release(struct endpoint *e);

#endif
