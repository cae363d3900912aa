#include "storage/blobs/blobs.h"

#include "daemon/base/sysio.h"

#include <string.h>

#define BLOB_FORMAT      1u
#define BLOB_DESTROYED   2u
#define BLOB_MARKED      3u /* with the mark of who holds it */
#define BLOB_RECORD_SIZE (1 + 1 + 8 + CHUNK_EXTENT_SIZE + 1)

const char *blob_kind_name(enum blob_kind kind)
{
    switch (kind) {
    case BLOB_COMPONENT:
        return "component";
    case BLOB_MANIFEST:
        return "manifest";
    case BLOB_REPORT:
        return "report";
    case BLOB_PIXELS:
        return "pixels";
    case BLOB_LABELS:
        return "labels";
    case BLOB_MEMORY:
        return "memory";
    case BLOB_OTHER:
        return "other";
    case BLOB_FILE:
        return "file";
    case BLOB_SUBJECTS:
        return "subjects";
    }
    return "unknown";
}

static struct kv_bytes key_of(const struct digest *d)
{
    return kv_bytes_of(d->b, sizeof d->b);
}

/* Puts the blob's name before the message; long enough to find it, short enough to read. */
static enum status named(const struct digest *d, enum status st, struct fault *f)
{
    char text[DIGEST_TEXT_SIZE];
    digest_format(d, text);
    if (st != STATUS_OK)
        fault_prefix(f, "blob %.16s", text);
    return st;
}

static enum status put_record(struct kv_txn *txn,
                              enum blob_kind kind,
                              const struct extent *e,
                              int held,
                              const struct digest *digest,
                              struct fault *f)
{
    uint8_t record[BLOB_RECORD_SIZE];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    const int destroyed = extent_is_none(e);
    put_u8(&w, destroyed ? BLOB_DESTROYED : BLOB_MARKED);
    put_u8(&w, (uint8_t)kind);
    put_u64(&w, e->size);
    put_bytes(&w, e->name, sizeof e->name);
    if (!destroyed)
        put_u8(&w, held != 0);
    return kv_put(txn, KV_BLOBS, key_of(digest), kv_bytes_of(record, w.used), f);
}

static enum status parse_record(struct kv_bytes digest,
                                struct kv_bytes record,
                                struct blob_info *ret_info,
                                struct fault *f)
{
    struct blob_info info = {0};
    struct byte_reader r = byte_reader_make(record.data, record.size);
    const unsigned format = get_u8(&r);
    const unsigned kind = get_u8(&r);
    info.size = get_u64(&r);
    get_bytes(&r, info.extent.name, sizeof info.extent.name);
    const unsigned held = format == BLOB_MARKED ? get_u8(&r) : 0;
    info.destroyed = format == BLOB_DESTROYED;
    info.held = format == BLOB_DESTROYED || held ? BLOB_HOLD_YES
                : format == BLOB_MARKED          ? BLOB_HOLD_NO
                                                 : BLOB_HOLD_UNKNOWN;
    if (!byte_reader_done(&r) || format < BLOB_FORMAT || format > BLOB_MARKED || held > 1 ||
        digest.size != DIGEST_SIZE || kind < BLOB_COMPONENT || kind > BLOB_SUBJECTS ||
        info.size > EXTENT_SIZE_MAX || extent_is_none(&info.extent) != info.destroyed)
        FAIL(f, STATUS_DATA_LOSS, "blob", "the record of a blob is damaged");
    memcpy(info.digest.b, digest.data, DIGEST_SIZE);
    info.kind = (enum blob_kind)kind;
    info.extent.size = info.size;
    info.chunks = (info.size + CHUNK_CONTENT_MAX - 1) / CHUNK_CONTENT_MAX;
    *ret_info = info;
    return STATUS_OK;
}

enum status blob_stat(struct kv_txn *txn,
                      const struct digest *digest,
                      struct blob_info *ret_info,
                      struct fault *f)
{
    struct kv_bytes record = {0};
    const enum status st = kv_get(txn, KV_BLOBS, key_of(digest), &record, f);
    if (st == STATUS_NOT_FOUND) {
        char text[DIGEST_TEXT_SIZE];
        digest_format(digest, text);
        FAIL(f, STATUS_NOT_FOUND, "blob", "there is no blob %.16s", text);
    }
    TRY(st);
    return named(digest, parse_record(key_of(digest), record, ret_info, f), f);
}

