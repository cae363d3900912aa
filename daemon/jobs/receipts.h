/*
 * Evidence (storage/store/evidence.h) on its way into answers.  Core thread.
 */
#ifndef LETHE_JOBS_RECEIPTS_H
#define LETHE_JOBS_RECEIPTS_H

#include "daemon/jobs/core.h"
#include "daemon/serve/call.h"
#include "storage/queue/queue.h"
#include "storage/store/evidence.h"

/* Open for the principal that handed in the request; what was asked is nobody else's business. */
enum evidence_parts receipt_parts_for(struct call *call, const struct queue_record *q);
/*
 * Moves the text into the arena and frees the evidence, whatever happens.  RESOURCE_EXHAUSTED: it
 * is longer than an answer may be.
 */
enum status receipt_text(struct evidence *e,
                         struct arena *a,
                         struct wire_bytes *ret_text,
                         struct fault *f) MUST_CHECK;
/* The accepted receipt of a request that the caller has just handed in, into the arena. */
enum status receipt_of_acceptance(struct core *core,
                                  struct call *call,
                                  const struct queue_record *q,
                                  struct wire_bytes *ret_text,
                                  struct fault *f) MUST_CHECK;

#endif
