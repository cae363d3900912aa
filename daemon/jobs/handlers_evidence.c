/*
 * KIND_LOG, KIND_CHECKPOINT, KIND_PROVE and KIND_CONSISTENCY, on the core thread: what the log says
 * and what shows that it says so.  They only read.
 *
 * A receipt opens its commitments for the principal that handed in the request, and for nobody
 * else.
 */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/receipts.h"
#include "proto/limits.h"
#include "storage/audit/audit_log.h"
#include "storage/store/store_log.h"

#define PAGE_DEFAULT 50u
#define PAGE_BYTES   (2u << 20) /* of entries in one answer */

_Static_assert(LIMIT_ENTRY_BYTES == AUDIT_ENTRY_MAX && LIMIT_NOTE_BYTES >= AUDIT_CHECKPOINT_MAX,
               "limits of proto/limits.h and of the log");

/* ---------------------------------------------------------------- log */

static enum status copy_bytes(
    struct arena *a, const void *bytes, size_t n, struct wire_bytes *ret_bytes, struct fault *f)
{
    uint8_t *copy = arena_alloc(a, n + 1, 1);
    if (!copy)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the answer");
    memcpy(copy, bytes, n);
    *ret_bytes = (struct wire_bytes){copy, n};
    return STATUS_OK;
}

static enum status fill_page(struct kv_txn *txn,
                             uint64_t from,
                             uint32_t limit,
                             struct arena *a,
                             struct wire_log_entries *page,
                             struct fault *f)
{
    size_t bytes = 0;
    struct wire_log_entry *items = arena_alloc_zero(a, limit, sizeof *items);
    if (!items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "limit", "no memory for the list");
    page->items = items;
    while (page->n_items < limit && from < page->size && bytes < PAGE_BYTES) {
        struct kv_bytes entry = {0};
        struct wire_log_entry *item = &items[page->n_items++];
        TRY(audit_entry(txn, from, &entry, f));
        TRY(copy_bytes(a, entry.data, entry.size, &item->entry, f));
        item->index = from++;
        bytes += entry.size;
    }
    page->next = from < page->size ? from : 0;
    return STATUS_OK;
}

static enum status list_log(struct kv_txn *txn,
                            const struct wire_log_list *m,
                            struct arena *a,
                            struct wire_log_entries *ret_page,
                            struct fault *f)
{
    struct audit_head head;
    const uint32_t limit = m->limit ? m->limit : PAGE_DEFAULT;
    TRY(audit_head_get(txn, &head, f));
    struct wire_log_entries page = {.size = head.range.size};
    const uint64_t from = !m->newest ? m->from : page.size > limit ? page.size - limit : 0;
    TRY(fill_page(txn, from, limit, a, &page, f));
    *ret_page = page;
    return STATUS_OK;
}

static void answer_log(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct kv_txn *txn;
    struct wire_reply reply = {.answer = WIRE_ANSWER_LOG_ENTRIES};
    enum status st = store_read_begin(core->store, &txn, &f);
    if (st == STATUS_OK) {
        st = list_log(txn, &call_message(call)->body.log_list, call_arena(call),
                      &reply.body.log_entries, &f);
        store_read_end(txn);
    }
    core_answer(call, st, &reply, &f);
}

void handle_log(struct core *core, struct call *call)
{
    core_post(core, answer_log, call);
}

/* ---------------------------------------------------------------- checkpoint */

static enum status
newest(struct core *core, struct arena *a, struct wire_checkpoint *ret_checkpoint, struct fault *f)
{
    struct kv_txn *txn;
    struct audit_head head;
    struct wire_checkpoint c = {.size = 0};
    char *key = arena_alloc(a, SIGN_VKEY_SIZE, 1);
    if (!key)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the answer");
    sign_vkey_format(store_log_vkey(core->store), key);
    c.key = key;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = audit_head_get(txn, &head, f);
    store_read_end(txn);
    TRY(st);
    c.size = head.range.size;
    TRY(copy_bytes(a, head.checkpoint, head.checkpoint_size, &c.note, f));
    *ret_checkpoint = c;
    return STATUS_OK;
}

static void answer_checkpoint(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_CHECKPOINT};
    const enum status st = newest(core, call_arena(call), &reply.body.checkpoint, &f);
    core_answer(call, st, &reply, &f);
}

void handle_checkpoint(struct core *core, struct call *call)
{
    core_post(core, answer_checkpoint, call);
}

/* ---------------------------------------------------------------- proofs */

static enum status prove(struct core *core,
                         struct call *call,
                         struct kv_txn *txn,
                         struct evidence *ret_evidence,
                         struct fault *f)
{
    struct queue_record q;
    const struct wire_prove *m = &call_message(call)->body.prove;
    (void)core;
    TRY(queue_get(txn, &m->id, &q, f));
    const enum evidence_parts parts = receipt_parts_for(call, &q);
    return m->accepted ? evidence_accepted(txn, &m->id, parts, ret_evidence, f)
                       : evidence_done(txn, &m->id, parts, ret_evidence, f);
}

static enum status consistency(struct core *core,
                               struct call *call,
                               struct kv_txn *txn,
                               struct evidence *ret_evidence,
                               struct fault *f)
{
    const struct wire_sizes *m = &call_message(call)->body.sizes;
    (void)core;
    return evidence_consistency(txn, m->old_size, m->new_size, ret_evidence, f);
}

typedef enum status prove_function(struct core *core,
                                   struct call *call,
                                   struct kv_txn *txn,
                                   struct evidence *ret_evidence,
                                   struct fault *f);

static void answer_proof(struct core *core, struct call *call, prove_function *make)
{
    struct fault f = {0};
    struct kv_txn *txn;
    struct evidence e = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_PROOF};
    enum status st = store_read_begin(core->store, &txn, &f);
    if (st == STATUS_OK) {
        st = make(core, call, txn, &e, &f);
        store_read_end(txn);
    }
    struct wire_proof *p = &reply.body.proof;
    p->index = e.index;
    p->size = e.log_size;
    if (st == STATUS_OK)
        st = receipt_text(&e, call_arena(call), &p->text, &f);
    core_answer(call, st, &reply, &f);
}

static void answer_prove(struct core *core, struct call *call)
{
    answer_proof(core, call, prove);
}

void handle_prove(struct core *core, struct call *call)
{
    core_post(core, answer_prove, call);
}

static void answer_consistency(struct core *core, struct call *call)
{
    answer_proof(core, call, consistency);
}

void handle_consistency(struct core *core, struct call *call)
{
    core_post(core, answer_consistency, call);
}
