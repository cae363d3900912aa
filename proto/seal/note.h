/*
 * Checkpoints as C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), and witnesses'
 * cosignatures (c2sp.org/tlog-cosignature).
 *
 *   example.org/lethe/7f3a9c01\n        origin: the log's name, a key name (proto/seal/sign.h)
 *   4711\n                              entries, decimal, no leading zero
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n      root of the tree over them
 *   \n
 *   — NAME BASE64(key id 4 || signature 64)\n           em dash U+2014; type 0x01
 *   — NAME BASE64(key id 4 || u64 big-endian unix seconds || signature 64)\n      type 0x04
 *
 * Signed are the exact bytes of the three lines with their newlines; by a witness
 * "cosignature/v1\ntime SECONDS\n" and these bytes.  No extension lines.  Lines of keys that a
 * verifier does not know are passed over, of whatever length up to NOTE_SIGNATURE_MAX.
 *
 * The parser is strict: exactly this shape, canonical base64, nothing behind the last line, at most
 * NOTE_SIGNATURES_MAX lines and one per name and key id.  It borrows from its input, which has to
 * outlive the note, and allocates nothing.
 */
#ifndef LETHE_PROTO_SEAL_NOTE_H
#define LETHE_PROTO_SEAL_NOTE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/sha256.h"
#include "proto/seal/sign.h"

#include <stddef.h>
#include <stdint.h>

#define NOTE_SIGNATURES_MAX 16
#define NOTE_SIGNATURE_MAX  3072 /* bytes that one signature line may carry, key id included */
/* origin, size, root, with newlines */
#define NOTE_TEXT_MAX (SIGN_NAME_MAX + 1 + 20 + 1 + 44 + 1)
#define NOTE_LINE_MAX (3 + 1 + SIGN_NAME_MAX + 1 + (NOTE_SIGNATURE_MAX + 2) / 3 * 4 + 1)
#define NOTE_MAX      (NOTE_TEXT_MAX + 1 + NOTE_SIGNATURES_MAX * NOTE_LINE_MAX)
/* enough for a note with the log's signature alone, and for one cosignature line */
#define NOTE_SIGNED_SIZE   (NOTE_TEXT_MAX + 1 + 3 + 1 + SIGN_NAME_MAX + 1 + 92 + 1)
#define NOTE_COSIGNED_SIZE (3 + 1 + SIGN_NAME_MAX + 1 + 104 + 1)

struct note_checkpoint {
    char origin[SIGN_NAME_SIZE];
    uint64_t size;
    struct sha256 root;
};

struct note_signature {
    const char *name; /* borrowed, no NUL */
    size_t name_size;
    uint8_t id[SIGN_KEY_ID_SIZE];
    const char *base64; /* borrowed; key id and what follows it */
    size_t base64_size;
};

struct note {
    struct note_checkpoint checkpoint;
    const char *text; /* borrowed: the bytes signed */
    size_t text_size;
    size_t size; /* of the whole note */
    size_t n_signatures;
    struct note_signature signatures[NOTE_SIGNATURES_MAX];
};

/* ---------------------------------------------------------------- writing */

/* The whole note: text, blank line, the log's line.  INVARIANT: the key's type is SIGN_LOG and its
 * name the origin.  Writes nothing but through w (w->failed if it does not fit). */
void note_write(struct byte_writer *w,
                const struct note_checkpoint *checkpoint,
                const struct sign_key *key);
/* The three lines alone. */
void note_write_text(struct byte_writer *w, const struct note_checkpoint *checkpoint);
/* One signature line over a text that is there already.  INVARIANT: type SIGN_LOG. */
void note_write_signature(struct byte_writer *w,
                          const char *text,
                          size_t text_size,
                          const struct sign_key *key);
/* One cosignature line.  INVARIANT: type SIGN_WITNESS. */
void note_write_cosignature(struct byte_writer *w,
                            const char *text,
                            size_t text_size,
                            int64_t unix_seconds,
                            const struct sign_key *key);

/* ---------------------------------------------------------------- reading */

/* BAD_FORMAT, naming the line, unless all n bytes are one note. */
enum status
note_parse(const char *bytes, size_t n, struct note *ret_note, struct fault *f) MUST_CHECK;

enum note_verdict {
    NOTE_GOOD,
    NOTE_ABSENT, /* no line by this key */
    NOTE_FALSE   /* a line by this key whose signature is wrong */
};
/*
 * Looks for the line of this key (name and id) and checks it.  For a witness *ret_unix_seconds is
 * the time it signed (untouched otherwise; NULL allowed).  A log's key is the one its origin names:
 * a good signature by another log's key is FALSE.
 */
enum note_verdict
note_verify(const struct note *note, const struct sign_vkey *vkey, int64_t *ret_unix_seconds);

#endif
