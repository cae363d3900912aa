/*
 * The start path, which is the recovery path: base model and first version, requests that were
 * under way, uploads that expired, and the version behind the serving pointer, verified.
 */
#ifndef LETHE_JOBS_RECOVER_H
#define LETHE_JOBS_RECOVER_H

#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/served.h"
#include "storage/store/store.h"

/*
 * The base model of the store.  A new store takes the folder's files over as the first version; a
 * store that has versions is compared with the folder, if it is there, and needs it no more.
 * FAILED_PRECONDITION (field "base"): no folder for a new store, or the folder holds another base;
 * the text names both digests.
 */
enum status recover_base(struct store *store,
                         const char *folder,
                         struct base_model **ret_base,
                         struct fault *f) MUST_CHECK;

/* Running requests go back to the queue, stale uploads expire. */
enum status recover_requests(struct store *store, struct fault *f) MUST_CHECK;

/*
 * The serving version, folded from the store with every digest checked.  DATA_LOSS if it is
 * damaged or there is no pointer.
 */
enum status recover_serving(struct store *store,
                            const struct base_model *base,
                            struct served **ret_served,
                            struct fault *f) MUST_CHECK;

#endif
