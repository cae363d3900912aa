#include "storage/store/certificates.h"

#include "daemon/base/invariant.h"
#include "proto/seal/certificate.h"
#include "storage/audit/audit_log.h"
#include "storage/blobs/blobs.h"

#include <string.h>

#define CERTIFICATE_FORMAT 1u
#define CERTIFICATE_RECORD_MAX                                                                     \
    (1 + 8 + 3 * DIGEST_SIZE + 2 * COMMITMENT_SALT_SIZE + 4 + NOTE_SIGNED_SIZE)

static struct kv_bytes key_of(const struct request_id *id)
{
    return kv_bytes_of(id->b, sizeof id->b);
}

enum status certificate_record_get(struct kv_txn *txn,
                                   const struct request_id *id,
                                   struct certificate_record *ret_record,
                                   struct fault *f)
{
    struct certificate_record c;
    struct kv_bytes value = {0};
    TRY(kv_get(txn, KV_CERTIFICATES, key_of(id), &value, f));
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    c.index = get_u64(&r);
    get_bytes(&r, c.state.b, DIGEST_SIZE);
    get_bytes(&r, c.json.b, DIGEST_SIZE);
    get_bytes(&r, c.html.b, DIGEST_SIZE);
    get_bytes(&r, c.json_salt.b, COMMITMENT_SALT_SIZE);
    get_bytes(&r, c.html_salt.b, COMMITMENT_SALT_SIZE);
    const uint8_t *checkpoint = get_blob(&r, &c.checkpoint_size);
    if (!byte_reader_done(&r) || format != CERTIFICATE_FORMAT ||
        c.checkpoint_size > sizeof c.checkpoint)
        FAIL(f, STATUS_DATA_LOSS, "certificate", "the record of a certificate is damaged");
    if (c.checkpoint_size > 0)
        memcpy(c.checkpoint, checkpoint, c.checkpoint_size);
    *ret_record = c;
    return STATUS_OK;
}

static enum status put(struct kv_txn *txn,
                       const struct request_id *id,
                       const struct certificate_record *c,
                       struct fault *f)
{
    uint8_t record[CERTIFICATE_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    put_u8(&w, CERTIFICATE_FORMAT);
    put_u64(&w, c->index);
    put_bytes(&w, c->state.b, DIGEST_SIZE);
    put_bytes(&w, c->json.b, DIGEST_SIZE);
    put_bytes(&w, c->html.b, DIGEST_SIZE);
    put_bytes(&w, c->json_salt.b, COMMITMENT_SALT_SIZE);
    put_bytes(&w, c->html_salt.b, COMMITMENT_SALT_SIZE);
    put_blob(&w, c->checkpoint, c->checkpoint_size);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_CERTIFICATES, key_of(id), kv_bytes_of(record, w.used), f);
}

/* The texts of the one before: whoever was given it has them. */
static enum status drop_old(struct kv_txn *txn, const struct request_id *id, struct fault *f)
{
    struct certificate_record old;
    const enum status st = certificate_record_get(txn, id, &old, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    TRY(blob_delete(txn, &old.json, f));
    return blob_delete(txn, &old.html, f);
}

enum status
certificate_record_issue(struct log_batch *b, const struct store_certificate *c, struct fault *f)
{
    struct sha256 json, html;
    struct certificate_record r = {.state = c->state,
                                   .json_salt = commitment_salt_make(),
                                   .html_salt = commitment_salt_make()};
    TRY(drop_old(b->txn, &c->request, f));
    TRY(blob_put(b->txn, BLOB_OTHER, c->json, c->json_size, &r.json, f));
    TRY(blob_put(b->txn, BLOB_OTHER, c->html, c->html_size, &r.html, f));
    TRY(certificate_commit(&r.json_salt, CERTIFICATE_JSON, c->json, c->json_size, &json, f));
    TRY(certificate_commit(&r.html_salt, CERTIFICATE_HTML, c->html, c->html_size, &html, f));
    struct log_value values[6] = {
        log_value_request("request", &c->request), log_value_word("level", c->level),
        log_value_commitment("json", &json),       log_value_commitment("html", &html),
        log_value_actor("actor", b->actor),
    };
    size_t n = 5;
    if (c->epoch > 0)
        values[n++] = log_value_number("epoch", c->epoch);
    TRY(log_batch_add(b, LOG_KIND_CERTIFICATE_ISSUED, values, n, &r.index, f));
    return put(b->txn, &c->request, &r, f);
}

enum status
certificate_record_signed(struct log_batch *b, const struct store_certificate *c, struct fault *f)
{
    struct certificate_record r;
    struct audit_head head;
    TRY(audit_head_get(b->txn, &head, f));
    TRY(certificate_record_get(b->txn, &c->request, &r, f));
    if (head.checkpoint_size > sizeof r.checkpoint)
        FAIL(f, STATUS_INTERNAL, "log", "a checkpoint of %zu bytes", head.checkpoint_size);
    memcpy(r.checkpoint, head.checkpoint, head.checkpoint_size);
    r.checkpoint_size = head.checkpoint_size;
    return put(b->txn, &c->request, &r, f);
}
