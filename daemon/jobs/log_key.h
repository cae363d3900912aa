/*
 * The key that signs the log: found, or made at the first start, and given to the store
 * (storage/store/store_log.h).
 *
 *   log_key = PATH             this file; it has to be there
 *   log_key = credential:NAME  of the service manager
 *   log_key =                  log.key among the service manager's credentials if it is there, else
 *                              log.key in the folder of the store, which is made if the log is new
 *
 * A key that lies beside the store is better than none, but whoever can write the store can read
 * it; the journal says so.  `log_key_old` names the key before this one while the key is rolled.
 */
#ifndef LETHE_JOBS_LOG_KEY_H
#define LETHE_JOBS_LOG_KEY_H

#include "daemon/base/status.h"
#include "daemon/config/config.h"
#include "storage/store/store.h"

/*
 * Begins the log of a store that was just opened.  Errors of reading the key; FAILED_PRECONDITION,
 * field "log_key": the key is missing although the log has begun, or it is not the log's;
 * field "log_origin": the log has another name, or the key.
 */
enum status
log_key_begin(const struct config *config, struct store *store, struct fault *f) MUST_CHECK;

#endif
