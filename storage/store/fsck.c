#include "storage/store/fsck.h"

#include "daemon/base/sysio.h"
#include "storage/queue/queue_record.h"
#include "storage/queue/request_counts.h"
#include "storage/store/log_check.h"
#include "storage/store/references.h"
#include "storage/vault/data_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 96

/* The names of all extents that somebody owns; sorted before chunks are looked up. */
struct extent_names {
    uint8_t (*items)[CHUNK_EXTENT_SIZE];
    size_t n;
    size_t room;
};

struct fsck {
    struct kv_txn *txn;
    fsck_finding_fn *fn;
    void *context;
    struct fsck_counts counts;
    struct references refs;
    int refs_known; /* without them nobody can tell what is an orphan */
    struct extent_names extents;
    uint64_t expected; /* next number where numbers must have no holes */
};

static void report(struct fsck *k, const char *what, const char *which, const char *how)
{
    k->counts.findings++;
    if (k->fn)
        k->fn(what, which, how, k->context);
}

/*
 * Turns damage into a finding; lets through what is no fault of the store (memory, reading).
 * NOT_FOUND counts as damage: these questions follow references.
 */
static enum status
judge(struct fsck *k, const char *what, const char *which, enum status st, const struct fault *f)
{
    if (st == STATUS_OK || st == STATUS_NO_MEMORY || st == STATUS_IO_ERROR)
        return st;
    report(k, what, which, f->text);
    return STATUS_OK;
}

static const char *digest_name(const struct digest *d, char to[NAME_SIZE])
{
    digest_format(d, to);
    return to;
}

static const char *number_name(uint64_t n, char to[NAME_SIZE])
{
    (void)snprintf(to, NAME_SIZE, "#%llu", (unsigned long long)n);
    return to;
}

static enum status own_extent(struct fsck *k, const struct extent *e, struct fault *f)
{
    struct extent_names *x = &k->extents;
    if (extent_is_none(e))
        return STATUS_OK;
    if (x->n == x->room) {
        const size_t room = x->room ? x->room * 2 : 64;
        void *items = sysio_alloc(room, CHUNK_EXTENT_SIZE);
        if (!items)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu extents", room);
        if (x->n)
            memcpy(items, x->items, x->n * CHUNK_EXTENT_SIZE);
        sysio_free(x->items);
        x->items = items;
        x->room = room;
    }
    memcpy(x->items[x->n++], e->name, CHUNK_EXTENT_SIZE);
    return STATUS_OK;
}

/* Like kv_scan, but a sealed record that does not open is a finding and not the end. */
static enum status
scan(struct fsck *k, enum kv_db db, const char *what, kv_scan_fn *fn, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(k->txn, db, kv_bytes_of(NULL, 0), &c, f));
    enum status st = STATUS_OK;
    while (st == STATUS_OK) {
        struct fault why = {0};
        st = kv_cursor_next(c, &key, &value, &why);
        if (st == STATUS_NOT_FOUND)
            break;
        if (st == STATUS_OK)
            st = fn(key, value, k, f);
        else
            st = judge(k, what, "-", st, &why);
    }
    kv_cursor_close(c);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* ---------------------------------------------------------------- blobs */

static enum status
check_blob(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct fsck *k = context;
    struct fault why = {0};
    struct blob_info info = {0};
    struct digest digest;
    char name[NAME_SIZE];
    (void)value;
    k->counts.blobs++;
    if (key.size != DIGEST_SIZE) {
        report(k, "blob", "?", "a key of the wrong size");
        return STATUS_OK;
    }
    memcpy(digest.b, key.data, DIGEST_SIZE);
    enum status st = blob_stat(k->txn, &digest, &info, &why);
    if (st == STATUS_OK) {
        k->counts.blob_bytes += info.size;
        TRY(own_extent(k, &info.extent, f));
        k->counts.destroyed_blobs += info.destroyed != 0;
        if (!info.destroyed)
            st = blob_verify(k->txn, &digest, &why);
    }
    if (k->refs_known && !references_have(&k->refs, &digest))
        k->counts.orphan_blobs++;
    return judge(k, "blob", digest_name(&digest, name), st, &why);
}

static enum status check_blobs(struct fsck *k, struct fault *f)
{
    struct fault why = {0};
    const enum status st = references_collect(k->txn, &k->refs, &why);
    k->refs_known = st == STATUS_OK;
    TRY(judge(k, "references", "-", st, &why));
    return scan(k, KV_BLOBS, "blob", check_blob, f);
}

/* ---------------------------------------------------------------- versions */

