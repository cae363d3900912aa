/*
 * What the log can show to somebody outside, as the files that a verifier reads: receipts
 * (proto/seal/receipt.h), consistency proofs (consistency.h) and proofs of what served
 * (served_proof.h).  Made from the log as it stands in the transaction; nothing is signed here.
 *
 * The accepted receipt of a request goes back to the checkpoint of its acceptance and is therefore
 * the same at any time, byte for byte, as long as the request's salts are there; the receipt of its
 * end is made for the newest checkpoint.
 */
#ifndef LETHE_STORAGE_EVIDENCE_H
#define LETHE_STORAGE_EVIDENCE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/sign.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

/* One file; the text is in fresh memory and has no NUL: evidence_fini. */
struct evidence {
    char *text;
    size_t size;
    uint64_t index;    /* of the entry that it is about; consistency: none, 0 */
    uint64_t log_size; /* entries of the log that it is a proof against */
};
void evidence_fini(struct evidence *e);

/* Whether the commitments are opened, for whoever handed in the request. */
enum evidence_parts { EVIDENCE_CLOSED, EVIDENCE_OPEN };

/*
 * Of the acceptance of a request, or of its end.  NOT_FOUND: no such request; FAILED_PRECONDITION,
 * field "id": it is older than the log, or (done) has not ended.  Opened are commitments whose salt
 * is still there: payload and report with their bytes, subject without them.
 */
enum status evidence_accepted(struct kv_txn *txn,
                              const struct request_id *id,
                              enum evidence_parts parts,
                              struct evidence *ret_evidence,
                              struct fault *f) MUST_CHECK;
enum status evidence_done(struct kv_txn *txn,
                          const struct request_id *id,
                          enum evidence_parts parts,
                          struct evidence *ret_evidence,
                          struct fault *f) MUST_CHECK;
/*
 * The newest certificate of a request with its proof in it, as JSON or as a page.  The same file at
 * any time, byte for byte.  NOT_FOUND (fault untouched): none was issued.
 */
enum status evidence_certificate(struct kv_txn *txn,
                                 const struct request_id *id,
                                 int html,
                                 struct evidence *ret_evidence,
                                 struct fault *f) MUST_CHECK;
/*
 * That the log of new_size entries (0: all) begins with that of old_size.  OUT_OF_RANGE, field
 * "size": not 0 < old <= new <= log.
 */
enum status evidence_consistency(struct kv_txn *txn,
                                 uint64_t old_size,
                                 uint64_t new_size,
                                 struct evidence *ret_evidence,
                                 struct fault *f) MUST_CHECK;
/*
 * Which version served at a time.  NOT_FOUND: nothing did; FAILED_PRECONDITION, field "time": the
 * move is older than the log; RESOURCE_EXHAUSTED: more than max_bytes have to be shown.
 */
enum status evidence_served(struct kv_txn *txn,
                            int64_t wall_us,
                            size_t max_bytes,
                            struct evidence *ret_evidence,
                            struct fault *f) MUST_CHECK;

#endif
