#include "daemon/config/credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "credential:"

/* A file name of its own: it must not lead out of the folder. */
static int is_name(const char *s)
{
    return s[0] != '\0' && s[0] != '.' && !strchr(s, '/');
}

enum status
credential_path(const char *value, const char *field, char *path, size_t size, struct fault *f)
{
    const char *folder = "";
    const char *name = value;
    const int handed = strncmp(value, PREFIX, strlen(PREFIX)) == 0;
    if (handed) {
        name = value + strlen(PREFIX);
        folder = getenv("CREDENTIALS_DIRECTORY");
        if (!is_name(name))
            FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.64s\" names no credential", value);
        if (!folder || folder[0] != '/')
            FAIL(f, STATUS_FAILED_PRECONDITION, field,
                 "%.64s: the service manager handed over no credentials (LoadCredential=)", value);
    }
    const int n = snprintf(path, size, "%s%s%s", folder, handed ? "/" : "", name);
    if (n < 0 || (size_t)n >= size)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "a path of %d bytes, at most %zu", n, size - 1);
    return STATUS_OK;
}
