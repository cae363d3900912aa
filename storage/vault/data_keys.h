/*
 * Data keys: one for each extent, under the extent's random name.  Deleting the row is what erases
 * the content; the next rotation makes that true for stale pages and old copies as well.
 *
 * Row (database "keys", key = extent name 16): the data key wrapped by the epoch's wrap key, 72
 * bytes (proto/seal/aead.h); place = extent name 16 | u64 epoch, little-endian.
 */
#ifndef LETHE_STORAGE_DATA_KEYS_H
#define LETHE_STORAGE_DATA_KEYS_H

#include "daemon/base/status.h"
#include "proto/seal/aead.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define DATA_KEY_NAME_SIZE 16

/* A fresh key for an extent that has none yet. */
enum status data_key_make(struct kv_txn *txn,
                          const uint8_t name[DATA_KEY_NAME_SIZE],
                          struct seal_key *ret_key,
                          struct fault *f) MUST_CHECK;
/* NOT_FOUND (fault untouched): no such key, it was deleted; DATA_LOSS: the row does not open. */
enum status data_key_get(struct kv_txn *txn,
                         const uint8_t name[DATA_KEY_NAME_SIZE],
                         struct seal_key *ret_key,
                         struct fault *f) MUST_CHECK;
/* OK also if there was none. */
enum status data_key_delete(struct kv_txn *txn,
                            const uint8_t name[DATA_KEY_NAME_SIZE],
                            struct fault *f) MUST_CHECK;

#endif
