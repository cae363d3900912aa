/*
 * Looking through the requests that are not final: is the same erasure open already, does one need
 * this data set, is there room for another.  Core thread; reads the store.
 */
#ifndef LETHE_JOBS_OPEN_REQUESTS_H
#define LETHE_JOBS_OPEN_REQUESTS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/wire.h"
#include "storage/store/store.h"

/* Id of the oldest open request of the same scope; zero if there is none. */
enum status open_requests_same(struct store *store,
                               const struct wire_forget *m,
                               struct request_id *ret_id,
                               struct fault *f) MUST_CHECK;
/* Whether an open request names the data set: samples to forget, images to learn. */
enum status open_requests_need(struct store *store,
                               const char *dataset,
                               int *ret_needed,
                               struct fault *f) MUST_CHECK;
/* Whether an open request will open a stream of this name. */
enum status open_requests_opens(struct store *store,
                                const char *stream,
                                int *ret_opens,
                                struct fault *f) MUST_CHECK;
/* How many this client has (identity, without the role). */
enum status open_requests_of(struct store *store,
                             const char *principal,
                             uint64_t *ret_count,
                             struct fault *f) MUST_CHECK;
enum status
open_requests_count(struct store *store, uint64_t *ret_count, struct fault *f) MUST_CHECK;

#endif
