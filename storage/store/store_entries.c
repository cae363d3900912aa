#include "storage/store/store_entries.h"

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/audit/audit_log.h"
#include "storage/blobs/blobs.h"
#include "storage/store/log_requests.h"
#include "storage/store/salts.h"

#include <stdio.h>
#include <string.h>

#define COUNT_OF(a)     (sizeof(a) / sizeof(a)[0])
#define REPORT_SIZE_MAX ((size_t)16 << 20)

/* ---------------------------------------------------------------- acceptance */

/* Role and actor of "role/actor"; what is no such thing came from this machine. */
struct principal {
    char role[LOG_WORD_SIZE];
    const char *actor;
};

static struct principal principal_of(const char *text)
{
    struct principal p = {"local", LOG_ACTOR_LOCAL};
    const char *slash = strchr(text, '/');
    if (!slash)
        return p;
    const size_t n = (size_t)(slash - text);
    if (log_text_is(LOG_TYPE_WORD, text, n))
        (void)snprintf(p.role, sizeof p.role, "%.*s", (int)n, text);
    if (log_text_is(LOG_TYPE_ACTOR, slash + 1, strlen(slash + 1)))
        p.actor = slash + 1;
    return p;
}

/* Notes the index of an entry of a request; 1 + index, 0 leaves what is there. */
static enum status note_request(struct kv_txn *txn,
                                const struct request_id *id,
                                uint64_t accepted,
                                uint64_t done,
                                struct fault *f)
{
    struct log_request q;
    TRY(log_request_get(txn, id, &q, f));
    q.accepted = accepted ? accepted : q.accepted;
    q.done = done ? done : q.done;
    return log_request_put(txn, id, &q, f);
}

enum status entry_accepted(struct log_batch *b, const struct queue_submission *s, struct fault *f)
{
    struct salts salts;
    struct sha256 subject = {{0}};
    uint64_t index = 0;
    const struct principal p = principal_of(s->principal);
    TRY(salts_make(b->txn, &s->id, &salts, f));
    const struct sha256 payload =
        commitment_make(&salts.payload, "payload", s->payload, s->payload_size);
    if (s->subject)
        subject = commitment_make(&salts.subject, "subject", s->subject->b, DIGEST_SIZE);
    const struct log_value values[] = {
        log_value_request("request", &s->id),
        log_value_word("kind", s->kind),
        log_value_word("role", p.role),
        log_value_actor("actor", p.actor),
        log_value_commitment("payload", &payload),
        log_value_commitment("subject", s->subject ? &subject : NULL),
        log_value_date("due", s->due_us),
    };
    TRY(log_batch_add(b, LOG_KIND_REQUEST_ACCEPTED, values, COUNT_OF(values), &index, f));
    return note_request(b->txn, &s->id, index + 1, 0, f);
}

enum status entry_accepted_signed(struct log_batch *b, const struct request_id *id, struct fault *f)
{
    struct log_request q;
    struct audit_head head;
    TRY(audit_head_get(b->txn, &head, f));
    TRY(log_request_get(b->txn, id, &q, f));
    if (head.checkpoint_size > sizeof q.checkpoint)
        FAIL(f, STATUS_INTERNAL, "log", "a checkpoint of %zu bytes", head.checkpoint_size);
    memcpy(q.checkpoint, head.checkpoint, head.checkpoint_size);
    q.checkpoint_size = head.checkpoint_size;
    return log_request_put(b->txn, id, &q, f);
}

/* ---------------------------------------------------------------- moves */

enum status entry_cancel(struct log_batch *b, const struct request_id *request, struct fault *f)
{
    const struct log_value values[] = {
        log_value_request("request", request),
        log_value_actor("actor", b->actor),
    };
    return log_batch_add(b, LOG_KIND_REQUEST_CANCEL, values, COUNT_OF(values), NULL, f);
}

