#include "storage/store/evidence.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/certificate.h"
#include "proto/seal/consistency.h"
#include "proto/seal/receipt.h"
#include "proto/seal/served_proof.h"
#include "storage/audit/audit_log.h"
#include "storage/blobs/blobs.h"
#include "storage/queue/queue.h"
#include "storage/store/certificates.h"
#include "storage/store/log_requests.h"
#include "storage/store/salts.h"
#include "storage/versions/serving.h"

#include <string.h>

#define REPORT_SIZE_MAX ((size_t)16 << 20)
#define PARTS_MAX       3

void evidence_fini(struct evidence *e)
{
    sysio_free(e->text);
    e->text = NULL;
    e->size = 0;
}

/* The newest checkpoint, parsed; *note borrows from *head. */
static enum status
newest_checkpoint(struct kv_txn *txn, struct audit_head *head, struct note *note, struct fault *f)
{
    TRY(audit_head_get(txn, head, f));
    if (head->checkpoint_size == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "log", "nothing was signed yet");
    if (note_parse(head->checkpoint, head->checkpoint_size, note, f) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "log", "the newest checkpoint is damaged");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- receipts */

/* What opens a receipt, and the memory that it is in. */
struct opening {
    struct receipt_part parts[PARTS_MAX];
    size_t n;
    void *memory[PARTS_MAX];
};

static void opening_fini(struct opening *o)
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        sysio_free(o->memory[i]);
    sign_wipe(o, sizeof *o);
}

static void open_part(struct opening *o,
                      const char *name,
                      const struct commitment_salt *salt,
                      void *bytes,
                      size_t size)
{
    struct receipt_part *p = &o->parts[o->n];
    memcpy(p->name, name, strlen(name) + 1);
    p->salt = *salt;
    p->bytes = bytes;
    p->size = size;
    o->memory[o->n++] = bytes;
}

static enum status open_payload(struct kv_txn *txn,
                                const struct queue_record *q,
                                const struct salts *salts,
                                struct opening *o,
                                struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    TRY(queue_payload(txn, q, &bytes, &size, f));
    open_part(o, "payload", &salts->payload, bytes, size);
    return STATUS_OK;
}

static enum status open_report(struct kv_txn *txn,
                               const struct queue_record *q,
                               const struct salts *salts,
                               struct opening *o,
                               struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    TRY(blob_load(txn, &q->report, REPORT_SIZE_MAX, &bytes, &size, f));
    open_part(o, "report", &salts->report, bytes, size);
    return STATUS_OK;
}

/* Every commitment of the entry that can still be opened. */
static enum status open_all(struct kv_txn *txn,
                            const struct queue_record *q,
                            const struct log_entry *e,
                            struct opening *o,
                            struct fault *f)
{
    struct salts salts;
    struct sha256 ignored;
    enum status st = salts_get(txn, &q->id, &salts, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st == STATUS_OK && log_entry_hash(e, "payload", &ignored))
        st = open_payload(txn, q, &salts, o, f);
    if (st == STATUS_OK && log_entry_hash(e, "subject", &ignored))
        open_part(o, "subject", &salts.subject, NULL, 0);
    if (st == STATUS_OK && log_entry_hash(e, "report", &ignored))
        st = open_report(txn, q, &salts, o, f);
    sign_wipe(&salts, sizeof salts);
    return st;
}

/* One entry, proved against one checkpoint. */
struct proved {
    uint64_t index;
    uint64_t log_size;
    const char *checkpoint;
    size_t checkpoint_size;
};

static enum status
write_receipt(const struct receipt_draft *draft, struct evidence *ret_evidence, struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, SIZE_MAX);
    TRY(receipt_write(&count, draft, f));
    char *text = sysio_alloc(count.used + 1, 1);
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a receipt");
    struct byte_writer w = byte_writer_make(text, count.used + 1);
    const enum status st = receipt_write(&w, draft, f);
    if (st != STATUS_OK) {
        sysio_free(text);
        return st;
    }
    ret_evidence->text = text;
    ret_evidence->size = w.used;
    return STATUS_OK;
}

