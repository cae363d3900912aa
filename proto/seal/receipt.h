/*
 * Receipts: one log entry, the proof that it is in the log, and what opens its commitments.
 *
 *   lethe-receipt/v1\n
 *   entry BASE64\n                     the exact entry bytes (proto/seal/log_entry.h)
 *   open NAME BASE64\n                 salt of 32 bytes: opens the commitment in field NAME
 *   attach NAME BASE64\n               the bytes committed to
 *   \n
 *   c2sp.org/tlog-proof@v1\n           from here on a C2SP proof that other tools can read
 *   index DECIMAL\n                    of the entry, from 0
 *   BASE64\n                           path, the leaf's sibling first (proto/seal/proof_lines.h)
 *   \n
 *   CHECKPOINT                         a note (proto/seal/note.h), with any witness lines
 *
 * `open` lines come in the order of the entry's fields, each at most once; `attach` follows its
 * `open`.  Without `attach` the bytes have to be given by whoever verifies: a salt that opens
 * nothing shows nothing, and nobody would notice if it were damaged.  Whoever may not see the bytes
 * gets a receipt without either line.
 *
 * Nothing is signed but the checkpoint.  What a receipt says is its entry; the kinds that are sent
 * out as receipts are request.accepted (a promise with a due date), request.done (what became of
 * it) and certificate.issued (proto/seal/certificate.h), and any other can be proved alike.
 *
 * The parser is strict: exactly this shape, canonical base64, at most RECEIPT_MAX bytes.  It
 * borrows from its input, decodes into a buffer of the caller, and allocates nothing.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_RECEIPT_H
#define LETHE_PROTO_SEAL_RECEIPT_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/commitment.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/merkle.h"
#include "proto/seal/note.h"
#include "proto/seal/signers.h"

#include <stddef.h>
#include <stdint.h>

#define RECEIPT_FAMILY    "lethe-receipt"
#define RECEIPT_MAX       ((size_t)16 << 20)
#define RECEIPT_PARTS_MAX 8

/* What opens one commitment of the entry. */
struct receipt_part {
    char name[LOG_NAME_SIZE]; /* the field */
    struct commitment_salt salt;
    const void *bytes; /* borrowed; NULL: not attached */
    size_t size;
};

/* To build one: everything borrowed.  Parts in any order. */
struct receipt_draft {
    const void *entry;
    size_t entry_size;
    const struct receipt_part *parts;
    size_t n_parts;
    uint64_t index;
    const struct merkle_proof *proof; /* inclusion of `index` in the checkpoint's tree */
    const char *checkpoint;           /* a whole note */
    size_t checkpoint_size;
};

/*
 * Writes the text (w->at = NULL: only counts).  INVALID_ARGUMENT names the field if the entry does
 * not parse, a part is no commitment of it or does not open it, or the note is none.
 * RESOURCE_EXHAUSTED: beyond RECEIPT_MAX, or it does not fit.  What was written verifies, unless
 * proof or signature are false.
 */
enum status
receipt_write(struct byte_writer *w, const struct receipt_draft *draft, struct fault *f) MUST_CHECK;

/* A parsed one: borrows from the text and from the decode buffer. */
struct receipt {
    const uint8_t *entry_bytes;
    size_t entry_size;
    struct receipt_part parts[RECEIPT_PARTS_MAX];
    size_t n_parts;
    uint64_t index;
    struct merkle_proof proof;
    struct note note;
};

/*
 * decoded: at least n bytes; must outlive the receipt, like the text.
 * BAD_FORMAT: not of this shape, text names the line.  UNIMPLEMENTED: a later version.
 */
enum status receipt_parse(const char *text,
                          size_t n,
                          void *decoded,
                          struct receipt *ret_receipt,
                          struct fault *f) MUST_CHECK;

/* Bytes that the verifier has from elsewhere, for the `open` line of this field. */
struct receipt_given {
    const char *name;
    const void *bytes;
    size_t size;
};

struct receipt_verdict {
    struct log_entry entry; /* borrows from the receipt */
    struct signers_seen signers;
};

/*
 * Checks, in this order: the checkpoint's signatures, the entry's inclusion, that the entry is well
 * formed, every `open` against its bytes, attached or given.
 * DATA_LOSS: the evidence is false, text says where.  FAILED_PRECONDITION: no verdict; bytes for an
 * `open`, or an `open` for given bytes, are missing, or signatures (signers_check).
 * UNIMPLEMENTED: an entry of a kind that this program does not know; signatures and inclusion were
 * right.  *ret_verdict is only set if all is right.
 */
enum status receipt_verify(const struct receipt *receipt,
                           const struct signers *signers,
                           const struct receipt_given *given,
                           size_t n_given,
                           struct receipt_verdict *ret_verdict,
                           struct fault *f) MUST_CHECK;
/* The part of this field; NULL if there is none. */
const struct receipt_part *receipt_part_get(const struct receipt *receipt, const char *name);

#endif
