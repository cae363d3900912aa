/*
 * The log in the store: exact entry bytes, the Merkle tree over them (proto/seal/merkle.h) and the
 * head.  Nothing is ever altered or removed; entries have the numbers 0, 1, 2, ... without holes.
 *
 * | database    | key                   | value                             |
 * | ----------- | --------------------- | --------------------------------- |
 * | log_entries | index u64             | the entry's exact bytes           |
 * | log_nodes   | level u8, index u64   | SHA-256 of that full node         |
 * | log_head    | "head"                | head record                       |
 *
 * Head record: u8 format = 1 | u32 n, n bytes compact range (merkle_range_encode) | root 32 |
 *              u32 n, n bytes last signed checkpoint (0: none yet).
 *
 * Entry, nodes and head are written in the caller's transaction, that of the change they tell of:
 * after a crash all of it is there or none.  The root stands beside the range, from which it
 * follows, so that a head that was damaged is noticed before anything is appended to it.
 *
 * Functions take a transaction; audit_append and audit_set_checkpoint a write transaction.
 */
#ifndef LETHE_STORAGE_AUDIT_LOG_H
#define LETHE_STORAGE_AUDIT_LOG_H

#include "daemon/base/status.h"
#include "proto/seal/merkle.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define AUDIT_ENTRY_MAX      4096u
#define AUDIT_CHECKPOINT_MAX 8192u

struct audit_head {
    struct merkle_range range; /* range.size is the number of entries */
    struct sha256 root;
    size_t checkpoint_size; /* 0: none was ever signed */
    char checkpoint[AUDIT_CHECKPOINT_MAX];
};

/* The head; that of an empty log if there is none yet.  DATA_LOSS: the record is damaged. */
enum status
audit_head_get(struct kv_txn *txn, struct audit_head *ret_head, struct fault *f) MUST_CHECK;

/*
 * Appends one entry of 1 to AUDIT_ENTRY_MAX bytes and gives its number.  INVALID_ARGUMENT for any
 * other size; DATA_LOSS: the head does not follow from its own range.
 */
enum status audit_append(struct kv_txn *txn,
                         const void *entry,
                         size_t size,
                         uint64_t *ret_index,
                         struct fault *f) MUST_CHECK;
/* Keeps the checkpoint that was signed for the head as it is now; INVALID_ARGUMENT: its size. */
enum status audit_set_checkpoint(struct kv_txn *txn,
                                 const char *checkpoint,
                                 size_t size,
                                 struct fault *f) MUST_CHECK;

/* An entry, borrowed from the transaction; NOT_FOUND with a fault. */
enum status audit_entry(struct kv_txn *txn,
                        uint64_t index,
                        struct kv_bytes *ret_entry,
                        struct fault *f) MUST_CHECK;

/* That entry `index` is in the first `size` entries; OUT_OF_RANGE unless index < size <= log. */
enum status audit_prove_inclusion(struct kv_txn *txn,
                                  uint64_t index,
                                  uint64_t size,
                                  struct merkle_proof *ret_proof,
                                  struct fault *f) MUST_CHECK;
/* That the first `new_size` entries begin with the first `old_size`; 0 < old <= new <= log. */
enum status audit_prove_consistency(struct kv_txn *txn,
                                    uint64_t old_size,
                                    uint64_t new_size,
                                    struct merkle_proof *ret_proof,
                                    struct fault *f) MUST_CHECK;
/* Root of the first `size` entries; OUT_OF_RANGE beyond the log. */
enum status audit_root_at(struct kv_txn *txn,
                          uint64_t size,
                          struct sha256 *ret_root,
                          struct fault *f) MUST_CHECK;

/*
 * Rebuilds the tree from the entries and compares numbers, nodes, range and root.  Each thing that
 * is wrong is told to fn with the number of the entry (the size of the log for the head).  An error
 * means that the check could not go on, not that something was found.
 */
typedef void audit_finding_fn(uint64_t index, const char *how, void *context);
enum status audit_check(struct kv_txn *txn,
                        audit_finding_fn *fn,
                        void *context,
                        uint64_t *ret_entries,
                        struct fault *f) MUST_CHECK;

#endif
