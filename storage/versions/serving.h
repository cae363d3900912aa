/*
 * The serving pointer and its history.  Each move appends one record under the next generation;
 * the record of the highest generation is the pointer, so pointer and history cannot disagree.
 * Times never run backwards: a move at a clock that was set back gets the time of the move before
 * it and is marked `clock_held`.
 *
 * Serving record: u8 format = 2 | version 32 | i64 since_us | request 16 | u8 clock_held | u64
 * entry. Format 1 is read as well: it has no entry. Pin record:     u8 format = 1 | i64 since_us |
 * string who.
 */
#ifndef LETHE_STORAGE_SERVING_H
#define LETHE_STORAGE_SERVING_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define SERVING_WHO_SIZE 128

struct serving {
    uint64_t generation; /* from 1; 0: nothing was ever served */
    struct digest version;
    int64_t since_us;
    struct request_id request; /* that caused the move; zero: none */
    int clock_held;
    uint64_t entry; /* 1 + index of its entry in the log; 0: older than the log */
};

struct serving_move {
    uint64_t expected_generation; /* what the caller measured against; 0: nothing served yet */
    struct digest version;
    struct request_id request;
    int64_t now_us;
};

/* The pointer; NOT_FOUND (fault untouched) before the first move. */
enum status
serving_get(struct kv_txn *txn, struct serving *ret_serving, struct fault *f) MUST_CHECK;
/*
 * Compare-and-swap.  ABORTED: the generation is not the expected one; NOT_FOUND: no such version;
 * FAILED_PRECONDITION: the version does not honour an erasure that the serving one honours (field
 * "version"; the text names the first and the number).
 */
enum status serving_swap(struct kv_txn *txn,
                         const struct serving_move *move,
                         struct serving *ret_serving,
                         struct fault *f) MUST_CHECK;
/*
 * Notes in the record of one generation which entry of the log tells of it, and the time that the
 * entry has: what the log can show and what is answered here are one.  since_us 0: as it is.
 */
enum status serving_set_entry(struct kv_txn *txn,
                              uint64_t generation,
                              uint64_t entry,
                              int64_t since_us,
                              struct fault *f) MUST_CHECK;
/* What was served at that time; NOT_FOUND with a fault if nothing was yet. */
enum status serving_at(struct kv_txn *txn,
                       int64_t wall_us,
                       struct serving *ret_serving,
                       struct fault *f) MUST_CHECK;
/* Record of one generation; NOT_FOUND (fault untouched). */
enum status serving_generation(struct kv_txn *txn,
                               uint64_t generation,
                               struct serving *ret_serving,
                               struct fault *f) MUST_CHECK;

typedef enum status serving_list_fn(const struct serving *serving, void *context, struct fault *f);
/* Newest first; limit 0: all. */
enum status serving_history(struct kv_txn *txn,
                            size_t limit,
                            serving_list_fn *fn,
                            void *context,
                            struct fault *f) MUST_CHECK;

/* Pins: versions that an operator wants kept.  Pinning twice keeps the first record. */
struct serving_pin {
    struct digest version;
    int64_t since_us;
    char who[SERVING_WHO_SIZE];
};

enum status
serving_pin(struct kv_txn *txn, const struct serving_pin *pin, struct fault *f) MUST_CHECK;
/* NOT_FOUND with a fault if it is not pinned. */
enum status
serving_unpin(struct kv_txn *txn, const struct digest *version, struct fault *f) MUST_CHECK;
/* NOT_FOUND (fault untouched) if it is not pinned. */
enum status serving_pinned(struct kv_txn *txn,
                           const struct digest *version,
                           struct serving_pin *ret_pin,
                           struct fault *f) MUST_CHECK;

#endif
