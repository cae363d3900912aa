/*
 * The stored form of a request record.
 *
 * Format 2, little-endian, strings as u32 length + bytes:
 *   u8 format | u8 state | u8 cancel_requested | u64 sequence | string principal | string kind |
 *   u64 seed | u32 attempts | u32 step | i64 submitted_us | i64 due_us | i64 started_us |
 *   i64 finished_us | payload digest 32 | payload extent 16, u64 size | answer extent 16, u64 size
 * | i32 error number | string error field | string error text | version_before 32 | version_after
 * 32 | report 32 | duplicate_of 16 | attachment 32 The id is the key.  Format 1 ends before the
 * attachment; it is read as having none.
 */
#ifndef LETHE_STORAGE_QUEUE_RECORD_H
#define LETHE_STORAGE_QUEUE_RECORD_H

#include "storage/queue/queue.h"

#define QUEUE_RECORD_MAX 1024

/* Writes the record; returns its size. */
size_t queue_record_encode(const struct queue_record *q, uint8_t to[QUEUE_RECORD_MAX]);
/* Strict: DATA_LOSS for an unknown format, an impossible state, or bytes left over. */
enum status queue_record_decode(struct kv_bytes key,
                                struct kv_bytes value,
                                struct queue_record *ret_record,
                                struct fault *f) MUST_CHECK;

#endif
