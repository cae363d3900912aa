/*
 * Stored records as messages: everything is built in the given arena (a call's) and lives as long
 * as it.  Errors are those of the store; RESOURCE_EXHAUSTED when the arena is full.  Any thread
 * with a read transaction of its own.
 */
#ifndef LETHE_JOBS_WIRE_VIEW_H
#define LETHE_JOBS_WIRE_VIEW_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/jobs/job_wire.h"
#include "proto/wire.h"
#include "storage/store/store.h"

/* What to put into a message besides the record itself. */
enum wire_view_detail {
    WIRE_VIEW_BRIEF, /* for lists: no report document */
    WIRE_VIEW_FULL
};

enum status wire_view_request(struct kv_txn *txn,
                              const struct queue_record *record,
                              enum wire_view_detail detail,
                              struct arena *a,
                              struct wire_request *ret_request,
                              struct fault *f) MUST_CHECK;
/* Borrows from *p. */
struct wire_progress wire_view_progress(const struct job_progress *p, uint32_t attempt);

/* `serving` (by value) and the pins decide two of the fields. */
enum status wire_view_version(struct kv_txn *txn,
                              const struct digest *digest,
                              enum wire_view_detail detail,
                              struct arena *a,
                              struct wire_version *ret_version,
                              struct fault *f) MUST_CHECK;
enum status wire_view_diff(struct kv_txn *txn,
                           const struct digest *a_digest,
                           const struct digest *b_digest,
                           struct arena *a,
                           struct wire_diff_info *ret_diff,
                           struct fault *f) MUST_CHECK;
enum status wire_view_labels(const struct version_label *labels,
                             size_t n,
                             struct arena *a,
                             const struct wire_label_info **ret_labels,
                             struct fault *f) MUST_CHECK;
enum status wire_view_dataset(const struct dataset *d,
                              struct arena *a,
                              struct wire_dataset *ret_dataset,
                              struct fault *f) MUST_CHECK;

/* A copy of the text in the arena; NULL: full. */
const char *wire_view_text(struct arena *a, const char *text);

#endif