static enum status make_receipt(struct kv_txn *txn,
                                const struct queue_record *q,
                                const struct proved *p,
                                enum evidence_parts parts,
                                struct evidence *ret_evidence,
                                struct fault *f)
{
    struct kv_bytes entry = {0};
    struct log_entry parsed;
    struct merkle_proof proof;
    struct opening o = {.n = 0};
    struct evidence x = {.index = p->index, .log_size = p->log_size};
    TRY(audit_entry(txn, p->index, &entry, f));
    TRY(log_entry_parse(entry.data, entry.size, &parsed, f));
    TRY(audit_prove_inclusion(txn, p->index, p->log_size, &proof, f));
    enum status st = parts == EVIDENCE_OPEN ? open_all(txn, q, &parsed, &o, f) : STATUS_OK;
    const struct receipt_draft draft = {.entry = entry.data,
                                        .entry_size = entry.size,
                                        .parts = o.parts,
                                        .n_parts = o.n,
                                        .index = p->index,
                                        .proof = &proof,
                                        .checkpoint = p->checkpoint,
                                        .checkpoint_size = p->checkpoint_size};
    if (st == STATUS_OK)
        st = write_receipt(&draft, &x, f);
    opening_fini(&o);
    if (st == STATUS_OK)
        *ret_evidence = x;
    return st;
}

static enum status find_request(struct kv_txn *txn,
                                const struct request_id *id,
                                struct queue_record *ret_request,
                                struct log_request *ret_known,
                                struct fault *f)
{
    TRY(queue_get(txn, id, ret_request, f));
    return log_request_get(txn, id, ret_known, f);
}

enum status evidence_accepted(struct kv_txn *txn,
                              const struct request_id *id,
                              enum evidence_parts parts,
                              struct evidence *ret_evidence,
                              struct fault *f)
{
    struct queue_record q;
    struct log_request known;
    struct note note;
    TRY(find_request(txn, id, &q, &known, f));
    if (known.accepted == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is older than the log");
    if (note_parse(known.checkpoint, known.checkpoint_size, &note, f) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "log", "the checkpoint of the request's acceptance is damaged");
    const struct proved p = {.index = known.accepted - 1,
                             .log_size = note.checkpoint.size,
                             .checkpoint = known.checkpoint,
                             .checkpoint_size = known.checkpoint_size};
    return make_receipt(txn, &q, &p, parts, ret_evidence, f);
}

enum status evidence_done(struct kv_txn *txn,
                          const struct request_id *id,
                          enum evidence_parts parts,
                          struct evidence *ret_evidence,
                          struct fault *f)
{
    struct queue_record q;
    struct log_request known;
    struct audit_head head;
    struct note note;
    TRY(find_request(txn, id, &q, &known, f));
    if (!request_state_is_final(q.state))
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is %s: it has not ended yet",
             request_state_name(q.state));
    if (known.done == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request ended before the log began");
    TRY(newest_checkpoint(txn, &head, &note, f));
    const struct proved p = {.index = known.done - 1,
                             .log_size = note.checkpoint.size,
                             .checkpoint = head.checkpoint,
                             .checkpoint_size = head.checkpoint_size};
    return make_receipt(txn, &q, &p, parts, ret_evidence, f);
}

/* ---------------------------------------------------------------- certificates */

static enum status embed(const void *carrier,
                         size_t n,
                         const struct evidence *receipt,
                         struct evidence *ret_evidence,
                         struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, SIZE_MAX);
    TRY(certificate_embed(&count, carrier, n, receipt->text, receipt->size, f));
    char *text = sysio_alloc(count.used + 1, 1);
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a certificate");
    struct byte_writer w = byte_writer_make(text, count.used + 1);
    const enum status st = certificate_embed(&w, carrier, n, receipt->text, receipt->size, f);
    if (st != STATUS_OK) {
        sysio_free(text);
        return st;
    }
    *ret_evidence = (struct evidence){
        .text = text, .size = w.used, .index = receipt->index, .log_size = receipt->log_size};
    return STATUS_OK;
}

