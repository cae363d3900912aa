/*
 * Staged uploads: bytes that arrive in pieces and become a blob when they are complete.  Each
 * acknowledged piece is durable; after a break the client asks for `received` and goes on there.
 * An upload that is not closed in time expires and its bytes go.
 *
 * Record: u8 format = 1 | string principal | u64 size | digest 32 | extent name 16 | u64 received |
 *         i64 created_us | i64 expires_us.
 */
#ifndef LETHE_STORAGE_UPLOADS_H
#define LETHE_STORAGE_UPLOADS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/blobs/blobs.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define UPLOAD_PRINCIPAL_SIZE 128
#define UPLOAD_CHUNK_MAX      ((size_t)1 << 20)

struct upload {
    struct request_id id; /* 16 random bytes or the client's own UUID */
    char principal[UPLOAD_PRINCIPAL_SIZE];
    uint64_t size;        /* declared */
    struct digest digest; /* declared */
    struct extent extent; /* extent.size = bytes received */
    int64_t created_us;
    int64_t expires_us;
};

struct upload_open {
    struct request_id id; /* not zero */
    const char *principal;
    uint64_t size; /* 1 .. EXTENT_SIZE_MAX */
    struct digest digest;
    int64_t now_us;
    int64_t expires_us;
};

/* Opens, or finds the same open upload again (same id, principal, size, digest); else
 * ALREADY_EXISTS. */
enum status upload_open(struct kv_txn *txn,
                        const struct upload_open *o,
                        struct upload *ret_upload,
                        struct fault *f) MUST_CHECK;
/*
 * Appends a piece of at most UPLOAD_CHUNK_MAX bytes.  `offset` must be what was received so far
 * (FAILED_PRECONDITION names the right one); a piece that was received already, whole, is
 * acknowledged again without effect.  OUT_OF_RANGE: more than declared.
 */
enum status upload_append(struct kv_txn *txn,
                          const struct request_id *id,
                          uint64_t offset,
                          const void *bytes,
                          size_t n,
                          struct upload *ret_upload,
                          struct fault *f) MUST_CHECK;
/*
 * Makes the blob and removes the upload.  FAILED_PRECONDITION: bytes are missing;
 * INVALID_ARGUMENT (field "digest"): other content than declared (the caller aborts the upload).
 */
enum status upload_close(struct kv_txn *txn,
                         const struct request_id *id,
                         enum blob_kind kind,
                         struct digest *ret_digest,
                         struct fault *f) MUST_CHECK;
enum status
upload_abort(struct kv_txn *txn, const struct request_id *id, struct fault *f) MUST_CHECK;
enum status upload_get(struct kv_txn *txn,
                       const struct request_id *id,
                       struct upload *ret_upload,
                       struct fault *f) MUST_CHECK;
/* Declared bytes of all open uploads of that client, for quotas. */
enum status upload_pledged(struct kv_txn *txn,
                           const char *principal,
                           uint64_t *ret_bytes,
                           struct fault *f) MUST_CHECK;
/* Removes uploads whose time has passed. */
enum status
upload_expire(struct kv_txn *txn, int64_t now_us, size_t *ret_removed, struct fault *f) MUST_CHECK;

typedef enum status upload_list_fn(const struct upload *u, void *context, struct fault *f);
enum status
upload_list(struct kv_txn *txn, upload_list_fn *fn, void *context, struct fault *f) MUST_CHECK;

#endif
