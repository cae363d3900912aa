/*
 * The entries of one change: appended to the log in the change's own transaction, one checkpoint
 * over all of them signed at the end.  So whatever was committed is in a signed head, and a receipt
 * that is handed out afterwards verifies at once.
 *
 * Times never run backwards: if the clock of a change is behind the newest entry, its entries get
 * that entry's time and say "clock held".
 *
 * A batch lives inside one run of a kv_update function and is made anew in each.
 */
#ifndef LETHE_STORAGE_LOG_BATCH_H
#define LETHE_STORAGE_LOG_BATCH_H

#include "daemon/base/status.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/sign.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

struct log_batch {
    struct kv_txn *txn;
    const struct sign_key *key;     /* NULL: the log has not begun; nothing can be added */
    const struct sign_key *old_key; /* signs as well: the head in which the key is rolled */
    const char *actor;              /* text of an actor (log_value.h) */
    int64_t now_us;
    uint64_t size; /* entries of the log, once n is above 0 */
    uint64_t n;    /* added */
    int64_t last_us;
};

/* `text` if it is an actor (proto/seal/log_value.h); NULL: the daemon; else a local user. */
const char *log_actor_of(const char *text);
/* Actor: as log_actor_of. */
struct log_batch
log_batch_make(struct kv_txn *txn, const struct sign_key *key, const char *actor, int64_t now_us);
/*
 * Appends one entry and gives its index (ret_index may be NULL).  FAILED_PRECONDITION: there is no
 * key; INVALID_ARGUMENT as log_entry_write; DATA_LOSS: the log is damaged.
 */
enum status log_batch_add(struct log_batch *b,
                          enum log_kind kind,
                          const struct log_value *values,
                          size_t n_values,
                          uint64_t *ret_index,
                          struct fault *f) MUST_CHECK;
/*
 * Signs the head, if something was added.  DATA_LOSS: the log does not continue the head that was
 * signed last; such a head is never signed.
 */
enum status log_batch_sign(struct log_batch *b, struct fault *f) MUST_CHECK;

#endif
