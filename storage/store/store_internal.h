/* The object behind struct store, for the files of this folder. */
#ifndef LETHE_STORAGE_STORE_INTERNAL_H
#define LETHE_STORAGE_STORE_INTERNAL_H

#include "storage/store/store.h"
#include "storage/vault/vault.h"

#define STORE_MAGIC 0x73746f72u

struct store {
    uint32_t magic;
    struct kv *kv;
    struct vault *vault;
    struct request_id identity;
};

/*
 * Seals what an older lethe stored in the clear, piece by piece, and then writes the file anew, so
 * that no page of it holds the old bytes.  Part of opening; cut off, the next start goes on.
 */
enum status store_upgrade(struct store *s, struct fault *f) MUST_CHECK;

/* Appends "request.state FROM EVENT TO" and moves the request. */
enum status store_move(struct kv_txn *txn,
                       const struct queue_move *move,
                       int64_t now_us,
                       struct queue_record *ret_record,
                       uint64_t *ret_event,
                       struct fault *f) MUST_CHECK;

#endif
