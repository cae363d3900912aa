/*
 * Whose signatures a checkpoint must carry, and the check.
 *
 * One good line by any of the log's keys is needed (several keys: the log's key was changed), and
 * good lines by `need` of the witnesses.  A line by a key that was given and that is false refuses
 * the checkpoint whatever else it carries.
 *
 * Lines of keys that nobody gave: unless ignore_unknown is set they are not passed over, because a
 * damaged line of a known key looks like one of an unknown key.  If every key that was given has
 * its line, there is only no verdict; if one lacks its line, the checkpoint is refused.
 *
 * Plain values, borrowed.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_SIGNERS_H
#define LETHE_PROTO_SEAL_SIGNERS_H

#include "daemon/base/status.h"
#include "proto/seal/note.h"
#include "proto/seal/sign.h"

#include <stddef.h>
#include <stdint.h>

struct signers {
    const struct sign_vkey *logs; /* type SIGN_LOG, at least one */
    size_t n_logs;
    const struct sign_vkey *witnesses; /* type SIGN_WITNESS */
    size_t n_witnesses;
    size_t need; /* of the witnesses */
    int ignore_unknown;
};

/* What was found beside the log's own line. */
struct signers_seen {
    size_t n_witnesses;     /* good lines of witnesses that were given */
    int64_t newest_seconds; /* unix time of the newest of them; -1 if there is none */
    size_t n_unknown;       /* lines of other keys */
};

/*
 * DATA_LOSS: the checkpoint is refused.  FAILED_PRECONDITION: no verdict; witnesses are missing, or
 * lines of unknown keys are there beside the good ones.
 */
enum status signers_check(const struct signers *signers,
                          const struct note *note,
                          struct signers_seen *ret_seen,
                          struct fault *f) MUST_CHECK;

#endif
