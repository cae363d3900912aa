/*
 * Receipts: one log entry, the proof that it is in the log, and what opens its commitments.
 *
 *   lethe-receipt/v1\n
 *   entry BASE64\n                     the exact entry bytes (proto/seal/log_entry.h)
 *   open NAME BASE64\n                 salt of 32 bytes: opens the commitment in field NAME
 *   attach NAME BASE64\n               the bytes committed to, or whose SHA-256 is in field NAME
 *   \n
 *   c2sp.org/tlog-proof@v1\n           from here on a C2SP proof that other tools can read
 *   index DECIMAL\n                    of the entry, from 0
 *   BASE64\n                           path, the leaf's sibling first; at most RECEIPT_PATH_MAX lines
 *   \n
 *   CHECKPOINT                         a note (proto/seal/note.h), with any witness lines
 *
 * open and attach lines come in the order of the entry's fields, `open` before `attach` of the same
 * field, each at most once.  A field of type commitment is opened by both lines together, a field
 * of type sha256 by `attach` alone.  `open` without `attach` needs the bytes from elsewhere
 * (lethe-verify --payload); whoever may not see the bytes gets a receipt without either line.
 *
 * Nothing is signed but the checkpoint.  What a receipt says is its entry; the kinds that are sent
 * out as receipts are request.accepted (a promise with a due date), request.done (what became of
 * it) and certificate.issued (proto/seal/certificate.h).
 *
 * The parser is strict: exactly this shape, canonical base64, at most RECEIPT_MAX bytes.  It borrows
 * from its input and decodes into a buffer of the caller, and allocates nothing.
 */
#ifndef LETHE_PROTO_SEAL_RECEIPT_H
#define LETHE_PROTO_SEAL_RECEIPT_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/commitment.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/merkle.h"
#include "proto/seal/note.h"

#include <stddef.h>
#include <stdint.h>

#define RECEIPT_MAGIC     "lethe-receipt/v1"
#define RECEIPT_MAX       (16u << 20)
#define RECEIPT_PATH_MAX  63
#define RECEIPT_PARTS_MAX 8

/* What opens one field of the entry. */
struct receipt_part {
    const char *name;                   /* the field; borrowed, NUL-terminated */
    const struct commitment_salt *salt; /* NULL: none */
    const void *bytes;                  /* NULL: not attached */
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
 * Writes the text (at = NULL: only counts, see byte_writer).  INVALID_ARGUMENT if the entry does not
 * parse, a part fits no field or does not open it, or the note is none; RESOURCE_EXHAUSTED beyond
 * RECEIPT_MAX.  What was written verifies, unless the proof or the signature is false.
 */
enum status receipt_write(struct byte_writer *w,
                          const struct receipt_draft *draft,
                          struct fault *f) MUST_CHECK;

/* A parsed one: pointers into the text and into the decode buffer. */
struct receipt {
    const uint8_t *entry_bytes;
    size_t entry_size;
    struct receipt_part parts[RECEIPT_PARTS_MAX];
    struct commitment_salt salts[RECEIPT_PARTS_MAX];
    char names[RECEIPT_PARTS_MAX][LOG_NAME_SIZE];
    size_t n_parts;
    uint64_t index;
    struct merkle_proof proof;
    struct note note;
};

/*
 * decoded: at least n bytes; must outlive the receipt, like the text.
 * BAD_FORMAT: not of this shape, text names the line.  UNIMPLEMENTED: a later version of the format.
 * Since parts[] points into *ret_receipt, that must not be copied.
 */
enum status receipt_parse(const char *text,
                          size_t n,
                          void *decoded,
                          struct receipt *ret_receipt,
                          struct fault *f) MUST_CHECK;

/*
 * Checks, in this order: the checkpoint's signature by `key`, that its origin is the key's name, the
 * entry's inclusion, that the entry is well formed, every part against its field.
 * DATA_LOSS: the evidence is false, text says where.  FAILED_PRECONDITION: a salt without its bytes.
 * UNIMPLEMENTED: an entry of a kind that this program does not know; everything before it was right.
 * *ret_entry (NULL allowed) borrows from the receipt.
 */
enum status receipt_verify(const struct receipt *receipt,
                           const struct sign_vkey *key,
                           struct log_entry *ret_entry,
                           struct fault *f) MUST_CHECK;
/* The part of this field; NULL if there is none. */
const struct receipt_part *receipt_part_get(const struct receipt *receipt, const char *name);

#endif
