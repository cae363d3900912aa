/*
 * What answered at a time, as a file: the serving.moved entry that began it, and what shows when it
 * ended, or that it had not ended.
 *
 *   lethe-served/v1\n
 *   moved BASE64\n             the exact bytes of a serving.moved entry, generation j
 *   index DECIMAL\n            its inclusion proof (proto/seal/proof_lines.h)
 *   BASE64\n ...
 *   \n
 *
 *   moved BASE64\n             either the next move, generation j + 1,
 *   index DECIMAL\n
 *   BASE64\n ...
 *   \n
 *
 *   later BASE64\n             or every entry of the log behind the move, in order, up to the
 *   ...                        checkpoint; none, and no empty line, if the move is the last entry
 *   \n
 *
 *   CHECKPOINT                 a note (proto/seal/note.h)
 *
 * Generations have no holes, so the entries of j and j + 1 are neighbours: between their times the
 * first one's version served.  For the newest move no neighbour exists yet.  Inclusion can show
 * that something is in a tree, not that something is missing, so the rest of the log is listed; the
 * verifier computes the checkpoint's root from it and sees that none of it is a move.  Then the
 * version served at least until the time of the last entry, or until a witness signed the
 * checkpoint; about later times the file says nothing, and neither verifies.
 *
 * Times are those of the daemon's clock, which the log never lets run backwards (`clock held`).
 * That predictions came from the serving version is the daemon's word; a prediction carries version
 * and generation.
 *
 * Strict: exactly this shape, at most SERVED_PROOF_MAX bytes.  Nothing allocates.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_SERVED_PROOF_H
#define LETHE_PROTO_SEAL_SERVED_PROOF_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/lines.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/merkle.h"
#include "proto/seal/note.h"
#include "proto/seal/signers.h"

#include <stddef.h>
#include <stdint.h>

#define SERVED_PROOF_FAMILY "lethe-served"
#define SERVED_PROOF_MAX    ((size_t)16 << 20)

/* ---------------------------------------------------------------- writing, in this order */

void served_proof_begin(struct byte_writer *w);
/* Once or twice. */
void served_proof_put_move(struct byte_writer *w,
                           const void *entry,
                           size_t size,
                           uint64_t index,
                           const struct merkle_proof *proof);
/* After one move only: any number of times, then the end, if there was one at all. */
void served_proof_put_later(struct byte_writer *w, const void *entry, size_t size);
void served_proof_end_later(struct byte_writer *w);
/* The whole note. */
void served_proof_end(struct byte_writer *w, const char *checkpoint, size_t size);

/* ---------------------------------------------------------------- reading */

struct served_move {
    uint8_t entry[LOG_ENTRY_MAX];
    size_t size;
    uint64_t index;
    struct merkle_proof proof;
};

struct served_proof {
    struct served_move moves[2];
    size_t n_moves;
    struct lines later; /* at the first `later` line; borrowed */
    uint64_t n_later;
    struct note note;
};

/* BAD_FORMAT names the line; UNIMPLEMENTED: a later version.  Borrows from the text. */
enum status served_proof_parse(const char *text,
                               size_t n,
                               struct served_proof *ret_proof,
                               struct fault *f) MUST_CHECK;

struct served_verdict {
    uint64_t generation;
    struct digest version;
    int64_t from_us;
    int from_held;    /* the clock was held at the first move: its time may be too early */
    int is_open;      /* it had not ended at the checkpoint */
    int64_t until_us; /* time of the next move; if open, the last time the file speaks about */
    int until_held;
    struct signers_seen signers;
};

/*
 * Checks signatures, inclusions, that the moves are neighbours, or that none follows.
 * DATA_LOSS: the evidence is false.  FAILED_PRECONDITION: no verdict; nothing shows when the move
 * ended, or signatures (signers_check).  UNIMPLEMENTED: an entry of a kind not known here.
 */
enum status served_proof_verify(const struct served_proof *proof,
                                const struct signers *signers,
                                struct served_verdict *ret_verdict,
                                struct fault *f) MUST_CHECK;
/* 1 if the verdict speaks about this time. */
int served_proof_covers(const struct served_verdict *v, int64_t wall_us);

#endif
