/* The object behind struct store, for the files of this folder. */
#ifndef LETHE_STORAGE_STORE_INTERNAL_H
#define LETHE_STORAGE_STORE_INTERNAL_H

#include "storage/store/log_batch.h"
#include "storage/store/store.h"

#define STORE_MAGIC 0x73746f72u

struct store {
    uint32_t magic;
    struct kv *kv;
    struct request_id identity;
    struct sign_key *log_key; /* NULL: the log has not begun in this process */
};

/* Moves a request and tells the log. */
enum status store_move(struct log_batch *log,
                       const struct queue_move *move,
                       struct queue_record *ret_record,
                       struct fault *f) MUST_CHECK;

#endif
