/*
 * Content-addressed, immutable blobs: a blob is named by BLAKE2b-256 of its whole content, so the
 * same bytes are stored once and a name can never mean other bytes.
 *
 * Record (database "blobs", key = digest): u8 format = 1 | u8 kind | u64 size | extent name 16.
 * Format 2 is what is left of one that was destroyed on purpose while manifests go on naming it:
 * the same without content, the extent name zero. Format 3 is format 1 with one more u8: 1 if a
 * version or a request's report names the blob, and so will for good; 0 if none does.  Of a record
 * in format 1, which an older lethe wrote, that is not known.  So whoever drops a blob need not
 * look through all versions. The database is veiled (kv/schema.h): without the epoch's key nobody
 * can look up whether the bytes that he guesses are here. Content: the extent's sealed chunks
 * (chunk.h).  Functions that read all of a blob also check its digest; range reads check each chunk
 * they touch.  Damage is DATA_LOSS, never silence.
 *
 * Functions that write take a write transaction and are called by storage/store only.
 */
#ifndef LETHE_STORAGE_BLOBS_H
#define LETHE_STORAGE_BLOBS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/blobs/extents.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

/* What a blob was first stored as.  Numbers are stored; only add. */
enum blob_kind {
    BLOB_COMPONENT = 1, /* weights, deltas, prototypes, label tables: named by manifests */
    BLOB_MANIFEST = 2,
    BLOB_REPORT = 3, /* evaluation reports: named by manifests and requests */
    BLOB_PIXELS = 4, /* data sets */
    BLOB_LABELS = 5,
    BLOB_MEMORY = 6, /* row lists of a replay memory */
    BLOB_OTHER = 7,
    BLOB_FILE = 8,    /* came with a request; goes when that is final */
    BLOB_SUBJECTS = 9 /* data sets: whose each row is */
};

const char *blob_kind_name(enum blob_kind kind);

/* Whether something that is never deleted names a blob. */
enum blob_hold { BLOB_HOLD_UNKNOWN, BLOB_HOLD_NO, BLOB_HOLD_YES };

struct blob_info {
    struct digest digest;
    enum blob_kind kind;
    uint64_t size;
    uint64_t chunks;
    struct extent extent;
    int destroyed; /* its content was given up for good */
    enum blob_hold held;
};

/* Stores the bytes and gives their name; if they are there already nothing is written. */
enum status blob_put(struct kv_txn *txn,
                     enum blob_kind kind,
                     const void *bytes,
                     size_t size,
                     struct digest *ret_digest,
                     struct fault *f) MUST_CHECK;
/*
 * Turns a complete extent into the blob `digest`.  The content is read back and hashed:
 * INVALID_ARGUMENT (field "digest") if it is not what was declared.  The extent is taken over (or
 * deleted, if the blob is there already).
 */
enum status blob_adopt(struct kv_txn *txn,
                       enum blob_kind kind,
                       const struct extent *e,
                       const struct digest *digest,
                       struct fault *f) MUST_CHECK;
/* NOT_FOUND if there is none. */
enum status
blob_delete(struct kv_txn *txn, const struct digest *digest, struct fault *f) MUST_CHECK;

/* Notes that a version or a request's report names the blob from now on.  NOT_FOUND. */
enum status blob_keep(struct kv_txn *txn, const struct digest *digest, struct fault *f) MUST_CHECK;

/*
 * Gives up the content for good and keeps the name with kind and size: reading it is
 * FAILED_PRECONDITION from then on.  OK also if it was destroyed before.
 */
enum status
blob_destroy(struct kv_txn *txn, const struct digest *digest, struct fault *f) MUST_CHECK;

/* Size, kind and place; NOT_FOUND (with a fault that names the digest) if there is none. */
enum status blob_stat(struct kv_txn *txn,
                      const struct digest *digest,
                      struct blob_info *ret_info,
                      struct fault *f) MUST_CHECK;
enum status blob_exists(struct kv_txn *txn,
                        const struct digest *digest,
                        int *ret_exists,
                        struct fault *f) MUST_CHECK;
/* Whole blob, verified, into fresh memory (sysio_free); RESOURCE_EXHAUSTED if longer than max. */
enum status blob_load(struct kv_txn *txn,
                      const struct digest *digest,
                      size_t max,
                      void **ret_bytes,
                      size_t *ret_size,
                      struct fault *f) MUST_CHECK;
/* Whole blob, verified, into `to`, which holds exactly `size` bytes (BAD_FORMAT if not). */
enum status blob_read(struct kv_txn *txn,
                      const struct digest *digest,
                      void *to,
                      size_t size,
                      struct fault *f) MUST_CHECK;
/* Reader for byte ranges (extent_read, then extent_reader_fini): for data sets, of which few rows
 * are wanted. */
enum status blob_reader_init(struct extent_reader *r,
                             struct kv_txn *txn,
                             const struct digest *digest,
                             struct fault *f) MUST_CHECK;
/* Reads every chunk and checks the digest. */
enum status
blob_verify(struct kv_txn *txn, const struct digest *digest, struct fault *f) MUST_CHECK;

/* Called for each blob, in no order that means anything; a status other than OK ends the list and
 * is returned. */
typedef enum status blob_list_fn(const struct blob_info *info, void *context, struct fault *f);
enum status
blob_list(struct kv_txn *txn, blob_list_fn *fn, void *context, struct fault *f) MUST_CHECK;

#endif
