#include "storage/datasets/uploads.h"

#include "daemon/base/invariant.h"

#include <stdio.h>
#include <string.h>

#define UPLOAD_FORMAT     1u
#define UPLOAD_RECORD_MAX 320

static struct kv_bytes key_of(const struct request_id *id)
{
    return kv_bytes_of(id->b, sizeof id->b);
}

/* ---------------------------------------------------------------- records */

static enum status put_record(struct kv_txn *txn, const struct upload *u, struct fault *f)
{
    uint8_t record[UPLOAD_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    put_u8(&w, UPLOAD_FORMAT);
    put_string(&w, u->principal);
    put_u64(&w, u->size);
    put_bytes(&w, u->digest.b, DIGEST_SIZE);
    put_bytes(&w, u->extent.name, sizeof u->extent.name);
    put_u64(&w, u->extent.size);
    put_i64(&w, u->created_us);
    put_i64(&w, u->expires_us);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_UPLOADS, key_of(&u->id), kv_bytes_of(record, w.used), f);
}

static enum status
parse_record(struct kv_bytes key, struct kv_bytes value, struct upload *ret, struct fault *f)
{
    struct upload u = {0};
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    get_string(&r, u.principal, sizeof u.principal);
    u.size = get_u64(&r);
    get_bytes(&r, u.digest.b, DIGEST_SIZE);
    get_bytes(&r, u.extent.name, sizeof u.extent.name);
    u.extent.size = get_u64(&r);
    u.created_us = get_i64(&r);
    u.expires_us = get_i64(&r);
    if (!byte_reader_done(&r) || format != UPLOAD_FORMAT || key.size != REQUEST_ID_SIZE ||
        u.size > EXTENT_SIZE_MAX || u.extent.size > u.size || extent_is_none(&u.extent))
        FAIL(f, STATUS_DATA_LOSS, "upload", "the record of an upload is damaged");
    memcpy(u.id.b, key.data, REQUEST_ID_SIZE);
    *ret = u;
    return STATUS_OK;
}

enum status upload_get(struct kv_txn *txn,
                       const struct request_id *id,
                       struct upload *ret_upload,
                       struct fault *f)
{
    struct kv_bytes value = {0};
    const enum status st = kv_get(txn, KV_UPLOADS, key_of(id), &value, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "upload", "there is no such upload, or it has expired");
    TRY(st);
    return parse_record(key_of(id), value, ret_upload, f);
}

/* ---------------------------------------------------------------- life of an upload */

static enum status check_open(const struct upload_open *o, struct fault *f)
{
    const size_t n = o->principal ? strlen(o->principal) : 0;
    if (request_id_is_zero(&o->id))
        FAIL(f, STATUS_INVALID_ARGUMENT, "upload", "the upload id is all zero");
    if (n == 0 || n >= UPLOAD_PRINCIPAL_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "principal", "%zu bytes, allowed 1 to %d", n,
             UPLOAD_PRINCIPAL_SIZE - 1);
    if (o->size == 0 || o->size > EXTENT_SIZE_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "size", "%llu bytes, allowed 1 to %llu",
             (unsigned long long)o->size, (unsigned long long)EXTENT_SIZE_MAX);
    if (o->expires_us <= o->now_us)
        FAIL(f, STATUS_INVALID_ARGUMENT, "expires", "the upload would expire at once");
    return STATUS_OK;
}

enum status upload_open(struct kv_txn *txn,
                        const struct upload_open *o,
                        struct upload *ret_upload,
                        struct fault *f)
{
    struct kv_bytes value = {0};
    struct upload u = {0};
    TRY(check_open(o, f));
    const enum status st = kv_get(txn, KV_UPLOADS, key_of(&o->id), &value, f);
    if (st == STATUS_OK) {
        TRY(parse_record(key_of(&o->id), value, &u, f));
        if (strcmp(u.principal, o->principal) != 0 || u.size != o->size ||
            !digest_equal(&u.digest, &o->digest))
            FAIL(f, STATUS_ALREADY_EXISTS, "upload", "this upload id is in use for other content");
        *ret_upload = u;
        return STATUS_OK;
    }
    if (st != STATUS_NOT_FOUND)
        return st;
    u = (struct upload){.id = o->id,
                        .size = o->size,
                        .digest = o->digest,
                        .extent = extent_make(),
                        .created_us = o->now_us,
                        .expires_us = o->expires_us};
    (void)snprintf(u.principal, sizeof u.principal, "%s", o->principal);
    TRY(put_record(txn, &u, f));
    *ret_upload = u;
    return STATUS_OK;
}