/* Is the content there; and does something hold the name, though the content may be destroyed? */
static enum status look(
    struct kv_txn *txn, const struct digest *digest, int *ret_there, int *ret_held, struct fault *f)
{
    struct kv_bytes record = {0};
    struct blob_info info = {0};
    *ret_there = *ret_held = 0;
    const enum status st = kv_get(txn, KV_BLOBS, key_of(digest), &record, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    TRY(named(digest, parse_record(key_of(digest), record, &info, f), f));
    *ret_there = !info.destroyed;
    *ret_held = info.held == BLOB_HOLD_YES;
    return STATUS_OK;
}

enum status
blob_exists(struct kv_txn *txn, const struct digest *digest, int *ret_exists, struct fault *f)
{
    int held = 0;
    return look(txn, digest, ret_exists, &held, f);
}

/* ---------------------------------------------------------------- writing */

enum status blob_put(struct kv_txn *txn,
                     enum blob_kind kind,
                     const void *bytes,
                     size_t size,
                     struct digest *ret_digest,
                     struct fault *f)
{
    int there = 0;
    int held = 0;
    const struct digest digest = seal_hash(bytes, size);
    TRY(look(txn, &digest, &there, &held, f));
    if (!there) {
        struct extent e = extent_make();
        TRY(extent_append(txn, &e, bytes, size, f));
        TRY(put_record(txn, kind, &e, held, &digest, f));
    }
    *ret_digest = digest;
    return STATUS_OK;
}

enum status blob_adopt(struct kv_txn *txn,
                       enum blob_kind kind,
                       const struct extent *e,
                       const struct digest *digest,
                       struct fault *f)
{
    int there = 0;
    int held = 0;
    struct digest found = {0};
    TRY(extent_digest(txn, e, &found, f));
    if (!digest_equal(&found, digest)) {
        char text[DIGEST_TEXT_SIZE];
        digest_format(&found, text);
        FAIL(f, STATUS_INVALID_ARGUMENT, "digest", "the content has the digest %.16s...", text);
    }
    TRY(look(txn, digest, &there, &held, f));
    if (there)
        return extent_delete(txn, e, f);
    return put_record(txn, kind, e, held, digest, f);
}

enum status blob_delete(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    TRY(extent_delete(txn, &info.extent, f));
    return kv_del(txn, KV_BLOBS, key_of(digest), f);
}

enum status blob_keep(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    if (info.held == BLOB_HOLD_YES)
        return STATUS_OK;
    return put_record(txn, info.kind, &info.extent, 1, digest, f);
}

enum status blob_destroy(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    if (info.destroyed)
        return STATUS_OK;
    TRY(extent_delete(txn, &info.extent, f));
    const struct extent none = {.size = info.size};
    return put_record(txn, info.kind, &none, 1, digest, f);
}

/* ---------------------------------------------------------------- reading */

static enum status check_readable(const struct blob_info *info, struct fault *f)
{
    if (info->destroyed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "blob", "its content was destroyed");
    return STATUS_OK;
}

static enum status
read_checked(struct kv_txn *txn, const struct blob_info *info, void *to, struct fault *f)
{
    TRY(check_readable(info, f));
    struct extent_reader r;
    extent_reader_init(&r, txn, &info->extent);
    const enum status st = extent_read(&r, 0, to, (size_t)info->size, f);
    extent_reader_fini(&r);
    TRY(st);
    const struct digest found = seal_hash(to, (size_t)info->size);
    if (!digest_equal(&found, &info->digest))
        FAIL(f, STATUS_DATA_LOSS, "blob", "the content is not what its name says");
    return STATUS_OK;
}

enum status blob_load(struct kv_txn *txn,
                      const struct digest *digest,
                      size_t max,
                      void **ret_bytes,
                      size_t *ret_size,
                      struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    if (info.size > max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "blob", "blob of %llu bytes, limit %zu",
             (unsigned long long)info.size, max);
    void *bytes = sysio_alloc((size_t)info.size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a blob of %llu bytes",
             (unsigned long long)info.size);
    const enum status st = read_checked(txn, &info, bytes, f);
    if (st != STATUS_OK) {
        sysio_free(bytes);
        return named(digest, st, f);
    }
    *ret_bytes = bytes;
    *ret_size = (size_t)info.size;
    return STATUS_OK;
}

enum status
blob_read(struct kv_txn *txn, const struct digest *digest, void *to, size_t size, struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    if (info.size != size)
        FAIL(f, STATUS_BAD_FORMAT, "blob", "blob of %llu bytes where %zu were expected",
             (unsigned long long)info.size, size);
    return named(digest, read_checked(txn, &info, to, f), f);
}

enum status blob_reader_init(struct extent_reader *r,
                             struct kv_txn *txn,
                             const struct digest *digest,
                             struct fault *f)
{
    struct blob_info info;
    TRY(blob_stat(txn, digest, &info, f));
    TRY(named(digest, check_readable(&info, f), f));
    extent_reader_init(r, txn, &info.extent);
    return STATUS_OK;
}

enum status blob_verify(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    struct blob_info info;
    struct digest found = {0};
    TRY(blob_stat(txn, digest, &info, f));
    TRY(named(digest, check_readable(&info, f), f));
    TRY(named(digest, extent_digest(txn, &info.extent, &found, f), f));
    if (!digest_equal(&found, digest))
        return named(digest,
                     fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "blob",
                               "the content is not what its name says"),
                     f);
    return STATUS_OK;
}

struct list_call {
    blob_list_fn *fn;
    void *context;
};

static enum status
list_one(struct kv_bytes key, struct kv_bytes record, void *context, struct fault *f)
{
    const struct list_call *call = context;
    struct blob_info info = {0};
    TRY(parse_record(key, record, &info, f));
    return call->fn(&info, call->context, f);
}

enum status blob_list(struct kv_txn *txn, blob_list_fn *fn, void *context, struct fault *f)
{
    struct list_call call = {.fn = fn, .context = context};
    return kv_scan(txn, KV_BLOBS, kv_bytes_of(NULL, 0), list_one, &call, f);
}
