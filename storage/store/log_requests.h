/*
 * Where the log tells of a request: its first and its last entry, and the checkpoint that was
 * signed when it was accepted, so that its accepted receipt can be made again, byte for byte.
 *
 * Record (database "log_requests", key = request id):
 *   u8 format = 1 | u64 accepted | u64 done | u32 n, n bytes checkpoint
 * accepted, done: 1 + index of request.accepted and request.done; 0: there is none (a request that
 * is older than the log; one that is open).
 *
 * Functions take a transaction; those that write are called by storage/store only.
 */
#ifndef LETHE_STORAGE_LOG_REQUESTS_H
#define LETHE_STORAGE_LOG_REQUESTS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/note.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

struct log_request {
    uint64_t accepted;
    uint64_t done;
    size_t checkpoint_size; /* 0: none, as accepted is */
    char checkpoint[NOTE_SIGNED_SIZE];
};

/* All zero if there is no record. */
enum status log_request_get(struct kv_txn *txn,
                            const struct request_id *id,
                            struct log_request *ret_record,
                            struct fault *f) MUST_CHECK;
enum status log_request_put(struct kv_txn *txn,
                            const struct request_id *id,
                            const struct log_request *record,
                            struct fault *f) MUST_CHECK;

#endif
