/*
 * lethe-verify witness STATE CHECKPOINT [PROOF]: the memory of an auditor.
 *
 * STATE holds the newest checkpoint of one log that was seen, a note like any other, with the
 * witness' own line if it signs.  A checkpoint is taken only if the log it tells of begins with all
 * of the one in STATE; then it takes its place.  So a log that was put back, cut, or written anew
 * is noticed by whoever keeps STATE, although every signature in it is right.
 *
 * Order: the new state is durable (written beside, fsync, rename, fsync of the folder) before the
 * cosigned checkpoint is given out.  After a crash in between the same call is made again: a
 * checkpoint equal to the one in STATE needs no proof.  Two calls on one STATE wait for each other
 * (flock of STATE.lock).
 *
 * With --sign KEYFILE --out FILE the checkpoint is written to FILE with the witness' cosignature
 * (C2SP, type 0x04).  The time that is signed never runs backwards.
 */
#ifndef LETHE_VERIFY_WITNESS_H
#define LETHE_VERIFY_WITNESS_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_report.h"

enum status verify_witness_run(const struct verify_args *a,
                               struct verify_report *r,
                               struct fault *f) MUST_CHECK;

#endif
