#include "storage/store/store_event.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define EVENT_FORMAT 1u
#define EVENT_RECORD_MAX                                                                           \
    (1 + 8 + 1 + 4 + EVENT_KIND_SIZE + REQUEST_ID_SIZE + DIGEST_SIZE + 4 + EVENT_TEXT_SIZE)

static enum status put_record(struct kv_txn *txn, const struct event *e, struct fault *f)
{
    uint8_t key[8];
    uint8_t record[EVENT_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    kv_key_u64(key, e->sequence);
    put_u8(&w, EVENT_FORMAT);
    put_i64(&w, e->wall_us);
    put_u8(&w, e->clock_held != 0);
    put_string(&w, e->kind);
    put_bytes(&w, e->request.b, REQUEST_ID_SIZE);
    put_bytes(&w, e->version.b, DIGEST_SIZE);
    put_string(&w, e->text);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_EVENTS, kv_bytes_of(key, sizeof key), kv_bytes_of(record, w.used), f);
}

static enum status
parse_record(struct kv_bytes key, struct kv_bytes value, struct event *ret, struct fault *f)
{
    struct event e = {0};
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    e.wall_us = get_i64(&r);
    const unsigned held = get_u8(&r);
    get_string(&r, e.kind, sizeof e.kind);
    get_bytes(&r, e.request.b, REQUEST_ID_SIZE);
    get_bytes(&r, e.version.b, DIGEST_SIZE);
    get_string(&r, e.text, sizeof e.text);
    if (!byte_reader_done(&r) || format != EVENT_FORMAT || held > 1 || key.size != 8)
        FAIL(f, STATUS_DATA_LOSS, "event", "the record of an event is damaged");
    e.sequence = kv_key_u64_read(key.data);
    e.clock_held = (int)held;
    *ret = e;
    return STATUS_OK;
}

/* NOT_FOUND (fault untouched) if there is no event yet. */
static enum status newest(struct kv_txn *txn, struct event *ret_event, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, KV_EVENTS, kv_bytes_of(NULL, 0), &c, f));
    enum status st = kv_cursor_prev(c, &key, &value, f);
    if (st == STATUS_OK)
        st = parse_record(key, value, ret_event, f);
    kv_cursor_close(c);
    return st;
}

enum status event_append(struct kv_txn *txn, struct event *e, struct fault *f)
{
    struct event last = {0};
    const enum status st = newest(txn, &last, f);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    e->sequence = last.sequence + 1;
    e->clock_held = last.sequence > 0 && e->wall_us < last.wall_us;
    if (e->clock_held)
        e->wall_us = last.wall_us;
    return put_record(txn, e, f);
}

enum status
event_get(struct kv_txn *txn, uint64_t sequence, struct event *ret_event, struct fault *f)
{
    uint8_t bytes[8];
    struct kv_bytes value = {0};
    kv_key_u64(bytes, sequence);
    const struct kv_bytes key = kv_bytes_of(bytes, sizeof bytes);
    const enum status st = kv_get(txn, KV_EVENTS, key, &value, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "event", "there is no event %llu", (unsigned long long)sequence);
    TRY(st);
    return parse_record(key, value, ret_event, f);
}

enum status event_latest(struct kv_txn *txn, uint64_t *ret_sequence, struct fault *f)
{
    struct event last = {0};
    const enum status st = newest(txn, &last, f);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    *ret_sequence = last.sequence;
    return STATUS_OK;
}

enum status event_list(struct kv_txn *txn,
                       uint64_t first,
                       size_t limit,
                       event_list_fn *fn,
                       void *context,
                       struct fault *f)
{
    uint8_t from[8];
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, KV_EVENTS, kv_bytes_of(NULL, 0), &c, f));
    kv_key_u64(from, first);
    kv_cursor_seek(c, kv_bytes_of(from, sizeof from));
    enum status st = STATUS_OK;
    for (size_t n = 0; st == STATUS_OK && (limit == 0 || n < limit); n++) {
        struct event e = {0};
        st = kv_cursor_next(c, &key, &value, f);
        if (st == STATUS_NOT_FOUND) {
            st = STATUS_OK;
            break;
        }
        if (st == STATUS_OK)
            st = parse_record(key, value, &e, f);
        if (st == STATUS_OK)
            st = fn(&e, context, f);
    }
    kv_cursor_close(c);
    return st;
}