static enum status
need_blob(struct fsck *k, const char *which, const struct digest *d, uint64_t size, const char *how)
{
    struct fault why = {0};
    struct blob_info info = {0};
    const enum status st = blob_stat(k->txn, d, &info, &why);
    if (st == STATUS_OK && size != UINT64_MAX && info.size != size) {
        report(k, "version", which, how);
        return STATUS_OK;
    }
    if (st == STATUS_OK && info.held == BLOB_HOLD_NO)
        report(k, "version", which, "it names a blob that is not marked as held");
    return judge(k, "version", which, st, &why);
}

static enum status
check_manifest(struct fsck *k, const struct version *v, uint64_t number, const char *name)
{
    uint64_t parent = 0;
    struct fault why = {0};
    if (v->number != number)
        report(k, "version", name, "the manifest has another number");
    if (!digest_is_zero(&v->parent)) {
        const enum status st = version_number(k->txn, &v->parent, &parent, &why);
        if (st == STATUS_OK && parent >= number)
            report(k, "version", name, "the parent is not older");
        TRY(judge(k, "version", name, st, &why));
    }
    for (size_t i = 0; i < v->n_components; i++)
        TRY(need_blob(k, name, &v->components[i].blob, v->components[i].bytes,
                      "a component has another size than the manifest says"));
    if (!digest_is_zero(&v->report))
        TRY(need_blob(k, name, &v->report, UINT64_MAX, ""));
    return STATUS_OK;
}

static enum status
check_version(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct fsck *k = context;
    struct fault why = {0};
    struct digest digest;
    struct version *v = NULL;
    char name[NAME_SIZE];
    (void)f;
    k->counts.versions++;
    if (key.size != 8 || value.size != DIGEST_SIZE) {
        report(k, "version", "?", "an index record of the wrong size");
        return STATUS_OK;
    }
    const uint64_t number = kv_key_u64_read(key.data);
    (void)number_name(number, name);
    if (number != ++k->expected)
        report(k, "version", name, "the numbers have a hole");
    k->expected = number;
    memcpy(digest.b, value.data, DIGEST_SIZE);
    const enum status st = version_get(k->txn, &digest, &v, &why);
    if (st != STATUS_OK)
        return judge(k, "version", name, st, &why);
    const enum status checked = check_manifest(k, v, number, name);
    version_free(v);
    return checked;
}

static enum status check_versions(struct fsck *k, struct fault *f)
{
    uint64_t indexed = 0;
    k->expected = 0;
    TRY(kv_scan(k->txn, KV_VERSIONS, kv_bytes_of(NULL, 0), check_version, k, f));
    TRY(kv_count(k->txn, KV_VERSION_DIGEST, &indexed, f));
    if (indexed != k->counts.versions)
        report(k, "version", "-", "the two indexes have different sizes");
    return STATUS_OK;
}

