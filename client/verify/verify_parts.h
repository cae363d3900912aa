/*
 * What the commands of lethe-verify share: checkpoints from files, and the facts that are told of
 * checkpoints and entries.
 */
#ifndef LETHE_VERIFY_PARTS_H
#define LETHE_VERIFY_PARTS_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_input.h"
#include "client/verify/verify_report.h"
#include "proto/seal/consistency.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/note.h"
#include "proto/seal/receipt.h"

struct verify_checkpoint {
    struct verify_file file;
    struct note note; /* borrows from the file */
    struct signers_seen seen;
};

/* Reads, parses and checks the signatures.  Free with verify_parts_free, also after a failure. */
enum status verify_parts_checkpoint(const char *path,
                                    const struct signers *signers,
                                    struct verify_checkpoint *ret_checkpoint,
                                    struct fault *f) MUST_CHECK;
void verify_parts_free(struct verify_checkpoint *c);
/* Reads a proof (path NULL: none is needed for equal sizes) and holds it against both. */
enum status verify_parts_consistent(const char *path,
                                    const struct note_checkpoint *older,
                                    const struct note_checkpoint *newer,
                                    struct fault *f) MUST_CHECK;

/* Log, size, witnesses; notes on what signatures do not say. */
void verify_parts_tell_checkpoint(struct verify_report *r,
                                  const struct note *note,
                                  const struct signers_seen *seen);
/* Number, kind, time and fields; notes on commitments that were not opened. */
void verify_parts_tell_entry(struct verify_report *r,
                             const struct receipt *receipt,
                             const struct log_entry *e);
/* RFC 3339 with microseconds. */
#define VERIFY_TIME_SIZE (LOG_TIME_CHARS + 1)
void verify_parts_time(int64_t wall_us, char text[VERIFY_TIME_SIZE]);

#endif