/* The receipt of the certificate's entry, open for one of its texts without the bytes. */
static enum status receipt_of_certificate(struct kv_txn *txn,
                                          const struct certificate_record *c,
                                          int html,
                                          struct evidence *ret_receipt,
                                          struct fault *f)
{
    struct note note;
    struct kv_bytes entry = {0};
    struct merkle_proof proof;
    struct opening o = {.n = 0};
    if (note_parse(c->checkpoint, c->checkpoint_size, &note, f) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "log", "the checkpoint of a certificate is damaged");
    ret_receipt->index = c->index;
    ret_receipt->log_size = note.checkpoint.size;
    TRY(audit_entry(txn, c->index, &entry, f));
    TRY(audit_prove_inclusion(txn, c->index, note.checkpoint.size, &proof, f));
    if (html)
        open_part(&o, CERTIFICATE_HTML, &c->html_salt, NULL, 0);
    else
        open_part(&o, CERTIFICATE_JSON, &c->json_salt, NULL, 0);
    const struct receipt_draft draft = {.entry = entry.data,
                                        .entry_size = entry.size,
                                        .parts = o.parts,
                                        .n_parts = o.n,
                                        .index = c->index,
                                        .proof = &proof,
                                        .checkpoint = c->checkpoint,
                                        .checkpoint_size = c->checkpoint_size};
    const enum status st = write_receipt(&draft, ret_receipt, f);
    opening_fini(&o);
    return st;
}

enum status evidence_certificate(struct kv_txn *txn,
                                 const struct request_id *id,
                                 int html,
                                 struct evidence *ret_evidence,
                                 struct fault *f)
{
    struct certificate_record c;
    struct evidence receipt = {.text = NULL};
    void *carrier = NULL;
    size_t n = 0;
    TRY(certificate_record_get(txn, id, &c, f));
    TRY(blob_load(txn, html ? &c.html : &c.json, CERTIFICATE_MAX, &carrier, &n, f));
    enum status st = receipt_of_certificate(txn, &c, html, &receipt, f);
    if (st == STATUS_OK)
        st = embed(carrier, n, &receipt, ret_evidence, f);
    evidence_fini(&receipt);
    sysio_free(carrier);
    sign_wipe(&c, sizeof c);
    return st;
}

/* ---------------------------------------------------------------- consistency */

enum status evidence_consistency(struct kv_txn *txn,
                                 uint64_t old_size,
                                 uint64_t new_size,
                                 struct evidence *ret_evidence,
                                 struct fault *f)
{
    struct audit_head head;
    struct note note;
    struct consistency c = {.old_size = old_size};
    TRY(newest_checkpoint(txn, &head, &note, f));
    c.new_size = new_size == 0 ? head.range.size : new_size;
    memcpy(c.origin, note.checkpoint.origin, sizeof c.origin);
    if (old_size == 0 || old_size > c.new_size || c.new_size > head.range.size)
        FAIL(f, STATUS_OUT_OF_RANGE, "size",
             "%llu and %llu: wanted are 1 to the second, and at most %llu, the size of the log",
             (unsigned long long)old_size, (unsigned long long)c.new_size,
             (unsigned long long)head.range.size);
    TRY(audit_prove_consistency(txn, old_size, c.new_size, &c.proof, f));
    char *text = sysio_alloc(CONSISTENCY_MAX, 1);
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a proof");
    struct byte_writer w = byte_writer_make(text, CONSISTENCY_MAX);
    consistency_write(&w, &c);
    INVARIANT(!w.failed);
    *ret_evidence = (struct evidence){.text = text, .size = w.used, .log_size = c.new_size};
    return STATUS_OK;
}

/* ---------------------------------------------------------------- what served */

