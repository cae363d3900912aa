#include "storage/store/old_events.h"

#include "daemon/base/bytes.h"
#include "proto/seal/merkle.h"

#include <string.h>

#define EVENT_FORMAT    1u
#define EVENT_KIND_SIZE 32
#define EVENT_TEXT_SIZE 160
#define EVENT_RECORD_MAX                                                                           \
    (1 + 8 + 1 + 4 + EVENT_KIND_SIZE + REQUEST_ID_SIZE + DIGEST_SIZE + 4 + EVENT_TEXT_SIZE)

struct old_event {
    size_t head; /* bytes in front of the text's length */
    char kind[EVENT_KIND_SIZE];
    char text[EVENT_TEXT_SIZE];
};

static enum status parse_record(struct kv_bytes value, struct old_event *ret, struct fault *f)
{
    struct old_event e = {0};
    uint8_t skipped[REQUEST_ID_SIZE + DIGEST_SIZE];
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    (void)get_i64(&r);
    const unsigned held = get_u8(&r);
    get_string(&r, e.kind, sizeof e.kind);
    get_bytes(&r, skipped, sizeof skipped);
    e.head = r.used;
    get_string(&r, e.text, sizeof e.text);
    if (!byte_reader_done(&r) || format != EVENT_FORMAT || held > 1)
        FAIL(f, STATUS_DATA_LOSS, "event", "the record of an event is damaged");
    *ret = e;
    return STATUS_OK;
}

static int tells_of_content(const char *kind)
{
    return strncmp(kind, "data.", 5) == 0 || strncmp(kind, "memory.", 7) == 0;
}

/* The same record with an empty text. */
static enum status empty_text(struct kv_txn *txn,
                              struct kv_bytes key,
                              struct kv_bytes value,
                              const struct old_event *e,
                              struct fault *f)
{
    uint8_t record[EVENT_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    put_bytes(&w, value.data, e->head);
    put_string(&w, "");
    return kv_put(txn, KV_EVENTS, key, kv_bytes_of(record, w.used), f);
}

static enum status
get_event(struct kv_txn *txn, struct kv_bytes key, struct kv_bytes *ret_value, struct fault *f)
{
    const enum status st = kv_get(txn, KV_EVENTS, key, ret_value, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "event", "the numbers of the events have a hole");
    return st;
}

enum status old_events_clean(struct kv_txn *txn, struct fault *f)
{
    uint64_t count = 0;
    TRY(kv_count(txn, KV_EVENTS, &count, f));
    for (uint64_t n = 1; n <= count; n++) {
        uint8_t bytes[8];
        struct old_event e;
        struct kv_bytes value = {0};
        kv_key_u64(bytes, n);
        const struct kv_bytes key = kv_bytes_of(bytes, sizeof bytes);
        TRY(get_event(txn, key, &value, f));
        TRY(parse_record(value, &e, f));
        if (tells_of_content(e.kind) && e.text[0] != '\0')
            TRY(empty_text(txn, key, value, &e, f));
    }
    return STATUS_OK;
}

enum status
old_events_root(struct kv_txn *txn, uint64_t *ret_count, struct sha256 *ret_root, struct fault *f)
{
    uint64_t count = 0;
    struct merkle_range range;
    struct merkle_full full[MERKLE_DEPTH];
    merkle_range_init(&range);
    TRY(kv_count(txn, KV_EVENTS, &count, f));
    for (uint64_t n = 1; n <= count; n++) {
        uint8_t bytes[8];
        struct old_event e;
        struct kv_bytes value = {0};
        kv_key_u64(bytes, n);
        TRY(get_event(txn, kv_bytes_of(bytes, sizeof bytes), &value, f));
        TRY(parse_record(value, &e, f));
        const struct sha256 leaf = merkle_leaf(value.data, value.size);
        (void)merkle_append(&range, &leaf, full);
    }
    *ret_count = count;
    *ret_root = merkle_root(&range);
    return STATUS_OK;
}
