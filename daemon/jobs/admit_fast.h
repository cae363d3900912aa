/*
 * Mode fast for what was learned: which components can forget without being trained anew
 * (learners/methods/gslora/suppress.h).  Lanes of one label an image can.
 */
#ifndef LETHE_JOBS_ADMIT_FAST_H
#define LETHE_JOBS_ADMIT_FAST_H

#include "daemon/base/status.h"
#include "storage/kv/kv.h"
#include "storage/versions/manifest.h"

/* FAILED_PRECONDITION (field mode) says why this owner ("KIND:NAME") cannot, and what to do. */
enum status admit_fast(struct kv_txn *txn,
                       const struct version *v,
                       const char *owner,
                       struct fault *f) MUST_CHECK;
/*
 * The owner's component was changed by a request in mode fast and not trained anew since: it holds
 * rows of forgotten classes and descends from their data.
 */
int admit_fast_is_suppressed(const struct version *v, const char *owner);

#endif
