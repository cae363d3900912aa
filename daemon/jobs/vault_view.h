/* The keys and the size of the store, for answers. */
#ifndef LETHE_JOBS_VAULT_VIEW_H
#define LETHE_JOBS_VAULT_VIEW_H

#include "daemon/base/status.h"
#include "daemon/jobs/core_internal.h"
#include "proto/wire.h"

/* Fills epoch, data_keys, key_store and, if it is 0, bytes. */
enum status vault_view(struct core *core, struct wire_vault *v, struct fault *f) MUST_CHECK;

#endif
