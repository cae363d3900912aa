/*
 * The vault of a store: which keys stand behind its bytes.  Opened on a kv before anything else
 * reads it; from then on every value of a sealed database and every chunk is under its keys.
 *
 *   KEK of the epoch (key_store.h, outside the database)
 *    |- record key, index key       sealed and veiled databases (kv/schema.h)
 *    |- secret key                  the store's own secrets, below
 *    '- wrap key
 *        '- data key of an extent   (data_keys.h) -> chunk key -> chunks (blobs/chunk.h)
 * Each is derived with seal_key_derive, context = identity of the store.
 *
 * In the database "meta" (always readable):
 *   "epoch"      u64, from 1; the KEK of this epoch is the one that opens everything
 *   "kek-check"  sealed zero bytes: tells a wrong KEK from damage
 *   "secret-NAME" 32 sealed bytes, made when first asked for; they outlive epochs
 *   "dead-keys"  u64: data keys deleted since the epoch began; over 0, a rotation has work to do
 *   "shredding"  u64: an epoch whose KEK has to be destroyed; absent once that was seen to be done
 *   "shredding-keys" u64: data keys that die with it
 *   "unsealed"   u64 = 1: chunks, or pages, from before encryption are there
 * (store/store_upgrade.c)
 *
 * Start: the epoch in the database decides.  Its KEK must be there (a fatal, named error); every
 * other KEK of this store is a leftover of a rotation that was cut off and is destroyed.
 *
 * Threads: any, like the kv.  Keys are in locked memory and wiped at close.
 */
#ifndef LETHE_STORAGE_VAULT_H
#define LETHE_STORAGE_VAULT_H

#include "daemon/base/status.h"
#include "proto/seal/aead.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

struct vault;

/*
 * Opens the vault of an open kv, making it in a store that has none: records are sealed in the
 * same transaction; chunks are the caller's (vault_unsealed).  kek_folder NULL or "": the store's
 * folder followed by ".keys".  Errors: FAILED_PRECONDITION (field "kek": the epoch's key is absent
 * or another store's; "kek_folder"), DATA_LOSS, and those of kv_update.
 */
enum status vault_open(struct kv *kv,
                       const char *kek_folder,
                       struct vault **ret_vault,
                       struct fault *f) MUST_CHECK;
/* NULL allowed.  No transaction may be open; the kv reads as stored from then on. */
void vault_close(struct vault *v);
/* The vault of the kv behind a transaction; one must be open (INVARIANT). */
struct vault *vault_of(const struct kv_txn *txn);

struct vault_state {
    uint64_t epoch;
    uint64_t dead_keys;
    uint64_t data_keys;
    uint64_t shredding; /* 0: no KEK waits to be destroyed */
    uint64_t shredding_keys;
    const char *backend;
};

enum status
vault_state(struct kv_txn *txn, struct vault_state *ret_state, struct fault *f) MUST_CHECK;

/*
 * A secret of the store by name (1 to 24 bytes), made if it is new; a write transaction is needed
 * only then.  NOT_FOUND in a read transaction if it was never made.
 */
enum status vault_secret(struct kv_txn *txn,
                         const char *name,
                         struct seal_key *ret_secret,
                         struct fault *f) MUST_CHECK;

/* Is anything from before encryption in the file?  vault_sealed says that the last of it is gone.
 */
enum status vault_unsealed(struct kv_txn *txn, int *ret_unsealed, struct fault *f) MUST_CHECK;
enum status vault_sealed(struct kv_txn *txn, struct fault *f) MUST_CHECK;

/*
 * Data keys that were opened stay in memory until the next rotation, a bounded number of them;
 * this forgets them now.
 */
void vault_forget_keys(struct vault *v);

#endif
