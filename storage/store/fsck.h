/*
 * Check of a whole store, reading only: every blob's digest, every manifest with its parent and
 * components, the serving history and its target, every request record with its payload, state
 * and indexes, data sets, memories, uploads, the log (log_check.h), every data key, and chunks and
 * keys that belong to
 * nothing.  Works on a running store: one read transaction sees one moment.
 */
#ifndef LETHE_STORAGE_FSCK_H
#define LETHE_STORAGE_FSCK_H

#include "daemon/base/status.h"
#include "storage/store/store.h"

#include <stddef.h>
#include <stdint.h>

struct fsck_counts {
    uint64_t blobs;
    uint64_t blob_bytes;
    uint64_t destroyed_blobs; /* given up on purpose; their names are kept */
    uint64_t orphan_blobs;    /* named by nothing; waste, not damage */
    uint64_t orphan_chunks;
    uint64_t data_keys;
    uint64_t orphan_keys; /* of extents that nobody owns */
    uint64_t versions;
    uint64_t serving_moves;
    uint64_t requests;
    uint64_t open_requests;
    uint64_t datasets;
    uint64_t memories;
    uint64_t uploads;
    uint64_t log_entries;
    uint64_t findings; /* things that are wrong */
};

/* One thing that is wrong: what kind of record, which one, and how. */
typedef void fsck_finding_fn(const char *what, const char *which, const char *how, void *context);

/*
 * OK if the check ran to its end, whatever it found: look at ret_counts->findings.  A finding is
 * also passed to fn (NULL allowed).  An error means the check itself could not go on.
 */
enum status fsck_run(struct store *s,
                     fsck_finding_fn *fn,
                     void *context,
                     struct fsck_counts *ret_counts,
                     struct fault *f) MUST_CHECK;

#endif
