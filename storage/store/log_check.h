/*
 * Check of the log against itself and against the store: the tree rebuilt from the entries, every
 * entry parsed, times in order, the newest checkpoint's signature under the key that the log itself
 * names, and both ways between entries and what they tell of - requests with their payloads and
 * ends, moves of the serving pointer, versions, and the events that an older store had.
 *
 * That the log was not put back as a whole is for a witness to say.
 */
#ifndef LETHE_STORAGE_LOG_CHECK_H
#define LETHE_STORAGE_LOG_CHECK_H

#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stdint.h>

/* One thing that is wrong: which entry or request, and how. */
typedef void log_finding_fn(const char *which, const char *how, void *context);

/* OK if the check ran to its end, whatever it found. */
enum status log_check(struct kv_txn *txn,
                      log_finding_fn *fn,
                      void *context,
                      uint64_t *ret_entries,
                      struct fault *f) MUST_CHECK;

#endif
