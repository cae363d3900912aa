/*
 * A consistency proof as a file: that the log at one checkpoint begins with all of the log at an
 * earlier one, so that nothing was removed or changed between them.
 *
 *   lethe-consistency/v1\n
 *   origin NAME\n          the log, as its checkpoints name it
 *   old DECIMAL\n          entries at the earlier checkpoint
 *   new DECIMAL\n          entries at the later one, not fewer
 *   BASE64\n               path (RFC 9162, 2.1.4); none if old is 0 or both are equal
 *   ...
 *
 * The checkpoints are files of their own (proto/seal/note.h).  Strict: exactly this shape, at most
 * CONSISTENCY_MAX bytes.  Nothing allocates.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_CONSISTENCY_H
#define LETHE_PROTO_SEAL_CONSISTENCY_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/base64.h"
#include "proto/seal/merkle.h"
#include "proto/seal/note.h"
#include "proto/seal/proof_lines.h"

#define CONSISTENCY_FAMILY "lethe-consistency"
/* every line at its longest */
#define CONSISTENCY_MAX                                                                            \
    ((size_t)(24 + 8 + SIGN_NAME_MAX + 2 * 26) + PROOF_LINES_MAX * (BASE64_HASH_CHARS + 1))

struct consistency {
    char origin[SIGN_NAME_SIZE];
    uint64_t old_size;
    uint64_t new_size;
    struct merkle_proof proof;
};

/* INVARIANT: the origin is a key name.  w->failed if it does not fit. */
void consistency_write(struct byte_writer *w, const struct consistency *c);
/* BAD_FORMAT names the line; UNIMPLEMENTED: a later version. */
enum status
consistency_parse(const char *text, size_t n, struct consistency *ret, struct fault *f) MUST_CHECK;
/*
 * Between two checkpoints whose signatures the caller has checked.  DATA_LOSS: another log, other
 * sizes, the later one is smaller, or the path does not lead to both roots.
 */
enum status consistency_verify(const struct consistency *c,
                               const struct note_checkpoint *older,
                               const struct note_checkpoint *newer,
                               struct fault *f) MUST_CHECK;

#endif
