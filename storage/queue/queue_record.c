#include "storage/queue/queue_record.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define QUEUE_RECORD_FORMAT 2u
#define QUEUE_RECORD_FIRST  1u /* without attachment */

static void put_extent(struct byte_writer *w, const struct extent *e)
{
    put_bytes(w, e->name, sizeof e->name);
    put_u64(w, e->size);
}

static void get_extent(struct byte_reader *r, struct extent *e)
{
    get_bytes(r, e->name, sizeof e->name);
    e->size = get_u64(r);
}

size_t queue_record_encode(const struct queue_record *q, uint8_t to[QUEUE_RECORD_MAX])
{
    struct byte_writer w = byte_writer_make(to, QUEUE_RECORD_MAX);
    put_u8(&w, QUEUE_RECORD_FORMAT);
    put_u8(&w, (uint8_t)q->state);
    put_u8(&w, q->cancel_requested != 0);
    put_u64(&w, q->sequence);
    put_string(&w, q->principal);
    put_string(&w, q->kind);
    put_u64(&w, q->seed);
    put_u32(&w, q->attempts);
    put_u32(&w, q->step);
    put_i64(&w, q->submitted_us);
    put_i64(&w, q->due_us);
    put_i64(&w, q->started_us);
    put_i64(&w, q->finished_us);
    put_bytes(&w, q->payload_digest.b, DIGEST_SIZE);
    put_extent(&w, &q->payload);
    put_extent(&w, &q->answer);
    put_u32(&w, (uint32_t)q->error.code);
    put_string(&w, q->error.field);
    put_string(&w, q->error.text);
    put_bytes(&w, q->version_before.b, DIGEST_SIZE);
    put_bytes(&w, q->version_after.b, DIGEST_SIZE);
    put_bytes(&w, q->report.b, DIGEST_SIZE);
    put_bytes(&w, q->duplicate_of.b, REQUEST_ID_SIZE);
    put_bytes(&w, q->attachment.b, DIGEST_SIZE);
    INVARIANT(!w.failed);
    return w.used;
}

static void get_result(struct byte_reader *r, struct queue_record *q)
{
    q->error.code = status_from_number((int32_t)get_u32(r));
    get_string(r, q->error.field, sizeof q->error.field);
    get_string(r, q->error.text, sizeof q->error.text);
    get_bytes(r, q->version_before.b, DIGEST_SIZE);
    get_bytes(r, q->version_after.b, DIGEST_SIZE);
    get_bytes(r, q->report.b, DIGEST_SIZE);
    get_bytes(r, q->duplicate_of.b, REQUEST_ID_SIZE);
}

enum status queue_record_decode(struct kv_bytes key,
                                struct kv_bytes value,
                                struct queue_record *ret_record,
                                struct fault *f)
{
    struct queue_record q = {0};
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    const unsigned state = get_u8(&r);
    const unsigned cancel = get_u8(&r);
    q.sequence = get_u64(&r);
    get_string(&r, q.principal, sizeof q.principal);
    get_string(&r, q.kind, sizeof q.kind);
    q.seed = get_u64(&r);
    q.attempts = get_u32(&r);
    q.step = get_u32(&r);
    q.submitted_us = get_i64(&r);
    q.due_us = get_i64(&r);
    q.started_us = get_i64(&r);
    q.finished_us = get_i64(&r);
    get_bytes(&r, q.payload_digest.b, DIGEST_SIZE);
    get_extent(&r, &q.payload);
    get_extent(&r, &q.answer);
    get_result(&r, &q);
    if (format >= QUEUE_RECORD_FORMAT)
        get_bytes(&r, q.attachment.b, DIGEST_SIZE);
    if (!byte_reader_done(&r) || format < QUEUE_RECORD_FIRST || format > QUEUE_RECORD_FORMAT ||
        cancel > 1 || key.size != REQUEST_ID_SIZE || !request_state_is_valid(state) ||
        q.sequence == 0)
        FAIL(f, STATUS_DATA_LOSS, "request", "the record of a request is damaged");
    memcpy(q.id.b, key.data, REQUEST_ID_SIZE);
    q.state = (enum request_state)state;
    q.cancel_requested = (int)cancel;
    *ret_record = q;
    return STATUS_OK;
}