static enum status commit_report(struct log_batch *b,
                                 const struct request_id *request,
                                 const struct digest *report,
                                 struct sha256 *ret_commitment,
                                 struct fault *f)
{
    struct salts salts;
    void *bytes = NULL;
    size_t size = 0;
    TRY(salts_make(b->txn, request, &salts, f));
    TRY(blob_load(b->txn, report, REPORT_SIZE_MAX, &bytes, &size, f));
    *ret_commitment = commitment_make(&salts.report, "report", bytes, size);
    sysio_free(bytes);
    return STATUS_OK;
}

/* A gate that let nothing pass has moved the request to anything but a commit. */
static const char *verdict_of(const struct queue_move *move)
{
    if (move->verdict)
        return move->verdict;
    return move->event == REQUEST_EVENT_COMMIT ? "passed" : "rejected";
}

static enum status entry_evaluation(struct log_batch *b,
                                    const struct queue_move *move,
                                    const struct sha256 *report,
                                    struct fault *f)
{
    const struct log_value values[] = {
        log_value_request("request", &move->id),
        log_value_digest("version", move->version_after),
        log_value_commitment("report", report),
        log_value_word("verdict", verdict_of(move)),
    };
    return log_batch_add(b, LOG_KIND_EVALUATION, values, COUNT_OF(values), NULL, f);
}

/* Name of the error that a request carries; NULL: none. */
static const char *reason_of(const struct queue_record *q)
{
    return q->error.code == STATUS_OK ? NULL : status_name(q->error.code);
}

static enum status entry_done(struct log_batch *b,
                              const struct queue_record *q,
                              const struct sha256 *report,
                              struct fault *f)
{
    struct kv_bytes bytes = {0};
    struct log_request known;
    struct log_entry accepted;
    struct sha256 payload;
    uint64_t index = 0;
    int has_payload = 0;
    TRY(log_request_get(b->txn, &q->id, &known, f));
    if (known.accepted > 0) {
        TRY(audit_entry(b->txn, known.accepted - 1, &bytes, f));
        TRY(log_entry_parse(bytes.data, bytes.size, &accepted, f));
        has_payload = log_entry_hash(&accepted, "payload", &payload);
    }
    const struct log_value values[] = {
        log_value_request("request", &q->id),
        log_value_word("kind", q->kind),
        log_value_word("outcome", request_state_name(q->state)),
        log_value_word("reason", reason_of(q)),
        log_value_commitment("payload", has_payload ? &payload : NULL),
        log_value_digest("before", &q->version_before),
        log_value_digest("after", &q->version_after),
        log_value_commitment("report", report),
    };
    TRY(log_batch_add(b, LOG_KIND_REQUEST_DONE, values, COUNT_OF(values), &index, f));
    return note_request(b->txn, &q->id, 0, index + 1, f);
}

static enum status entry_state(struct log_batch *b,
                               enum request_state from,
                               const struct queue_move *move,
                               const struct queue_record *after,
                               struct fault *f)
{
    const struct log_value values[] = {
        log_value_request("request", &move->id),
        log_value_word("from", request_state_name(from)),
        log_value_word("event", request_event_name(move->event)),
        log_value_word("to", request_state_name(after->state)),
        log_value_word("reason", reason_of(after)),
        log_value_digest("version", move->version_after),
    };
    return log_batch_add(b, LOG_KIND_REQUEST_STATE, values, COUNT_OF(values), NULL, f);
}

enum status entry_moved(struct log_batch *b,
                        enum request_state from,
                        const struct queue_move *move,
                        const struct queue_record *after,
                        struct fault *f)
{
    struct sha256 report;
    const int final = request_state_is_final(after->state);
    const int measured = move->report && !digest_is_zero(move->report);
    const int reported = measured || (final && !digest_is_zero(&after->report));
    if (reported)
        TRY(commit_report(b, &move->id, &after->report, &report, f));
    if (move->event == REQUEST_EVENT_CANCEL && strcmp(b->actor, LOG_ACTOR_DAEMON) != 0)
        TRY(entry_cancel(b, &move->id, f));
    if (measured)
        TRY(entry_evaluation(b, move, &report, f));
    TRY(entry_state(b, from, move, after, f));
    return final ? entry_done(b, after, reported ? &report : NULL, f) : STATUS_OK;
}

