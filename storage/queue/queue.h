/*
 * Durable requests: what was asked, by whom, and where it stands.  The policy half of the queue
 * (whose turn, how many attempts) is daemon/jobs; this half keeps records, order and states.
 *
 * A request is accepted once and never removed.  Its id is unique in the store: the same id, client
 * and payload give the stored record again, anything else under that id is ALREADY_EXISTS.  Order
 * is acceptance order (`sequence`, from 1).  Payload and answer are opaque bytes in sealed extents
 * of their own, so a change of state rewrites only the record of a few hundred bytes.
 *
 * Functions that write take a write transaction and are called by storage/store only; everybody
 * else fills a struct store_change.
 */
#ifndef LETHE_STORAGE_QUEUE_H
#define LETHE_STORAGE_QUEUE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/blobs/extents.h"
#include "storage/kv/kv.h"
#include "storage/queue/request_state.h"

#include <stddef.h>
#include <stdint.h>

#define QUEUE_PRINCIPAL_SIZE 128 /* with NUL */
#define QUEUE_KIND_SIZE      24
#define QUEUE_TEXT_SIZE      FAULT_TEXT_SIZE
#define QUEUE_FIELD_SIZE     FAULT_FIELD_SIZE
#define QUEUE_PAYLOAD_MAX    ((size_t)16 << 20)
#define QUEUE_ANSWER_MAX     ((size_t)1 << 20)

/* Why a request ended as it did; code OK and empty texts if there is nothing to say. */
struct queue_error {
    enum status code;
    char field[QUEUE_FIELD_SIZE];
    char text[QUEUE_TEXT_SIZE];
};

struct queue_record {
    struct request_id id;
    uint64_t sequence;                    /* acceptance order, from 1 */
    char principal[QUEUE_PRINCIPAL_SIZE]; /* role and key of the client, as the daemon names it */
    char kind[QUEUE_KIND_SIZE];           /* "forget", "learn", ... */
    enum request_state state;
    uint64_t seed;     /* root of the request's random streams; set at acceptance, kept for good */
    uint32_t attempts; /* times started */
    uint32_t step;     /* parameter step in use, from 0 */
    int64_t submitted_us;
    int64_t due_us;      /* 0: none */
    int64_t started_us;  /* of the last attempt; 0: not yet */
    int64_t finished_us; /* 0: open */
    struct digest payload_digest;
    struct extent payload;
    struct extent answer; /* none until it is set */
    struct queue_error error;
    struct digest version_before; /* zero: not known yet */
    struct digest version_after;
    struct digest report; /* blob of the evaluation report; zero: none */
    struct request_id duplicate_of;
    struct digest attachment; /* blob of the file that came with it; zero: none */
    int cancel_requested;     /* a running job is asked to stop */
};

struct queue_submission {
    struct request_id id; /* not zero */
    const char *principal;
    const char *kind;
    const void *payload; /* exact bytes as they arrived */
    size_t payload_size;
    /* Blob of a file that came with it, stored in the same change; NULL: none.  It is kept as long
     * as the request is open. */
    const struct digest *attachment;
    /* subject_public of the person it is about, for the log's commitment; not stored.  NULL: none
     */
    const struct digest *subject;
    uint64_t seed;
    int64_t submitted_us;
    int64_t due_us;
};

/*
 * Stores a new request in state received and sets *ret_known to 0; or finds the same request
 * (same id, principal, kind and payload bytes), changes nothing and sets *ret_known to 1.
 * ALREADY_EXISTS: the id belongs to another payload or client.  INVALID_ARGUMENT: zero id, empty or
 * oversized principal, kind or payload.
 */
enum status queue_accept(struct kv_txn *txn,
                         const struct queue_submission *s,
                         struct queue_record *ret_record,
                         int *ret_known,
                         struct fault *f) MUST_CHECK;

/*
 * One move of one request.  Pointers are borrowed; NULL (or 0) leaves a field as it is.
 * Set by the move itself: state, attempts (START adds one), started_us (START), finished_us (when
 * the new state is final), error (cleared by START and COMMIT unless given), step (START keeps it,
 * NEXT_STEP adds one, OVERTAKEN sets it back to 0), cancel_requested (cleared on a final state).
 */
struct queue_move {
    struct request_id id;
    enum request_event event;
    int64_t now_us;
    const struct queue_error *error;
    const struct digest *version_before;
    const struct digest *version_after;
    const struct digest *report;
    const char *verdict; /* of the report, for the log; NULL: passed with COMMIT, else rejected */
    const struct request_id *duplicate_of;
    const void *answer;
    size_t answer_size;
};

/*
 * The only way to change a state.  NOT_FOUND: no such request; FAILED_PRECONDITION: the table
 * has no such move (the text names state and event).
 */
enum status queue_move(struct kv_txn *txn,
                       const struct queue_move *move,
                       struct queue_record *ret_record,
                       struct fault *f) MUST_CHECK;
/* Asks a running or evaluating request to stop; FAILED_PRECONDITION in any other state. */
enum status
queue_request_cancel(struct kv_txn *txn, const struct request_id *id, struct fault *f) MUST_CHECK;
/* Stores (or replaces) the answer that is repeated to a client that asks again. */
enum status queue_set_answer(struct kv_txn *txn,
                             const struct request_id *id,
                             const void *bytes,
                             size_t n,
                             struct fault *f) MUST_CHECK;

/* NOT_FOUND with a fault, or DATA_LOSS if the record does not decode. */
enum status queue_get(struct kv_txn *txn,
                      const struct request_id *id,
                      struct queue_record *ret_record,
                      struct fault *f) MUST_CHECK;
/* Payload, checked against its digest, in fresh memory (sysio_free). */
enum status queue_payload(struct kv_txn *txn,
                          const struct queue_record *record,
                          void **ret_bytes,
                          size_t *ret_size,
                          struct fault *f) MUST_CHECK;
/* Stored answer in fresh memory (sysio_free); NOT_FOUND (fault untouched) if there is none. */
enum status queue_answer(struct kv_txn *txn,
                         const struct queue_record *record,
                         void **ret_bytes,
                         size_t *ret_size,
                         struct fault *f) MUST_CHECK;
/* The request accepted first among those in `state`; NOT_FOUND (fault untouched) if none. */
enum status queue_oldest(struct kv_txn *txn,
                         enum request_state state,
                         struct queue_record *ret_record,
                         struct fault *f) MUST_CHECK;
/* Requests per state; index is enum request_state. */
enum status
queue_counts(struct kv_txn *txn, uint64_t ret_counts[REQUEST_STATES], struct fault *f) MUST_CHECK;

struct queue_filter {
    enum request_state state; /* REQUEST_NONE: all */
    int newest_first;
    uint64_t after; /* continue behind this sequence number; 0: from the start */
    size_t limit;   /* 0: no limit */
};

typedef enum status
queue_list_fn(const struct queue_record *record, void *context, struct fault *f);
enum status queue_list(struct kv_txn *txn,
                       const struct queue_filter *filter,
                       queue_list_fn *fn,
                       void *context,
                       struct fault *f) MUST_CHECK;

#endif
