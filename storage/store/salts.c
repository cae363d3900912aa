#include "storage/store/salts.h"

#include "daemon/base/invariant.h"

#define SALTS_FORMAT      1u
#define SALTS_RECORD_SIZE (1 + 4 * COMMITMENT_SALT_SIZE)

static struct kv_bytes key_of(const struct request_id *id)
{
    return kv_bytes_of(id->b, sizeof id->b);
}

enum status
salts_get(struct kv_txn *txn, const struct request_id *id, struct salts *ret_salts, struct fault *f)
{
    struct salts s;
    struct kv_bytes value = {0};
    TRY(kv_get(txn, KV_SALTS, key_of(id), &value, f));
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    get_bytes(&r, s.payload.b, COMMITMENT_SALT_SIZE);
    get_bytes(&r, s.subject.b, COMMITMENT_SALT_SIZE);
    get_bytes(&r, s.report.b, COMMITMENT_SALT_SIZE);
    get_bytes(&r, s.reason.b, COMMITMENT_SALT_SIZE);
    if (!byte_reader_done(&r) || format != SALTS_FORMAT)
        FAIL(f, STATUS_DATA_LOSS, "salts", "the salts of a request are damaged");
    *ret_salts = s;
    return STATUS_OK;
}

static enum status
put(struct kv_txn *txn, const struct request_id *id, const struct salts *s, struct fault *f)
{
    uint8_t record[SALTS_RECORD_SIZE];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    put_u8(&w, SALTS_FORMAT);
    put_bytes(&w, s->payload.b, COMMITMENT_SALT_SIZE);
    put_bytes(&w, s->subject.b, COMMITMENT_SALT_SIZE);
    put_bytes(&w, s->report.b, COMMITMENT_SALT_SIZE);
    put_bytes(&w, s->reason.b, COMMITMENT_SALT_SIZE);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_SALTS, key_of(id), kv_bytes_of(record, w.used), f);
}

enum status salts_make(struct kv_txn *txn,
                       const struct request_id *id,
                       struct salts *ret_salts,
                       struct fault *f)
{
    const enum status st = salts_get(txn, id, ret_salts, f);
    if (st != STATUS_NOT_FOUND)
        return st;
    const struct salts s = {.payload = commitment_salt_make(),
                            .subject = commitment_salt_make(),
                            .report = commitment_salt_make(),
                            .reason = commitment_salt_make()};
    TRY(put(txn, id, &s, f));
    *ret_salts = s;
    return STATUS_OK;
}

enum status salts_forget(struct kv_txn *txn, const struct request_id *id, struct fault *f)
{
    const enum status st = kv_del(txn, KV_SALTS, key_of(id), f);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}