/* A served proof under way, written once to count and once for good. */
struct served_file {
    struct kv_txn *txn;
    const struct audit_head *head;
    const struct serving *move;
    const struct serving *next; /* generation 0: none */
    size_t max_bytes;
};

static enum status
put_move(const struct served_file *x, uint64_t index, struct byte_writer *w, struct fault *f)
{
    struct kv_bytes entry = {0};
    struct merkle_proof proof;
    TRY(audit_entry(x->txn, index, &entry, f));
    TRY(audit_prove_inclusion(x->txn, index, x->head->range.size, &proof, f));
    served_proof_put_move(w, entry.data, entry.size, index, &proof);
    return STATUS_OK;
}

/* Everything behind the newest move, so that it is seen that no other followed. */
static enum status put_later(const struct served_file *x, struct byte_writer *w, struct fault *f)
{
    struct kv_bytes entry = {0};
    const uint64_t first = x->move->entry; /* the one behind it: entry is 1 + its index */
    for (uint64_t i = first; i < x->head->range.size; i++) {
        TRY(audit_entry(x->txn, i, &entry, f));
        served_proof_put_later(w, entry.data, entry.size);
        if (w->used > x->max_bytes)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "time",
                 "%llu entries follow the move that serves now: more than one answer holds",
                 (unsigned long long)(x->head->range.size - first));
    }
    if (first < x->head->range.size)
        served_proof_end_later(w);
    return STATUS_OK;
}

static enum status write_served(const struct served_file *x, struct byte_writer *w, struct fault *f)
{
    served_proof_begin(w);
    TRY(put_move(x, x->move->entry - 1, w, f));
    if (x->next->generation > 0)
        TRY(put_move(x, x->next->entry - 1, w, f));
    else
        TRY(put_later(x, w, f));
    served_proof_end(w, x->head->checkpoint, x->head->checkpoint_size);
    return STATUS_OK;
}

/* The move before that time and the one after it, both with entries. */
static enum status find_moves(struct kv_txn *txn,
                              int64_t wall_us,
                              struct serving *ret_move,
                              struct serving *ret_next,
                              struct fault *f)
{
    struct kv_bytes bytes = {0};
    struct log_entry e;
    TRY(serving_at(txn, wall_us, ret_move, f));
    if (ret_move->entry > 0) {
        TRY(audit_entry(txn, ret_move->entry - 1, &bytes, f));
        TRY(log_entry_parse(bytes.data, bytes.size, &e, f));
    }
    if (ret_move->entry == 0 || e.time_us > wall_us)
        FAIL(f, STATUS_FAILED_PRECONDITION, "time", "the log does not go back to that time");
    const enum status st = serving_generation(txn, ret_move->generation + 1, ret_next, f);
    if (st == STATUS_NOT_FOUND)
        *ret_next = (struct serving){.generation = 0};
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

enum status evidence_served(struct kv_txn *txn,
                            int64_t wall_us,
                            size_t max_bytes,
                            struct evidence *ret_evidence,
                            struct fault *f)
{
    struct audit_head head;
    struct note note;
    struct serving move, next;
    struct byte_writer count = byte_writer_make(NULL, SIZE_MAX);
    TRY(find_moves(txn, wall_us, &move, &next, f));
    TRY(newest_checkpoint(txn, &head, &note, f));
    const struct served_file x = {
        .txn = txn, .head = &head, .move = &move, .next = &next, .max_bytes = max_bytes};
    TRY(write_served(&x, &count, f));
    char *text = sysio_alloc(count.used + 1, 1);
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a proof");
    struct byte_writer w = byte_writer_make(text, count.used + 1);
    const enum status st = write_served(&x, &w, f);
    if (st != STATUS_OK) {
        sysio_free(text);
        return st;
    }
    *ret_evidence = (struct evidence){
        .text = text, .size = w.used, .index = move.entry - 1, .log_size = head.range.size};
    return STATUS_OK;
}
