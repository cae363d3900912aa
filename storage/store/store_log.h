/*
 * The log of a store: its origin, its key, its beginning.  Entries are written by changes
 * (store.h); this file makes sure that they are signed, by the right key, under one name for ever.
 *
 * Origin: the name of the log in its checkpoints, that of the first key it was begun with; kept in
 * the meta record "log-origin" and never changed.  Keys that follow have the same name.
 *
 * The first entry is log.started with the verifier key.  A store that is older than its log goes
 * on with log.adopted (old_events.h) and with its serving pointer as it stands.
 *
 * Rolling the key: begin with the new key and the old one.  key.rolled is the last entry under the
 * old key; the checkpoint that first holds it has the signatures of both, so that whoever trusts
 * the old key can go on from there to the new one.
 */
#ifndef LETHE_STORAGE_STORE_LOG_H
#define LETHE_STORAGE_STORE_LOG_H

#include "daemon/base/status.h"
#include "proto/seal/sign.h"
#include "storage/store/store.h"

#include <stddef.h>
#include <stdint.h>

/* Name of the log on record; "" if it has not begun yet. */
enum status
store_log_origin(struct store *s, char ret_origin[SIGN_NAME_SIZE], struct fault *f) MUST_CHECK;

/* What beginning did. */
struct store_log_begun {
    int started;      /* the log is new */
    uint64_t adopted; /* events that it found there */
    int rolled;       /* the key was changed */
};

/*
 * Gives the store the key of its log, which it owns from then on (on failure as well); `old_key`
 * (NULL: none) stays the caller's.  To be called once, before any change.  FAILED_PRECONDITION,
 * field "log_key": the key has another name than the log, or is not the one that signed it last
 * (nor is the old key); DATA_LOSS: the newest checkpoint is not that of the log's head.
 */
enum status store_log_begin(struct store *s,
                            struct sign_key *key,
                            const struct sign_key *old_key,
                            int64_t now_us,
                            struct store_log_begun *ret_begun,
                            struct fault *f) MUST_CHECK;
/* The verifier key; NULL before store_log_begin.  Borrowed. */
const struct sign_vkey *store_log_vkey(const struct store *s);

#endif
