/*
 * Epoch rotation: makes true that what was deleted is unreadable, also in stale pages of the
 * database and in copies of it made before.
 *
 *   begin    a KEK for epoch e+1 is put beside that of e (durable)
 *   switch   one transaction: every living data key wrapped again, every sealed database, every
 *            secret and the index sealed anew, "epoch" = e+1, "shredding" = e, "dead-keys" gone
 *   destroy  the KEK of e is overwritten, unlinked, its absence looked up
 *   done     "shredding" goes, in the transaction that writes the entry shred.done (the caller's)
 *
 * A crash before the switch leaves a KEK that opens nothing: destroyed at the next start, nothing
 * else has happened.  After it, the old KEK opens nothing that lives: destroyed at the next start
 * (vault_open), and whoever starts the daemon finishes with done, as "shredding" is still set.
 *
 * The switch needs the store for itself (kv_exclusive), for about 2 s a million data keys.
 */
#ifndef LETHE_STORAGE_ROTATION_H
#define LETHE_STORAGE_ROTATION_H

#include "daemon/base/status.h"
#include "storage/vault/vault.h"

#include <stdint.h>

struct rotation_result {
    uint64_t epoch; /* the new one */
    uint64_t keys;  /* that were wrapped again */
    uint64_t dead;  /* that were left behind */
};

/*
 * Begin, switch, destroy.  On failure before the switch nothing has changed and the new KEK is gone
 * (or goes at the next start).  If only the destruction fails, the store goes on in the new epoch,
 * the status is that failure and "shredding" stays set: rotation_destroy tries again.
 */
enum status
rotation_run(struct vault *v, struct rotation_result *ret_result, struct fault *f) MUST_CHECK;
/* Destroys every KEK but the epoch's; *ret_epoch is the one that "shredding" names, 0: none. */
enum status rotation_destroy(struct vault *v, uint64_t *ret_epoch, struct fault *f) MUST_CHECK;
/* Part of the transaction that records the end: nothing waits to be destroyed any more. */
enum status rotation_done(struct kv_txn *txn, struct fault *f) MUST_CHECK;

#endif
