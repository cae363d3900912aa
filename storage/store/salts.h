/*
 * The salts of a request's commitments (proto/seal/commitment.h): who has them and the bytes can
 * show what the log commits to; once they are destroyed, nobody can find out by guessing.  They are
 * in a database of their own, so that they can be destroyed without touching the log.
 *
 * Record (database "salts", key = request id): u8 format = 1 | payload 32 | subject 32 | report 32
 * | reason 32; four salts, because showing one field must not open another.
 *
 * Functions take a transaction; those that write are called by storage/store only.
 */
#ifndef LETHE_STORAGE_SALTS_H
#define LETHE_STORAGE_SALTS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/commitment.h"
#include "storage/kv/kv.h"

struct salts {
    struct commitment_salt payload;
    struct commitment_salt subject;
    struct commitment_salt report;
    struct commitment_salt reason;
};

/* Those of a request; NOT_FOUND (fault untouched): there are none, or no longer. */
enum status salts_get(struct kv_txn *txn,
                      const struct request_id *id,
                      struct salts *ret_salts,
                      struct fault *f) MUST_CHECK;
/* The same, made and stored if there are none. */
enum status salts_make(struct kv_txn *txn,
                       const struct request_id *id,
                       struct salts *ret_salts,
                       struct fault *f) MUST_CHECK;
/* Deletes them; also fine if there are none. */
enum status
salts_forget(struct kv_txn *txn, const struct request_id *id, struct fault *f) MUST_CHECK;

#endif
