/*
 * Which blobs are named by something: by versions (manifest, components, report), requests
 * (report), data sets (pixels, labels) and replay memories.  For deleting what nothing names, and
 * for the check of the store.
 */
#ifndef LETHE_STORAGE_REFERENCES_H
#define LETHE_STORAGE_REFERENCES_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stddef.h>

struct references {
    struct digest *items; /* sorted once collected */
    size_t n;
    size_t room;
};

/* Reads the whole store's records (not the contents).  Free with references_fini, also on failure.
 */
enum status
references_collect(struct kv_txn *txn, struct references *ret_refs, struct fault *f) MUST_CHECK;
int references_have(const struct references *refs, const struct digest *digest);
void references_fini(struct references *refs);

/*
 * Deletes the blob if it is there and nothing names it any more.  Looks at open requests, data sets
 * and memories; at versions and closed requests only for a blob of an older lethe (blobs.h).
 */
enum status
references_drop_blob(struct kv_txn *txn, const struct digest *digest, struct fault *f) MUST_CHECK;

#endif
