/*
 * Where the metrics listener is: `off`, an address of this machine alone (127.0.0.1:PORT,
 * [::1]:PORT) or the absolute path of a UNIX socket.  Figures about erasures are nobody's business
 * on a network, so every other address is refused.
 */
#ifndef LETHE_CONFIG_LISTEN_H
#define LETHE_CONFIG_LISTEN_H

#include "daemon/base/status.h"

#include <sys/socket.h>

#define LISTEN_PATH_SIZE 108 /* of sockaddr_un, NUL included */

enum listen_kind { LISTEN_OFF, LISTEN_LOOPBACK, LISTEN_UNIX };

struct listen {
    enum listen_kind kind;
    struct sockaddr_storage address; /* LISTEN_LOOPBACK */
    char path[LISTEN_PATH_SIZE];     /* LISTEN_UNIX */
};

/* INVALID_ARGUMENT names `field`; PERMISSION_DENIED: an address that others can reach. */
enum status listen_parse(const char *text,
                         const char *field,
                         struct listen *ret_listen,
                         struct fault *f) MUST_CHECK;

#endif
