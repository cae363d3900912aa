/*
 * Keys of clients that came or went, on record: an entry key.added or key.revoked of the log for
 * each, with the key's fingerprint, its roles and the administrator, or the daemon itself where the
 * folder was read again.  Names of clients are not in it.  Core thread.
 */
#ifndef LETHE_JOBS_KEY_CHANGES_H
#define LETHE_JOBS_KEY_CHANGES_H

#include "daemon/base/status.h"
#include "daemon/jobs/core.h"
#include "daemon/serve/auth.h"

/*
 * Records changes that have taken effect (actor NULL: found in the folder) and, if a key went,
 * ends the connections that receive events.  Errors of store_commit; the changes hold nevertheless.
 */
enum status key_changes_record(struct core *core,
                               const struct auth_change *changes,
                               size_t n,
                               const char *actor,
                               struct fault *f) MUST_CHECK;
/* Reads the folder of clients again and records what changed; errors of auth_reload too. */
enum status key_changes_reload(struct core *core, struct fault *f) MUST_CHECK;

#endif
