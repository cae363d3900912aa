/*
 * What a store of schema 1 kept in place of the log: a list of events, without signature or tree.
 * Nothing is added to it any more.  When such a store gets its log (storage/store/store_log.h), the
 * entry log.adopted says how many events there were and commits to them, so that the list can be
 * shown later to be the one that was found then; it says nothing about what happened before.
 *
 * Key: sequence u64, 1, 2, 3, ... without holes.
 * Record: u8 format = 1 | i64 wall_us | u8 clock_held | string kind | request 16 | version 32 |
 *         string text.
 *
 * Events about data sets, uploads and memories had the plain digest of their content as text, by
 * which somebody could find out whether a known content had been here.  These texts are emptied
 * when the list is adopted.
 */
#ifndef LETHE_STORAGE_OLD_EVENTS_H
#define LETHE_STORAGE_OLD_EVENTS_H

#include "daemon/base/status.h"
#include "proto/seal/sha256.h"
#include "storage/kv/kv.h"

#include <stdint.h>

/* Empties the texts that hold digests of content.  DATA_LOSS: a record does not decode. */
enum status old_events_clean(struct kv_txn *txn, struct fault *f) MUST_CHECK;
/*
 * How many there are, and the root of the Merkle tree (proto/seal/merkle.h) over the exact records
 * in their order; merkle_empty if there are none.  DATA_LOSS: a record does not decode, or their
 * numbers have a hole.
 */
enum status old_events_root(struct kv_txn *txn,
                            uint64_t *ret_count,
                            struct sha256 *ret_root,
                            struct fault *f) MUST_CHECK;

#endif
