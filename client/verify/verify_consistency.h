/* lethe-verify consistency OLD NEW PROOF: that nothing was taken out of the log between two
 * checkpoints. */
#ifndef LETHE_VERIFY_CONSISTENCY_H
#define LETHE_VERIFY_CONSISTENCY_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_report.h"

enum status verify_consistency_run(const struct verify_args *a,
                                   struct verify_report *r,
                                   struct fault *f) MUST_CHECK;

#endif
