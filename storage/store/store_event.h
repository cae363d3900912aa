/*
 * The event list: one record for every change of state, appended in the transaction that makes the
 * change, never altered and never removed.  Sequence numbers are 1, 2, 3, ... without holes.  This
 * is where the audit log hooks in: an entry is written exactly where an event is.
 *
 * Record: u8 format = 1 | i64 wall_us | u8 clock_held | string kind | request 16 | version 32 |
 *         string text.  Times never run backwards: when the clock was set back, an event gets the
 * time of the one before it and clock_held = 1.
 *
 * Kinds and texts (the texts are fixed words and numbers, never labels or payload):
 *   request.accepted  KIND                    request.state     FROM EVENT TO
 *   request.cancel    asked                   version.committed NUMBER
 *   serving.moved     GENERATION              version.pinned, version.unpinned
 *   data.imported, data.removed  digest of the set        data.uploaded  digest of the blob
 *   memory.changed, memory.removed  digest    and the notes a caller adds (struct store_note)
 */
#ifndef LETHE_STORAGE_STORE_EVENT_H
#define LETHE_STORAGE_STORE_EVENT_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define EVENT_KIND_SIZE 32
#define EVENT_TEXT_SIZE 160

struct event {
    uint64_t sequence; /* set by event_append */
    int64_t wall_us;
    int clock_held; /* set by event_append */
    char kind[EVENT_KIND_SIZE];
    struct request_id request; /* zero: none */
    struct digest version;     /* zero: none */
    char text[EVENT_TEXT_SIZE];
};

/* Appends and gives the stored event its number and time.  Called by storage/store only. */
enum status event_append(struct kv_txn *txn, struct event *e, struct fault *f) MUST_CHECK;
/* NOT_FOUND with a fault. */
enum status event_get(struct kv_txn *txn,
                      uint64_t sequence,
                      struct event *ret_event,
                      struct fault *f) MUST_CHECK;
/* Number of the newest event; 0 if there is none. */
enum status event_latest(struct kv_txn *txn, uint64_t *ret_sequence, struct fault *f) MUST_CHECK;

typedef enum status event_list_fn(const struct event *e, void *context, struct fault *f);
/* Oldest first, from `first` on; limit 0: all. */
enum status event_list(struct kv_txn *txn,
                       uint64_t first,
                       size_t limit,
                       event_list_fn *fn,
                       void *context,
                       struct fault *f) MUST_CHECK;

#endif
