/*
 * The newest certificate of a request: its two texts as blobs, the salts under which its log entry
 * commits to them, and the checkpoint that was signed with the entry, so that the same file can be
 * made again, byte for byte.
 *
 * Record (database "certificates", sealed, key = request id): u8 format = 1 | u64 index of the
 * entry | state 32 | json 32 | html 32 | salt of json 32 | salt of html 32 | u32 n, n bytes
 * checkpoint.  `state` is the issuer's digest of what the texts depend on.
 *
 * Functions take a transaction; those that write are called by storage/store only.
 */
#ifndef LETHE_STORAGE_CERTIFICATES_H
#define LETHE_STORAGE_CERTIFICATES_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/commitment.h"
#include "proto/seal/note.h"
#include "storage/kv/kv.h"
#include "storage/store/log_batch.h"
#include "storage/store/store.h"

struct certificate_record {
    uint64_t index;
    struct digest state, json, html;
    struct commitment_salt json_salt, html_salt;
    size_t checkpoint_size;
    char checkpoint[NOTE_SIGNED_SIZE];
};

/* NOT_FOUND (fault untouched): none was issued; DATA_LOSS. */
enum status certificate_record_get(struct kv_txn *txn,
                                   const struct request_id *id,
                                   struct certificate_record *ret_record,
                                   struct fault *f) MUST_CHECK;
/* Stores the texts with fresh salts and logs certificate.issued; an older one is given up. */
enum status certificate_record_issue(struct log_batch *b,
                                     const struct store_certificate *c,
                                     struct fault *f) MUST_CHECK;
/* Keeps the checkpoint of the batch; after it was signed. */
enum status certificate_record_signed(struct log_batch *b,
                                      const struct store_certificate *c,
                                      struct fault *f) MUST_CHECK;

#endif
