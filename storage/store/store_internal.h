/* The object behind struct store, for the files of this folder. */
#ifndef LETHE_STORAGE_STORE_INTERNAL_H
#define LETHE_STORAGE_STORE_INTERNAL_H

#include "storage/store/log_batch.h"
#include "storage/store/store.h"
#include "storage/vault/vault.h"

#define STORE_MAGIC 0x73746f72u

struct store {
    uint32_t magic;
    struct kv *kv;
    struct vault *vault;
    struct request_id identity;
    struct sign_key *log_key; /* NULL: the log has not begun in this process */
};

/*
 * Seals what an older lethe stored in the clear, piece by piece, and then writes the file anew, so
 * that no page of it holds the old bytes.  Part of opening; cut off, the next start goes on.
 */
enum status store_upgrade(struct store *s, struct fault *f) MUST_CHECK;

/* Moves a request and tells the log. */
enum status store_move(struct log_batch *log,
                       const struct queue_move *move,
                       struct queue_record *ret_record,
                       struct fault *f) MUST_CHECK;

#endif
