#include "storage/versions/versions.h"

#include "daemon/base/sysio.h"
#include "storage/blobs/blobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_DIGITS_MIN 4u

static struct kv_bytes digest_key(const struct digest *d)
{
    return kv_bytes_of(d->b, sizeof d->b);
}

/* ---------------------------------------------------------------- finding */

enum status version_latest(struct kv_txn *txn, uint64_t *ret_number, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, KV_VERSIONS, kv_bytes_of(NULL, 0), &c, f));
    const enum status st = kv_cursor_prev(c, &key, &value, f);
    kv_cursor_close(c);
    if (st == STATUS_NOT_FOUND) {
        *ret_number = 0;
        return STATUS_OK;
    }
    TRY(st);
    if (key.size != 8)
        FAIL(f, STATUS_DATA_LOSS, "version", "the index of versions is damaged");
    *ret_number = kv_key_u64_read(key.data);
    return STATUS_OK;
}

enum status
version_by_number(struct kv_txn *txn, uint64_t number, struct digest *ret_digest, struct fault *f)
{
    uint8_t key[8];
    struct kv_bytes value = {0};
    kv_key_u64(key, number);
    const enum status st = kv_get(txn, KV_VERSIONS, kv_bytes_of(key, sizeof key), &value, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "version", "there is no version #%llu",
             (unsigned long long)number);
    TRY(st);
    if (value.size != DIGEST_SIZE)
        FAIL(f, STATUS_DATA_LOSS, "version", "the index of versions is damaged");
    memcpy(ret_digest->b, value.data, DIGEST_SIZE);
    return STATUS_OK;
}

enum status version_number(struct kv_txn *txn,
                           const struct digest *digest,
                           uint64_t *ret_number,
                           struct fault *f)
{
    struct kv_bytes value = {0};
    const enum status st = kv_get(txn, KV_VERSION_DIGEST, digest_key(digest), &value, f);
    if (st == STATUS_NOT_FOUND) {
        char text[DIGEST_TEXT_SIZE];
        digest_format(digest, text);
        FAIL(f, STATUS_NOT_FOUND, "version", "there is no version %.16s", text);
    }
    TRY(st);
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const uint64_t number = get_u64(&r);
    if (!byte_reader_done(&r) || number == 0)
        FAIL(f, STATUS_DATA_LOSS, "version", "the index of versions is damaged");
    *ret_number = number;
    return STATUS_OK;
}

