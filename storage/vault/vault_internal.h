/* What the files of storage/vault share. */
#ifndef LETHE_STORAGE_VAULT_INTERNAL_H
#define LETHE_STORAGE_VAULT_INTERNAL_H

#include "storage/vault/data_keys.h"
#include "storage/vault/key_store.h"
#include "storage/vault/vault.h"

#include <pthread.h>

#define VAULT_MAGIC       0x7661756cu
#define VAULT_CACHE_SLOTS 64u
#define VAULT_NAME_MAX    24

/* All that is derived from one KEK. */
struct epoch_keys {
    uint64_t epoch;
    struct seal_key wrap;
    struct seal_key secret;
    struct kv_keys kv;
};

struct cached_key {
    int used;
    uint8_t name[DATA_KEY_NAME_SIZE];
    struct seal_key key;
};

/* In locked memory. */
struct vault_secrets {
    struct epoch_keys now;
    struct epoch_keys next; /* while a rotation runs */
    struct cached_key cache[VAULT_CACHE_SLOTS];
};

/*
 * `secrets->now` changes only while nobody else has a transaction (kv_exclusive), so a transaction
 * reads it without a lock.  The cache has a lock of its own.
 */
struct vault {
    uint32_t magic;
    struct kv *kv;
    struct key_store store;
    struct vault_secrets *secrets;
    pthread_mutex_t cache_lock;
};

void vault_derive(const struct seal_key *kek,
                  const struct request_id *identity,
                  uint64_t epoch,
                  struct epoch_keys *ret_keys);

/* Numbers in "meta"; 0 if absent.  Value 0 deletes the record. */
enum status
vault_get_number(struct kv_txn *txn, const char *name, uint64_t *ret_x, struct fault *f) MUST_CHECK;
enum status
vault_put_number(struct kv_txn *txn, const char *name, uint64_t x, struct fault *f) MUST_CHECK;

/* Writes "epoch" and "kek-check", and every secret sealed anew (from NULL: there is none yet). */
enum status vault_put_epoch(struct kv_txn *txn,
                            const struct epoch_keys *from,
                            const struct epoch_keys *to,
                            struct fault *f) MUST_CHECK;
/* Wraps every data key anew. */
enum status data_keys_rewrap(struct kv_txn *txn,
                             const struct epoch_keys *from,
                             const struct epoch_keys *to,
                             uint64_t *ret_n,
                             struct fault *f) MUST_CHECK;

#endif