static enum status check_serving_moves(struct fsck *k, struct fault *f)
{
    uint64_t moves = 0;
    int64_t last_us = INT64_MIN;
    char name[NAME_SIZE];
    TRY(kv_count(k->txn, KV_SERVING, &moves, f));
    k->counts.serving_moves = moves;
    for (uint64_t g = 1; g <= moves; g++) {
        struct serving s = {0};
        struct fault why = {0};
        uint64_t number = 0;
        enum status st = serving_generation(k->txn, g, &s, &why);
        if (st == STATUS_NOT_FOUND)
            st = fault_set(&why, STATUS_DATA_LOSS, __FILE__, __LINE__, NULL,
                           "the record is missing");
        if (st == STATUS_OK && s.since_us < last_us)
            report(k, "serving", number_name(g, name), "the time runs backwards");
        if (st == STATUS_OK) {
            last_us = s.since_us;
            st = version_number(k->txn, &s.version, &number, &why);
        }
        TRY(judge(k, "serving", number_name(g, name), st, &why));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- requests */

static enum status
has_index(struct fsck *k, const struct queue_record *q, const char *name, struct fault *f)
{
    uint8_t key[9] = {(uint8_t)q->state};
    struct kv_bytes value = {0};
    kv_key_u64(key + 1, q->sequence);
    const struct kv_bytes keys[] = {kv_bytes_of(key, sizeof key), kv_bytes_of(key + 1, 8)};
    static const enum kv_db DBS[] = {KV_REQUEST_STATE, KV_REQUEST_ORDER};
    for (size_t i = 0; i < 2; i++) {
        const enum status st = kv_get(k->txn, DBS[i], keys[i], &value, f);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
        if (st == STATUS_NOT_FOUND || value.size != sizeof q->id.b ||
            memcmp(value.data, q->id.b, sizeof q->id.b) != 0)
            report(k, "request", name, "an index does not know it");
    }
    return STATUS_OK;
}

static enum status check_contents(struct fsck *k, const struct queue_record *q, const char *name)
{
    struct fault why = {0};
    void *bytes = NULL;
    size_t size = 0;
    enum status st = queue_payload(k->txn, q, &bytes, &size, &why);
    if (st == STATUS_OK)
        sysio_free(bytes);
    TRY(judge(k, "request", name, st, &why));
    if (extent_is_none(&q->answer))
        return STATUS_OK;
    st = queue_answer(k->txn, q, &bytes, &size, &why);
    if (st == STATUS_OK)
        sysio_free(bytes);
    return judge(k, "request", name, st, &why);
}

static enum status check_results(struct fsck *k, const struct queue_record *q, const char *name)
{
    struct fault why = {0};
    struct blob_info info = {0};
    uint64_t number = 0;
    enum status st = STATUS_OK;
    if (request_state_is_final(q->state) != (q->finished_us != 0))
        report(k, "request", name, "state and time of the end do not agree");
    if (q->state == REQUEST_COMMITTED && digest_is_zero(&q->version_after))
        report(k, "request", name, "committed without a version");
    if (!digest_is_zero(&q->version_after))
        st = version_number(k->txn, &q->version_after, &number, &why);
    TRY(judge(k, "request", name, st, &why));
    if (!digest_is_zero(&q->report))
        st = blob_stat(k->txn, &q->report, &info, &why);
    TRY(judge(k, "request", name, st, &why));
    if (!digest_is_zero(&q->attachment) && !request_state_is_final(q->state))
        st = blob_stat(k->txn, &q->attachment, &info, &why);
    return judge(k, "request", name, st, &why);
}

static enum status
check_request(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct fsck *k = context;
    struct fault why = {0};
    struct queue_record q;
    char name[NAME_SIZE];
    k->counts.requests++;
    const enum status st = queue_record_decode(key, value, &q, &why);
    if (st != STATUS_OK)
        return judge(k, "request", "?", st, &why);
    request_id_format(&q.id, name);
    k->counts.open_requests += !request_state_is_final(q.state);
    TRY(own_extent(k, &q.payload, f));
    TRY(own_extent(k, &q.answer, f));
    TRY(has_index(k, &q, name, f));
    TRY(check_contents(k, &q, name));
    return check_results(k, &q, name);
}

/* What is kept beside the index must be what the index says. */
static enum status check_request_counts(struct fsck *k)
{
    struct fault why = {0};
    uint64_t kept[REQUEST_STATES] = {0};
    uint64_t there[REQUEST_STATES] = {0};
    enum status st = request_counts_get(k->txn, kept, &why);
    if (st == STATUS_OK)
        st = request_counts_scan(k->txn, there, &why);
    if (st == STATUS_OK && memcmp(kept, there, sizeof kept) != 0)
        report(k, "request", "-", "the counts of the states are not those of their index");
    return judge(k, "request", "-", st, &why);
}

static enum status check_requests(struct fsck *k, struct fault *f)
{
    uint64_t order = 0;
    uint64_t states = 0;
    TRY(scan(k, KV_REQUESTS, "request", check_request, f));
    TRY(kv_count(k->txn, KV_REQUEST_ORDER, &order, f));
    TRY(kv_count(k->txn, KV_REQUEST_STATE, &states, f));
    if (order != k->counts.requests || states != k->counts.requests)
        report(k, "request", "-", "the indexes have other sizes than the list of requests");
    return check_request_counts(k);
}

/* ---------------------------------------------------------------- data */

static enum status check_dataset(const struct dataset *d, void *context, struct fault *f)
{
    struct fsck *k = context;
    struct fault why = {0};
    struct blob_info info = {0};
    (void)f;
    k->counts.datasets++;
    enum status st = blob_stat(k->txn, &d->pixels, &info, &why);
    if (st == STATUS_OK && info.size != dataset_pixel_bytes(d))
        report(k, "data set", d->name, "the pixels have another size than the record says");
    TRY(judge(k, "data set", d->name, st, &why));
    st = blob_stat(k->txn, &d->labels, &info, &why);
    if (st == STATUS_OK && info.size != dataset_label_bytes(d))
        report(k, "data set", d->name, "the labels have another size than the record says");
    TRY(judge(k, "data set", d->name, st, &why));
    if (dataset_subject_bytes(d) == 0)
        return STATUS_OK;
    st = blob_stat(k->txn, &d->subjects, &info, &why);
    if (st == STATUS_OK && info.size != dataset_subject_bytes(d))
        report(k, "data set", d->name, "the subjects have another size than the record says");
    return judge(k, "data set", d->name, st, &why);
}

static enum status check_memory(const struct replay_memory *m, void *context, struct fault *f)
{
    struct fsck *k = context;
    (void)f;
    k->counts.memories++;
    for (uint32_t i = 0; i < m->n_lists; i++) {
        struct fault why = {0};
        struct dataset *d = NULL;
        const enum status st = dataset_get(k->txn, m->dataset, m->lists[i].role, &d, &why);
        TRY(judge(k, "memory", m->name, st, &why));
        const uint32_t n = m->lists[i].n_rows;
        if (st == STATUS_OK &&
            (m->lists[i].class_index >= d->n_classes || (n > 0 && m->lists[i].rows[n - 1] >= d->n)))
            report(k, "memory", m->name, "it names rows or classes that the data set lacks");
        datasets_free(d);
    }
    return STATUS_OK;
}

static enum status check_upload(const struct upload *u, void *context, struct fault *f)
{
    struct fsck *k = context;
    struct fault why = {0};
    struct digest digest;
    char name[NAME_SIZE];
    k->counts.uploads++;
    request_id_format(&u->id, name);
    TRY(own_extent(k, &u->extent, f));
    return judge(k, "upload", name, extent_digest(k->txn, &u->extent, &digest, &why), &why);
}

/* A record that does not decode ends its list; the rest of that list is not looked at. */
static enum status check_data(struct fsck *k, struct fault *f)
{
    struct fault why = {0};
    (void)f;
    TRY(judge(k, "data set", "-", dataset_list(k->txn, check_dataset, k, &why), &why));
    TRY(judge(k, "memory", "-", replay_memory_each(k->txn, check_memory, k, &why), &why));
    return judge(k, "upload", "-", upload_list(k->txn, check_upload, k, &why), &why);
}

/* ---------------------------------------------------------------- log and chunks */

static void log_finding(const char *which, const char *how, void *context)
{
    report(context, "log", which, how);
}

static enum status check_log(struct fsck *k, struct fault *f)
{
    return log_check(k->txn, log_finding, k, &k->counts.log_entries, f);
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, CHUNK_EXTENT_SIZE);
}

static enum status
check_chunk(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct fsck *k = context;
    const struct extent_names *x = &k->extents;
    (void)value;
    (void)f;
    if (key.size != CHUNK_EXTENT_SIZE + 4 || x->n == 0 ||
        !bsearch(key.data, x->items, x->n, CHUNK_EXTENT_SIZE, compare_names))
        k->counts.orphan_chunks++;
    return STATUS_OK;
}

/* Every data key opens, and belongs to an extent; content without its key was found above. */
static enum status
check_key(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct fsck *k = context;
    const struct extent_names *x = &k->extents;
    struct fault why = {0};
    struct seal_key data_key = {{0}};
    (void)value;
    (void)f;
    k->counts.data_keys++;
    if (key.size != CHUNK_EXTENT_SIZE) {
        report(k, "data key", "-", "a name of the wrong size");
        return STATUS_OK;
    }
    if (x->n == 0 || !bsearch(key.data, x->items, x->n, CHUNK_EXTENT_SIZE, compare_names))
        k->counts.orphan_keys++;
    const enum status st = data_key_get(k->txn, key.data, &data_key, &why);
    seal_key_wipe(&data_key);
    return judge(k, "data key", "-", st, &why);
}

static enum status check_chunks(struct fsck *k, struct fault *f)
{
    if (k->extents.n)
        qsort(k->extents.items, k->extents.n, CHUNK_EXTENT_SIZE, compare_names);
    TRY(scan(k, KV_KEYS, "data key", check_key, f));
    return kv_scan(k->txn, KV_CHUNKS, kv_bytes_of(NULL, 0), check_chunk, k, f);
}

/* ---------------------------------------------------------------- the whole */

static enum status run_all(struct fsck *k, struct fault *f)
{
    TRY(check_blobs(k, f));
    TRY(check_versions(k, f));
    TRY(check_serving_moves(k, f));
    TRY(check_requests(k, f));
    TRY(check_data(k, f));
    TRY(check_log(k, f));
    return check_chunks(k, f);
}

enum status fsck_run(struct store *s,
                     fsck_finding_fn *fn,
                     void *context,
                     struct fsck_counts *ret_counts,
                     struct fault *f)
{
    struct fsck k = {.fn = fn, .context = context};
    TRY(store_read_begin(s, &k.txn, f));
    const enum status st = run_all(&k, f);
    store_read_end(k.txn);
    references_fini(&k.refs);
    sysio_free(k.extents.items);
    TRY(st);
    *ret_counts = k.counts;
    return STATUS_OK;
}
