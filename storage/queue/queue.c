#include "storage/queue/queue.h"

#include "daemon/base/sysio.h"
#include "storage/queue/queue_record.h"
#include "storage/queue/request_counts.h"

#include <stdio.h>
#include <string.h>

#define STATE_KEY_SIZE 9

static struct kv_bytes id_key(const struct request_id *id)
{
    return kv_bytes_of(id->b, sizeof id->b);
}

static struct kv_bytes
state_key(enum request_state state, uint64_t sequence, uint8_t to[STATE_KEY_SIZE])
{
    to[0] = (uint8_t)state;
    kv_key_u64(to + 1, sequence);
    return kv_bytes_of(to, STATE_KEY_SIZE);
}

/* Finds and decodes; NOT_FOUND leaves the fault untouched. */
static enum status find_record(struct kv_txn *txn,
                               const struct request_id *id,
                               struct queue_record *ret_record,
                               struct fault *f)
{
    struct kv_bytes value = {0};
    TRY(kv_get(txn, KV_REQUESTS, id_key(id), &value, f));
    return queue_record_decode(id_key(id), value, ret_record, f);
}

static enum status put_record(struct kv_txn *txn, const struct queue_record *q, struct fault *f)
{
    uint8_t bytes[QUEUE_RECORD_MAX];
    const size_t n = queue_record_encode(q, bytes);
    return kv_put(txn, KV_REQUESTS, id_key(&q->id), kv_bytes_of(bytes, n), f);
}

enum status queue_get(struct kv_txn *txn,
                      const struct request_id *id,
                      struct queue_record *ret_record,
                      struct fault *f)
{
    const enum status st = find_record(txn, id, ret_record, f);
    if (st == STATUS_NOT_FOUND) {
        char text[REQUEST_ID_TEXT_SIZE];
        request_id_format(id, text);
        FAIL(f, STATUS_NOT_FOUND, "id", "there is no request %s", text);
    }
    return st;
}

/* ---------------------------------------------------------------- acceptance */

static enum status check_text(const char *text, size_t size, const char *field, struct fault *f)
{
    const size_t n = text ? strlen(text) : 0;
    if (n == 0 || n >= size)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%zu bytes, allowed 1 to %zu", n, size - 1);
    return STATUS_OK;
}

static enum status check_submission(const struct queue_submission *s, struct fault *f)
{
    if (request_id_is_zero(&s->id))
        FAIL(f, STATUS_INVALID_ARGUMENT, "request_id", "the request id is all zero");
    TRY(check_text(s->principal, QUEUE_PRINCIPAL_SIZE, "principal", f));
    TRY(check_text(s->kind, QUEUE_KIND_SIZE, "kind", f));
    if (s->payload_size > QUEUE_PAYLOAD_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "payload", "%zu bytes, limit %zu", s->payload_size,
             QUEUE_PAYLOAD_MAX);
    return STATUS_OK;
}

static enum status check_repeat(const struct queue_submission *s,
                                const struct digest *digest,
                                const struct queue_record *q,
                                struct fault *f)
{
    if (strcmp(q->principal, s->principal) != 0)
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id", "this request id is taken");
    if (strcmp(q->kind, s->kind) != 0 || !digest_equal(&q->payload_digest, digest))
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id",
             "this request id was used with another payload");
    return STATUS_OK;
}

static enum status next_sequence(struct kv_txn *txn, uint64_t *ret_sequence, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, KV_REQUEST_ORDER, kv_bytes_of(NULL, 0), &c, f));
    const enum status st = kv_cursor_prev(c, &key, &value, f);
    kv_cursor_close(c);
    if (st == STATUS_NOT_FOUND) {
        *ret_sequence = 1;
        return STATUS_OK;
    }
    TRY(st);
    if (key.size != 8)
        FAIL(f, STATUS_DATA_LOSS, "request", "the order of requests is damaged");
    *ret_sequence = kv_key_u64_read(key.data) + 1;
    return STATUS_OK;
}

static enum status
put_extent(struct kv_txn *txn, const void *bytes, size_t n, struct extent *ret, struct fault *f)
{
    struct extent e = extent_make();
    TRY(extent_append(txn, &e, bytes, n, f));
    *ret = e;
    return STATUS_OK;
}

static enum status put_indexes(struct kv_txn *txn, const struct queue_record *q, struct fault *f)
{
    uint8_t key[STATE_KEY_SIZE];
    uint8_t order[8];
    TRY(request_counts_move(txn, REQUEST_NONE, q->state, f));
    kv_key_u64(order, q->sequence);
    TRY(kv_put(txn, KV_REQUEST_ORDER, kv_bytes_of(order, sizeof order), id_key(&q->id), f));
    return kv_put(txn, KV_REQUEST_STATE, state_key(q->state, q->sequence, key), id_key(&q->id), f);
}