/* ---------------------------------------------------------------- versions */

/* The name of a library's kernel is not ours to choose: one that is no word is left out. */
static const char *word_or_none(const char *text)
{
    return text && log_text_is(LOG_TYPE_WORD, text, strlen(text)) ? text : NULL;
}

enum status entry_version(struct log_batch *b,
                          const struct digest *id,
                          const struct version *v,
                          const struct store_method *method,
                          struct fault *f)
{
    struct log_value values[10] = {
        log_value_digest("version", id),
        log_value_number("number", v->number),
        log_value_digest("parent", &v->parent),
        log_value_request("request", &v->request),
        log_value_word("method", method->name),
        log_value_digest("parameters", method->parameters),
        log_value_word("kernel", word_or_none(v->kernel)),
        log_value_number("threads", v->threads),
    };
    size_t n = 8;
    if (method->has_seed)
        values[n++] = log_value_number("seed", method->seed);
    return log_batch_add(b, LOG_KIND_VERSION_COMMITTED, values, n, NULL, f);
}

enum status entry_serving(struct log_batch *b,
                          struct serving *serving,
                          const struct digest *from,
                          struct fault *f)
{
    uint64_t index = 0;
    const struct log_value values[] = {
        log_value_number("generation", serving->generation),
        log_value_digest("from", from),
        log_value_digest("to", &serving->version),
        log_value_request("request", &serving->request),
        log_value_actor("actor", b->actor),
    };
    TRY(log_batch_add(b, LOG_KIND_SERVING_MOVED, values, COUNT_OF(values), &index, f));
    serving->entry = index + 1;
    serving->since_us = from ? b->last_us : serving->since_us;
    return serving_set_entry(b->txn, serving->generation, index + 1, from ? b->last_us : 0, f);
}

enum status
entry_pin(struct log_batch *b, enum log_kind kind, const struct digest *version, struct fault *f)
{
    const struct log_value values[] = {
        log_value_digest("version", version),
        log_value_actor("actor", b->actor),
    };
    return log_batch_add(b, kind, values, COUNT_OF(values), NULL, f);
}

/* ---------------------------------------------------------------- data */

/* Made when it is first needed, and the same ever after. */
static enum status content_key(struct kv_txn *txn, struct commitment_salt *ret_key, struct fault *f)
{
    struct seal_key secret;
    _Static_assert(sizeof secret.b == sizeof ret_key->b, "the key of contents is a secret");
    TRY(vault_secret(txn, "content", &secret, f));
    memcpy(ret_key->b, secret.b, sizeof ret_key->b);
    seal_key_wipe(&secret);
    return STATUS_OK;
}

static enum status commit_content(struct kv_txn *txn,
                                  const char *name,
                                  const struct digest *content,
                                  struct sha256 *ret_commitment,
                                  struct fault *f)
{
    struct commitment_salt key;
    TRY(content_key(txn, &key, f));
    *ret_commitment = commitment_make(&key, name, content->b, DIGEST_SIZE);
    sign_wipe(&key, sizeof key);
    return STATUS_OK;
}

enum status entry_data(struct log_batch *b,
                       enum log_kind kind,
                       const struct digest *content,
                       const char *role,
                       struct fault *f)
{
    struct sha256 commitment;
    TRY(commit_content(b->txn, "content", content, &commitment, f));
    struct log_value values[3] = {
        log_value_commitment("content", &commitment),
        log_value_actor("actor", b->actor),
    };
    size_t n = 2;
    if (role)
        values[n++] = log_value_word("role", role);
    return log_batch_add(b, kind, values, n, NULL, f);
}

enum status
entry_memory(struct log_batch *b, enum log_kind kind, const struct digest *memory, struct fault *f)
{
    struct sha256 commitment;
    TRY(commit_content(b->txn, "memory", memory, &commitment, f));
    const struct log_value values[] = {log_value_commitment("memory", &commitment)};
    return log_batch_add(b, kind, values, COUNT_OF(values), NULL, f);
}