enum status upload_append(struct kv_txn *txn,
                          const struct request_id *id,
                          uint64_t offset,
                          const void *bytes,
                          size_t n,
                          struct upload *ret_upload,
                          struct fault *f)
{
    struct upload u;
    if (n == 0 || n > UPLOAD_CHUNK_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "chunk", "%zu bytes, allowed 1 to %zu", n,
             UPLOAD_CHUNK_MAX);
    TRY(upload_get(txn, id, &u, f));
    if (offset > u.size || n > u.size - offset)
        FAIL(f, STATUS_OUT_OF_RANGE, "offset", "bytes %llu to %llu of %llu declared",
             (unsigned long long)offset, (unsigned long long)(offset + n),
             (unsigned long long)u.size);
    /* The acknowledgement got lost and the client repeats the piece: it is there already. */
    const int repeated = offset + n <= u.extent.size;
    if (!repeated && offset != u.extent.size)
        FAIL(f, STATUS_FAILED_PRECONDITION, "offset", "%llu where %llu is next",
             (unsigned long long)offset, (unsigned long long)u.extent.size);
    if (!repeated) {
        TRY(extent_append(txn, &u.extent, bytes, n, f));
        TRY(put_record(txn, &u, f));
    }
    *ret_upload = u;
    return STATUS_OK;
}

enum status upload_close(struct kv_txn *txn,
                         const struct request_id *id,
                         enum blob_kind kind,
                         struct digest *ret_digest,
                         struct fault *f)
{
    struct upload u;
    TRY(upload_get(txn, id, &u, f));
    if (u.extent.size != u.size)
        FAIL(f, STATUS_FAILED_PRECONDITION, "upload", "%llu of %llu bytes are there",
             (unsigned long long)u.extent.size, (unsigned long long)u.size);
    TRY(blob_adopt(txn, kind, &u.extent, &u.digest, f));
    TRY(kv_del(txn, KV_UPLOADS, key_of(id), f));
    *ret_digest = u.digest;
    return STATUS_OK;
}

static enum status drop(struct kv_txn *txn, const struct upload *u, struct fault *f)
{
    TRY(extent_delete(txn, &u->extent, f));
    return kv_del(txn, KV_UPLOADS, key_of(&u->id), f);
}

enum status upload_abort(struct kv_txn *txn, const struct request_id *id, struct fault *f)
{
    struct upload u;
    TRY(upload_get(txn, id, &u, f));
    return drop(txn, &u, f);
}

/* ---------------------------------------------------------------- all uploads */

struct list_call {
    upload_list_fn *fn;
    void *context;
};

static enum status
list_one(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    const struct list_call *call = context;
    struct upload u;
    TRY(parse_record(key, value, &u, f));
    return call->fn(&u, call->context, f);
}

enum status upload_list(struct kv_txn *txn, upload_list_fn *fn, void *context, struct fault *f)
{
    struct list_call call = {.fn = fn, .context = context};
    return kv_scan(txn, KV_UPLOADS, kv_bytes_of(NULL, 0), list_one, &call, f);
}

struct pledge {
    const char *principal;
    uint64_t bytes;
};

static enum status add_pledge(const struct upload *u, void *context, struct fault *f)
{
    struct pledge *p = context;
    (void)f;
    if (strcmp(u->principal, p->principal) == 0)
        p->bytes += u->size;
    return STATUS_OK;
}

enum status
upload_pledged(struct kv_txn *txn, const char *principal, uint64_t *ret_bytes, struct fault *f)
{
    struct pledge p = {.principal = principal};
    TRY(upload_list(txn, add_pledge, &p, f));
    *ret_bytes = p.bytes;
    return STATUS_OK;
}

struct expired {
    int64_t now_us;
    int found;
    struct upload upload;
};

/* One at a time: the scan must have ended before anything is deleted. */
static enum status find_expired(const struct upload *u, void *context, struct fault *f)
{
    struct expired *e = context;
    (void)f;
    if (!e->found && u->expires_us <= e->now_us) {
        e->found = 1;
        e->upload = *u;
    }
    return STATUS_OK;
}

enum status upload_expire(struct kv_txn *txn, int64_t now_us, size_t *ret_removed, struct fault *f)
{
    size_t n = 0;
    for (;; n++) {
        struct expired e = {.now_us = now_us};
        TRY(upload_list(txn, find_expired, &e, f));
        if (!e.found)
            break;
        TRY(drop(txn, &e.upload, f));
    }
    *ret_removed = n;
    return STATUS_OK;
}
