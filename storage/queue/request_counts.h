/*
 * How many requests are in each state, kept beside the index of states so that asking costs one
 * read however many requests there were.
 *
 * Record (database "meta", key "request-counts"): u8 format = 1 | u32 n | n times u64, index is
 * enum request_state.  States that an older lethe did not know are absent and count as 0.  A store
 * of an older lethe has no record: then the index is counted, and the next move writes the record.
 */
#ifndef LETHE_STORAGE_REQUEST_COUNTS_H
#define LETHE_STORAGE_REQUEST_COUNTS_H

#include "daemon/base/status.h"
#include "storage/kv/kv.h"
#include "storage/queue/request_state.h"

#include <stdint.h>

/* From the record, or from the index if there is none. */
enum status request_counts_get(struct kv_txn *txn,
                               uint64_t ret_counts[REQUEST_STATES],
                               struct fault *f) MUST_CHECK;
/* From the index of states, whatever the record says (for the check of the store). */
enum status request_counts_scan(struct kv_txn *txn,
                                uint64_t ret_counts[REQUEST_STATES],
                                struct fault *f) MUST_CHECK;
/*
 * One request goes from `from` (REQUEST_NONE: it is new) to `to`.  Call it before the index of
 * states is changed.
 */
enum status request_counts_move(struct kv_txn *txn,
                                enum request_state from,
                                enum request_state to,
                                struct fault *f) MUST_CHECK;

#endif
