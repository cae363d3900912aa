/*
 * What each part of a change tells the log: one function for each kind of entry that the store
 * itself writes (proto/seal/log_kinds.def has their fields).  Everything else comes as a finished
 * list of values in struct store_entry.
 *
 * Nothing of a person is told in the clear.  Requests are committed to under salts of their own
 * (storage/store/salts.h).  Contents of data sets and memories are committed to under one key of
 * the installation (a secret of the vault): entries about one content are
 * recognised as such, but nobody outside can ask the log whether it was here.
 */
#ifndef LETHE_STORAGE_STORE_ENTRIES_H
#define LETHE_STORAGE_STORE_ENTRIES_H

#include "storage/store/log_batch.h"
#include "storage/store/store.h"

/* request.accepted, under the role and the actor that the principal ("role/actor") names. */
enum status
entry_accepted(struct log_batch *b, const struct queue_submission *s, struct fault *f) MUST_CHECK;
/* Keeps the checkpoint of the batch as that of the request's acceptance; after it was signed. */
enum status
entry_accepted_signed(struct log_batch *b, const struct request_id *id, struct fault *f) MUST_CHECK;
/*
 * All that a move tells: request.cancel if somebody cancels a request that waits; evaluation if it
 * brings a report; request.state; request.done if it is the last.
 */
enum status entry_moved(struct log_batch *b,
                        enum request_state from,
                        const struct queue_move *move,
                        const struct queue_record *after,
                        struct fault *f) MUST_CHECK;
enum status
entry_cancel(struct log_batch *b, const struct request_id *request, struct fault *f) MUST_CHECK;

enum status entry_version(struct log_batch *b,
                          const struct digest *id,
                          const struct version *v,
                          const struct store_method *method,
                          struct fault *f) MUST_CHECK;
/*
 * serving.moved, from the version served before (all zero: the first).  The serving record, and
 * *serving with it, gets the entry and its time.  from NULL: the pointer as it was found when the
 * log began; it keeps its time.
 */
enum status entry_serving(struct log_batch *b,
                          struct serving *serving,
                          const struct digest *from,
                          struct fault *f) MUST_CHECK;
/* version.pinned or version.unpinned. */
enum status entry_pin(struct log_batch *b,
                      enum log_kind kind,
                      const struct digest *version,
                      struct fault *f) MUST_CHECK;
/* data.* ; `role` may be NULL. */
enum status entry_data(struct log_batch *b,
                       enum log_kind kind,
                       const struct digest *content,
                       const char *role,
                       struct fault *f) MUST_CHECK;
/* memory.* */
enum status entry_memory(struct log_batch *b,
                         enum log_kind kind,
                         const struct digest *memory,
                         struct fault *f) MUST_CHECK;

#endif
