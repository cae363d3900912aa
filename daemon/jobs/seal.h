/*
 * Sealing: the erasures of the serving version are folded into a new base, and what they were
 * folded from is destroyed.  Before, leaving a delta out would bring the erased state back; after,
 * nothing in this installation can.
 *
 * The new base holds the folded weights to the bit (they are compared before anything is
 * committed), so answers, lanes and experts stay what they were, and the trunk keeps its name
 * (manifest.h, version_origin).  Prototypes of the old base are given up with it; the next erasure
 * computes its own from the replay memory.
 *
 * The images of erased classes in the base's training set are blanked; rows keep their numbers.
 *
 * One transaction: the new base's files, the version, the serving pointer, every component that
 * only older versions name destroyed, the entry version.sealed.  Older versions keep their
 * manifests and reports, and cannot be served.  The rotation of the keys follows.  Core thread.
 */
#ifndef LETHE_JOBS_SEAL_H
#define LETHE_JOBS_SEAL_H

#include "daemon/base/status.h"
#include "daemon/jobs/core_internal.h"
#include "proto/wire.h"

struct seal_result {
    struct digest version;
    uint64_t destroyed; /* components */
};

/*
 * FAILED_PRECONDITION: a request is open, the serving version is pinned, or it has no erasure that
 * is not in its base already.
 */
enum status seal_run(struct core *core,
                     const struct wire_envelope *m,
                     const char *principal,
                     struct seal_result *ret_result,
                     struct fault *f) MUST_CHECK;

#endif