enum status version_get(struct kv_txn *txn,
                        const struct digest *digest,
                        struct version **ret_version,
                        struct fault *f)
{
    uint64_t number = 0;
    void *bytes = NULL;
    size_t size = 0;
    struct version *v = NULL;
    TRY(version_number(txn, digest, &number, f));
    TRY(blob_load(txn, digest, VERSION_BYTES_MAX, &bytes, &size, f));
    const enum status st = version_decode(bytes, size, &v, f);
    sysio_free(bytes);
    TRY(st);
    if (v->number != number) {
        version_free(v);
        FAIL(f, STATUS_DATA_LOSS, "version", "the index and the manifest disagree on the number");
    }
    *ret_version = v;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- names for people */

static enum status
resolve_number(struct kv_txn *txn, const char *digits, struct digest *ret, struct fault *f)
{
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(digits, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end || errno)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version", "#%.20s is not a version number", digits);
    return version_by_number(txn, n, ret, f);
}

/* Does the digest begin with these n digits? */
static int digest_has_prefix(const struct digest *d, const char *digits, size_t n)
{
    char text[DIGEST_TEXT_SIZE];
    digest_format(d, text);
    return strncmp(text, digits, n) == 0;
}

/* At most two versions are looked at: the first one from the prefix on and the one behind it. */
static enum status resolve_prefix(
    struct kv_txn *txn, const char *digits, size_t n, struct digest *ret, struct fault *f)
{
    struct digest from = {0};
    struct digest match[2];
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    char padded[DIGEST_TEXT_SIZE] =
        "0000000000000000000000000000000000000000000000000000000000000000";
    memcpy(padded, digits, n);
    if (digest_parse(padded, &from) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version", "%.64s is not hexadecimal", digits);
    digest_format(&from, padded); /* lower case */
    TRY(kv_cursor_open(txn, KV_VERSION_DIGEST, kv_bytes_of(NULL, 0), &c, f));
    kv_cursor_seek(c, digest_key(&from));
    size_t found = 0;
    enum status st = STATUS_OK;
    while (found < 2 && (st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        if (key.size != DIGEST_SIZE)
            break;
        memcpy(match[found].b, key.data, DIGEST_SIZE);
        if (!digest_has_prefix(&match[found], padded, n))
            break;
        found++;
    }
    kv_cursor_close(c);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    if (found == 0)
        FAIL(f, STATUS_NOT_FOUND, "version", "there is no version %.64s", digits);
    if (found == 2)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version", "%.64s is the beginning of several versions",
             digits);
    *ret = match[0];
    return STATUS_OK;
}

enum status
version_resolve(struct kv_txn *txn, const char *text, struct digest *ret_digest, struct fault *f)
{
    const size_t n = strlen(text);
    if (text[0] == '#')
        return resolve_number(txn, text + 1, ret_digest, f);
    if (n < PREFIX_DIGITS_MIN || n > 2 * (size_t)DIGEST_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version",
             "a version is #NUMBER or 4 to 64 hexadecimal digits, not %zu characters", n);
    return resolve_prefix(txn, text, n, ret_digest, f);
}

/* ---------------------------------------------------------------- adding */

static enum status check_parent(struct kv_txn *txn, const struct version *v, struct fault *f)
{
    uint64_t latest = 0;
    uint64_t parent = 0;
    TRY(version_latest(txn, &latest, f));
    if (v->number != latest + 1)
        FAIL(f, STATUS_FAILED_PRECONDITION, "number", "version #%llu where #%llu is next",
             (unsigned long long)v->number, (unsigned long long)latest + 1);
    if (latest == 0)
        return STATUS_OK;
    const enum status st = version_number(txn, &v->parent, &parent, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_FAILED_PRECONDITION, "parent", "the parent is not in the store");
    return st;
}

static enum status check_blobs(struct kv_txn *txn, const struct version *v, struct fault *f)
{
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        struct blob_info info = {0};
        const enum status st = blob_stat(txn, &c->blob, &info, f);
        if (st == STATUS_NOT_FOUND)
            FAIL(f, STATUS_FAILED_PRECONDITION, "components.blob",
                 "the blob of %.20s \"%.60s\" is not in the store", c->kind, c->name);
        TRY(st);
        if (info.destroyed)
            FAIL(f, STATUS_FAILED_PRECONDITION, "components.blob",
                 "the blob of %.20s \"%.60s\" was destroyed", c->kind, c->name);
        if (info.size != c->bytes)
            FAIL(f, STATUS_FAILED_PRECONDITION, "components.bytes",
                 "%.20s \"%.60s\" has %llu bytes, not %llu", c->kind, c->name,
                 (unsigned long long)info.size, (unsigned long long)c->bytes);
    }
    int there = 1;
    if (!digest_is_zero(&v->report))
        TRY(blob_exists(txn, &v->report, &there, f));
    if (!there)
        FAIL(f, STATUS_FAILED_PRECONDITION, "report", "the report is not in the store");
    return STATUS_OK;
}

/* What a version names stays for good. */
static enum status keep_blobs(struct kv_txn *txn,
                              const struct version *v,
                              const struct digest *manifest,
                              struct fault *f)
{
    for (size_t i = 0; i < v->n_components; i++)
        TRY(blob_keep(txn, &v->components[i].blob, f));
    if (!digest_is_zero(&v->report))
        TRY(blob_keep(txn, &v->report, f));
    return blob_keep(txn, manifest, f);
}

static enum status
put_indexes(struct kv_txn *txn, uint64_t number, const struct digest *digest, struct fault *f)
{
    uint8_t key[8];
    uint8_t value[8];
    struct byte_writer w = byte_writer_make(value, sizeof value);
    kv_key_u64(key, number);
    put_u64(&w, number);
    TRY(kv_put(txn, KV_VERSIONS, kv_bytes_of(key, sizeof key), digest_key(digest), f));
    return kv_put(txn, KV_VERSION_DIGEST, digest_key(digest), kv_bytes_of(value, w.used), f);
}

enum status
version_put(struct kv_txn *txn, const struct version *v, struct digest *ret_digest, struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    struct digest digest = {0};
    TRY(version_encode(v, &bytes, &size, f));
    enum status st = check_parent(txn, v, f);
    if (st == STATUS_OK)
        st = check_blobs(txn, v, f);
    if (st == STATUS_OK)
        st = blob_put(txn, BLOB_MANIFEST, bytes, size, &digest, f);
    sysio_free(bytes);
    TRY(st);
    TRY(keep_blobs(txn, v, &digest, f));
    TRY(put_indexes(txn, v->number, &digest, f));
    *ret_digest = digest;
    return STATUS_OK;
}
