/*
 * Versions in the store: immutable manifests (manifest.h) with parent links, content-addressed, and
 * numbered from 1 in commit order.  The bytes are a blob; two indexes lead from number to digest
 * and back.
 */
#ifndef LETHE_STORAGE_VERSIONS_H
#define LETHE_STORAGE_VERSIONS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/kv/kv.h"
#include "storage/versions/manifest.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Stores a manifest.  Its number must be the next one, its parent and every blob it names must be
 * in the store, with the stated size (FAILED_PRECONDITION, naming what is missing).
 */
enum status version_put(struct kv_txn *txn,
                        const struct version *v,
                        struct digest *ret_digest,
                        struct fault *f) MUST_CHECK;
/* By digest; NOT_FOUND with a fault.  Free with version_free. */
enum status version_get(struct kv_txn *txn,
                        const struct digest *digest,
                        struct version **ret_version,
                        struct fault *f) MUST_CHECK;
/* Digest of version `number`; NOT_FOUND with a fault. */
enum status version_by_number(struct kv_txn *txn,
                              uint64_t number,
                              struct digest *ret_digest,
                              struct fault *f) MUST_CHECK;
/* Number of a stored version; NOT_FOUND with a fault. */
enum status version_number(struct kv_txn *txn,
                           const struct digest *digest,
                           uint64_t *ret_number,
                           struct fault *f) MUST_CHECK;
/*
 * The version whose digest begins with these hexadecimal digits (at least 4), or with that decimal
 * number if the text is "#N".  NOT_FOUND, or INVALID_ARGUMENT if malformed or not unique.
 */
enum status version_resolve(struct kv_txn *txn,
                            const char *text,
                            struct digest *ret_digest,
                            struct fault *f) MUST_CHECK;
/* Highest number; 0 if there is no version. */
enum status version_latest(struct kv_txn *txn, uint64_t *ret_number, struct fault *f) MUST_CHECK;

#endif
