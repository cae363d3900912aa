#include "daemon/jobs/receipts.h"

#include <string.h>

#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/owner.h"
#include "proto/limits.h"

enum evidence_parts receipt_parts_for(struct call *call, const struct queue_record *q)
{
    return owner_is(call, q) ? EVIDENCE_OPEN : EVIDENCE_CLOSED;
}

enum status
receipt_text(struct evidence *e, struct arena *a, struct wire_bytes *ret_text, struct fault *f)
{
    const size_t size = e->size;
    uint8_t *copy = size <= LIMIT_PROOF_BYTES ? arena_alloc(a, size + 1, 1) : NULL;
    if (copy)
        memcpy(copy, e->text, size);
    evidence_fini(e);
    if (!copy)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "%zu bytes of evidence, an answer holds %u", size,
             LIMIT_PROOF_BYTES);
    *ret_text = (struct wire_bytes){copy, size};
    return STATUS_OK;
}

enum status receipt_of_acceptance(struct core *core,
                                  struct call *call,
                                  const struct queue_record *q,
                                  struct wire_bytes *ret_text,
                                  struct fault *f)
{
    struct kv_txn *txn;
    struct evidence e = {0};
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = evidence_accepted(txn, &q->id, receipt_parts_for(call, q), &e, f);
    store_read_end(txn);
    if (st == STATUS_FAILED_PRECONDITION) { /* a repeat of a request that is older than the log */
        *ret_text = (struct wire_bytes){NULL, 0};
        return STATUS_OK;
    }
    TRY(st);
    return receipt_text(&e, call_arena(call), ret_text, f);
}
