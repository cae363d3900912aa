#include "storage/store/log_requests.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define LOG_REQUEST_FORMAT     1u
#define LOG_REQUEST_RECORD_MAX (1 + 8 + 8 + 4 + NOTE_SIGNED_SIZE)

enum status log_request_get(struct kv_txn *txn,
                            const struct request_id *id,
                            struct log_request *ret_record,
                            struct fault *f)
{
    struct log_request q = {0};
    struct kv_bytes value = {0};
    const enum status st =
        kv_get(txn, KV_LOG_REQUESTS, kv_bytes_of(id->b, sizeof id->b), &value, f);
    if (st == STATUS_NOT_FOUND) {
        *ret_record = q;
        return STATUS_OK;
    }
    TRY(st);
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    q.accepted = get_u64(&r);
    q.done = get_u64(&r);
    const uint8_t *checkpoint = get_blob(&r, &q.checkpoint_size);
    if (!byte_reader_done(&r) || format != LOG_REQUEST_FORMAT ||
        q.checkpoint_size > sizeof q.checkpoint)
        FAIL(f, STATUS_DATA_LOSS, "log", "the record of a request's entries is damaged");
    if (q.checkpoint_size > 0)
        memcpy(q.checkpoint, checkpoint, q.checkpoint_size);
    *ret_record = q;
    return STATUS_OK;
}

enum status log_request_put(struct kv_txn *txn,
                            const struct request_id *id,
                            const struct log_request *record,
                            struct fault *f)
{
    uint8_t bytes[LOG_REQUEST_RECORD_MAX];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    put_u8(&w, LOG_REQUEST_FORMAT);
    put_u64(&w, record->accepted);
    put_u64(&w, record->done);
    put_blob(&w, record->checkpoint, record->checkpoint_size);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_LOG_REQUESTS, kv_bytes_of(id->b, sizeof id->b),
                  kv_bytes_of(bytes, w.used), f);
}
