/*
 * Places of key files in the configuration: a path, or `credential:NAME` for the file of that name
 * among those that the service manager handed over (LoadCredential=, systemd.exec(5)).
 */
#ifndef LETHE_CONFIG_CREDENTIAL_H
#define LETHE_CONFIG_CREDENTIAL_H

#include "daemon/base/status.h"

#include <stddef.h>

/*
 * The path that `value` of key `field` means; a plain path is copied.  Opens nothing.
 * INVALID_ARGUMENT: a NAME with a slash, a leading dot or none at all, or a path longer than size;
 * FAILED_PRECONDITION: the service manager handed over no credentials.
 */
enum status credential_path(
    const char *value, const char *field, char *path, size_t size, struct fault *f) MUST_CHECK;

#endif
