/*
 * Small text files that hold keys: read with a look at who else may read them, written whole and
 * durably or not at all.
 *
 * The file of a secret is for its owner alone (mode 0600 or less); one that others can read is
 * refused, because then it is no secret any more.  Files of the service manager's credentials
 * folder
 * ($CREDENTIALS_DIRECTORY) may be readable for the group: there the group bits are the mask of an
 * access list.  Faults name the file and never quote it.
 */
#ifndef LETHE_PROTO_SEAL_KEY_FILE_H
#define LETHE_PROTO_SEAL_KEY_FILE_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <sys/types.h>

#define KEY_FILE_MAX 4096

/*
 * The whole file, without a NUL; the caller wipes a secret.  NOT_FOUND, PERMISSION_DENIED (not
 * allowed to read it; of a secret: others may), RESOURCE_EXHAUSTED (KEY_FILE_MAX bytes or more) and
 * other errors of reading.
 */
enum status key_file_read(const char *path,
                          int secret,
                          char text[KEY_FILE_MAX],
                          size_t *ret_n,
                          struct fault *f) MUST_CHECK;
/* A new file of this mode; one that is there is never touched: ALREADY_EXISTS. */
enum status
key_file_write_new(const char *path, mode_t mode, const char *text, struct fault *f) MUST_CHECK;

#endif