enum status queue_accept(struct kv_txn *txn,
                         const struct queue_submission *s,
                         struct queue_record *ret_record,
                         int *ret_known,
                         struct fault *f)
{
    struct queue_record q = {0};
    TRY(check_submission(s, f));
    const struct digest digest = seal_hash(s->payload, s->payload_size);
    const enum status found = find_record(txn, &s->id, &q, f);
    if (found == STATUS_OK) {
        TRY(check_repeat(s, &digest, &q, f));
        *ret_record = q;
        *ret_known = 1;
        return STATUS_OK;
    }
    if (found != STATUS_NOT_FOUND)
        return found;
    q = (struct queue_record){.id = s->id,
                              .state = request_state_after(REQUEST_NONE, REQUEST_EVENT_ACCEPT),
                              .seed = s->seed,
                              .submitted_us = s->submitted_us,
                              .due_us = s->due_us,
                              .payload_digest = digest};
    if (s->attachment)
        q.attachment = *s->attachment;
    (void)snprintf(q.principal, sizeof q.principal, "%s", s->principal);
    (void)snprintf(q.kind, sizeof q.kind, "%s", s->kind);
    TRY(next_sequence(txn, &q.sequence, f));
    TRY(put_extent(txn, s->payload, s->payload_size, &q.payload, f));
    TRY(put_record(txn, &q, f));
    TRY(put_indexes(txn, &q, f));
    *ret_record = q;
    *ret_known = 0;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- moves */

static enum status replace_answer(
    struct kv_txn *txn, struct queue_record *q, const void *bytes, size_t n, struct fault *f)
{
    if (n > QUEUE_ANSWER_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "answer", "%zu bytes, limit %zu", n, QUEUE_ANSWER_MAX);
    TRY(extent_delete(txn, &q->answer, f));
    return put_extent(txn, bytes, n, &q->answer, f);
}

static enum status apply_fields(struct kv_txn *txn,
                                struct queue_record *q,
                                const struct queue_move *m,
                                struct fault *f)
{
    if (m->error)
        q->error = *m->error;
    if (m->version_before)
        q->version_before = *m->version_before;
    if (m->version_after)
        q->version_after = *m->version_after;
    if (m->report)
        q->report = *m->report;
    if (m->duplicate_of)
        q->duplicate_of = *m->duplicate_of;
    return m->answer ? replace_answer(txn, q, m->answer, m->answer_size, f) : STATUS_OK;
}

static void apply_event(struct queue_record *q, enum request_event event, int64_t now_us)
{
    if (event == REQUEST_EVENT_START || event == REQUEST_EVENT_COMMIT)
        q->error = (struct queue_error){.code = STATUS_OK};
    if (event == REQUEST_EVENT_START) {
        q->attempts++;
        q->started_us = now_us;
    }
    if (event == REQUEST_EVENT_NEXT_STEP)
        q->step++;
    if (event == REQUEST_EVENT_OVERTAKEN)
        q->step = 0;
    if (request_state_is_final(q->state)) {
        q->finished_us = now_us;
        q->cancel_requested = 0;
    }
}

static enum status move_index(struct kv_txn *txn,
                              const struct queue_record *q,
                              enum request_state from,
                              struct fault *f)
{
    uint8_t key[STATE_KEY_SIZE];
    TRY(request_counts_move(txn, from, q->state, f));
    const enum status st = kv_del(txn, KV_REQUEST_STATE, state_key(from, q->sequence, key), f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "request", "the index of states lacks a request");
    TRY(st);
    return kv_put(txn, KV_REQUEST_STATE, state_key(q->state, q->sequence, key), id_key(&q->id), f);
}

enum status queue_move(struct kv_txn *txn,
                       const struct queue_move *move,
                       struct queue_record *ret_record,
                       struct fault *f)
{
    struct queue_record q;
    TRY(queue_get(txn, &move->id, &q, f));
    const enum request_state from = q.state;
    const enum request_state to = request_state_after(from, move->event);
    if (to == REQUEST_NONE)
        FAIL(f, STATUS_FAILED_PRECONDITION, "state", "a request that is %s takes no \"%s\"",
             request_state_name(from), request_event_name(move->event));
    q.state = to;
    apply_event(&q, move->event, move->now_us);
    TRY(apply_fields(txn, &q, move, f));
    TRY(put_record(txn, &q, f));
    TRY(move_index(txn, &q, from, f));
    *ret_record = q;
    return STATUS_OK;
}

enum status queue_request_cancel(struct kv_txn *txn, const struct request_id *id, struct fault *f)
{
    struct queue_record q;
    TRY(queue_get(txn, id, &q, f));
    if (q.state != REQUEST_RUNNING && q.state != REQUEST_EVALUATING)
        FAIL(f, STATUS_FAILED_PRECONDITION, "state", "a request that is %s is not running",
             request_state_name(q.state));
    q.cancel_requested = 1;
    return put_record(txn, &q, f);
}

enum status queue_set_answer(
    struct kv_txn *txn, const struct request_id *id, const void *bytes, size_t n, struct fault *f)
{
    struct queue_record q;
    TRY(queue_get(txn, id, &q, f));
    TRY(replace_answer(txn, &q, bytes, n, f));
    return put_record(txn, &q, f);
}

/* ---------------------------------------------------------------- reading */

enum status queue_payload(struct kv_txn *txn,
                          const struct queue_record *record,
                          void **ret_bytes,
                          size_t *ret_size,
                          struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    TRY(extent_load(txn, &record->payload, QUEUE_PAYLOAD_MAX, &bytes, &size, f));
    const struct digest digest = seal_hash(bytes, size);
    if (!digest_equal(&digest, &record->payload_digest)) {
        sysio_free(bytes);
        FAIL(f, STATUS_DATA_LOSS, "payload", "the payload is not what its digest says");
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return STATUS_OK;
}

enum status queue_answer(struct kv_txn *txn,
                         const struct queue_record *record,
                         void **ret_bytes,
                         size_t *ret_size,
                         struct fault *f)
{
    if (extent_is_none(&record->answer))
        return STATUS_NOT_FOUND;
    return extent_load(txn, &record->answer, QUEUE_ANSWER_MAX, ret_bytes, ret_size, f);
}

static enum status
indexed(struct kv_txn *txn, struct kv_bytes value, struct queue_record *ret, struct fault *f)
{
    struct request_id id;
    if (value.size != sizeof id.b)
        FAIL(f, STATUS_DATA_LOSS, "request", "an index of requests is damaged");
    memcpy(id.b, value.data, sizeof id.b);
    const enum status st = find_record(txn, &id, ret, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "request", "an index names a request that is not there");
    return st;
}

enum status queue_oldest(struct kv_txn *txn,
                         enum request_state state,
                         struct queue_record *ret_record,
                         struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    const uint8_t prefix = (uint8_t)state;
    TRY(kv_cursor_open(txn, KV_REQUEST_STATE, kv_bytes_of(&prefix, 1), &c, f));
    enum status st = kv_cursor_next(c, &key, &value, f);
    if (st == STATUS_OK)
        st = indexed(txn, value, ret_record, f);
    kv_cursor_close(c);
    return st;
}

enum status queue_counts(struct kv_txn *txn, uint64_t ret_counts[REQUEST_STATES], struct fault *f)
{
    return request_counts_get(txn, ret_counts, f);
}

/* Puts the cursor behind (or, newest first, before) sequence number `after`. */
static void list_seek(struct kv_cursor *c, const struct queue_filter *filter)
{
    uint8_t key[STATE_KEY_SIZE];
    const uint64_t from = filter->newest_first ? filter->after : filter->after + 1;
    if (filter->after == 0)
        return;
    (void)state_key(filter->state, from, key);
    if (filter->state == REQUEST_NONE)
        kv_cursor_seek(c, kv_bytes_of(key + 1, 8));
    else
        kv_cursor_seek(c, kv_bytes_of(key, STATE_KEY_SIZE));
}

static enum status list_with(struct kv_txn *txn,
                             struct kv_cursor *c,
                             const struct queue_filter *filter,
                             queue_list_fn *fn,
                             void *context,
                             struct fault *f)
{
    for (size_t n = 0; filter->limit == 0 || n < filter->limit; n++) {
        struct queue_record q;
        struct kv_bytes key = {0};
        struct kv_bytes value = {0};
        const enum status st = filter->newest_first ? kv_cursor_prev(c, &key, &value, f)
                                                    : kv_cursor_next(c, &key, &value, f);
        if (st == STATUS_NOT_FOUND)
            break;
        TRY(st);
        TRY(indexed(txn, value, &q, f));
        TRY(fn(&q, context, f));
    }
    return STATUS_OK;
}

enum status queue_list(struct kv_txn *txn,
                       const struct queue_filter *filter,
                       queue_list_fn *fn,
                       void *context,
                       struct fault *f)
{
    struct kv_cursor *c;
    const uint8_t prefix = (uint8_t)filter->state;
    const int all = filter->state == REQUEST_NONE;
    TRY(kv_cursor_open(txn, all ? KV_REQUEST_ORDER : KV_REQUEST_STATE,
                       kv_bytes_of(&prefix, all ? 0 : 1), &c, f));
    list_seek(c, filter);
    const enum status st = list_with(txn, c, filter, fn, context, f);
    kv_cursor_close(c);
    return st;
}
