#include "storage/queue/request_counts.h"

#include "daemon/base/bytes.h"

#include <string.h>

#define COUNTS_FORMAT  1u
#define COUNTS_SIZE    (1 + 4 + REQUEST_STATES * 8)
#define STATE_KEY_SIZE 9 /* state u8, sequence u64 */

static struct kv_bytes record_key(void)
{
    static const char KEY[] = "request-counts";
    return kv_bytes_of(KEY, sizeof KEY - 1);
}

static enum status
count_one(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    uint64_t *counts = context;
    const uint8_t *k = key.data;
    (void)value;
    if (key.size != STATE_KEY_SIZE || !request_state_is_valid(k[0]))
        FAIL(f, STATUS_DATA_LOSS, "request", "the index of states is damaged");
    counts[k[0]]++;
    return STATUS_OK;
}

enum status
request_counts_scan(struct kv_txn *txn, uint64_t ret_counts[REQUEST_STATES], struct fault *f)
{
    uint64_t counts[REQUEST_STATES] = {0};
    TRY(kv_scan(txn, KV_REQUEST_STATE, kv_bytes_of(NULL, 0), count_one, counts, f));
    memcpy(ret_counts, counts, sizeof counts);
    return STATUS_OK;
}

enum status
request_counts_get(struct kv_txn *txn, uint64_t ret_counts[REQUEST_STATES], struct fault *f)
{
    struct kv_bytes value = {0};
    uint64_t counts[REQUEST_STATES] = {0};
    const enum status st = kv_get(txn, KV_META, record_key(), &value, f);
    if (st == STATUS_NOT_FOUND)
        return request_counts_scan(txn, ret_counts, f);
    TRY(st);
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    const uint32_t n = get_u32(&r);
    for (uint32_t i = 0; i < n && i < REQUEST_STATES; i++)
        counts[i] = get_u64(&r);
    if (!byte_reader_done(&r) || format != COUNTS_FORMAT)
        FAIL(f, STATUS_DATA_LOSS, "request", "the counts of requests are damaged");
    memcpy(ret_counts, counts, sizeof counts);
    return STATUS_OK;
}

enum status request_counts_move(struct kv_txn *txn,
                                enum request_state from,
                                enum request_state to,
                                struct fault *f)
{
    uint8_t record[COUNTS_SIZE];
    uint64_t counts[REQUEST_STATES];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    TRY(request_counts_get(txn, counts, f));
    if (from != REQUEST_NONE && counts[from] == 0)
        FAIL(f, STATUS_DATA_LOSS, "request", "the counts of requests are damaged");
    counts[from] -= from != REQUEST_NONE;
    counts[to]++;
    put_u8(&w, COUNTS_FORMAT);
    put_u32(&w, REQUEST_STATES);
    for (size_t i = 0; i < REQUEST_STATES; i++)
        put_u64(&w, counts[i]);
    return kv_put(txn, KV_META, record_key(), kv_bytes_of(record, w.used), f);
}
