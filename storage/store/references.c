#include "storage/store/references.h"

#include "daemon/base/sysio.h"
#include "storage/blobs/blobs.h"
#include "storage/datasets/datasets.h"
#include "storage/queue/queue.h"
#include "storage/versions/versions.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_AT_FIRST 64u

static enum status add(struct references *refs, const struct digest *d, struct fault *f)
{
    if (digest_is_zero(d))
        return STATUS_OK;
    if (refs->n == refs->room) {
        const size_t room = refs->room ? refs->room * 2 : ROOM_AT_FIRST;
        struct digest *items = sysio_alloc(room, sizeof *items);
        if (!items)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu references", room);
        if (refs->n)
            memcpy(items, refs->items, refs->n * sizeof *items);
        sysio_free(refs->items);
        refs->items = items;
        refs->room = room;
    }
    refs->items[refs->n++] = *d;
    return STATUS_OK;
}

static enum status add_version(struct references *refs, const struct version *v, struct fault *f)
{
    TRY(add(refs, &v->report, f));
    for (size_t i = 0; i < v->n_components; i++)
        TRY(add(refs, &v->components[i].blob, f));
    return STATUS_OK;
}

static enum status add_versions(struct kv_txn *txn, struct references *refs, struct fault *f)
{
    uint64_t latest = 0;
    TRY(version_latest(txn, &latest, f));
    for (uint64_t i = 1; i <= latest; i++) {
        struct digest digest = {0};
        struct version *v = NULL;
        TRY(version_by_number(txn, i, &digest, f));
        TRY(add(refs, &digest, f));
        TRY(version_get(txn, &digest, &v, f));
        const enum status st = add_version(refs, v, f);
        version_free(v);
        TRY(st);
    }
    return STATUS_OK;
}

static enum status add_request(const struct queue_record *q, void *context, struct fault *f)
{
    TRY(add(context, &q->report, f));
    /* What came with a request is needed until the request has come to its end. */
    return request_state_is_final(q->state) ? STATUS_OK : add(context, &q->attachment, f);
}

static enum status add_dataset(const struct dataset *d, void *context, struct fault *f)
{
    TRY(add(context, &d->pixels, f));
    TRY(add(context, &d->subjects, f));
    return add(context, &d->labels, f);
}

static enum status
add_memory(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct digest d;
    (void)key;
    if (value.size != DIGEST_SIZE)
        FAIL(f, STATUS_DATA_LOSS, "memory", "the record of a replay memory is damaged");
    memcpy(d.b, value.data, DIGEST_SIZE);
    return add(context, &d, f);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct digest));
}

/* Data sets and memories; and puts the whole in order. */
static enum status collect_named(struct kv_txn *txn, struct references *refs, struct fault *f)
{
    TRY(dataset_list(txn, add_dataset, refs, f));
    TRY(kv_scan(txn, KV_MEMORIES, kv_bytes_of(NULL, 0), add_memory, refs, f));
    if (refs->n)
        qsort(refs->items, refs->n, sizeof *refs->items, compare);
    return STATUS_OK;
}

enum status references_collect(struct kv_txn *txn, struct references *ret_refs, struct fault *f)
{
    const struct queue_filter all = {.state = REQUEST_NONE};
    *ret_refs = (struct references){0};
    TRY(add_versions(txn, ret_refs, f));
    TRY(queue_list(txn, &all, add_request, ret_refs, f));
    return collect_named(txn, ret_refs, f);
}

int references_have(const struct references *refs, const struct digest *digest)
{
    return refs->n > 0 &&
           bsearch(digest, refs->items, refs->n, sizeof *refs->items, compare) != NULL;
}

void references_fini(struct references *refs)
{
    sysio_free(refs->items);
    *refs = (struct references){0};
}

/* What names blobs for a time only; the rest is known from the blob's own record. */
static enum status collect_passing(struct kv_txn *txn, struct references *ret_refs, struct fault *f)
{
    *ret_refs = (struct references){0};
    for (unsigned i = 0; i < REQUEST_STATES; i++) {
        const struct queue_filter open = {.state = (enum request_state)i};
        if (request_state_is_valid(i) && !request_state_is_final(open.state))
            TRY(queue_list(txn, &open, add_request, ret_refs, f));
    }
    return collect_named(txn, ret_refs, f);
}

enum status references_drop_blob(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    struct references refs;
    struct blob_info info;
    int there = 0;
    TRY(blob_exists(txn, digest, &there, f));
    if (!there)
        return STATUS_OK;
    TRY(blob_stat(txn, digest, &info, f));
    if (info.held == BLOB_HOLD_YES)
        return STATUS_OK;
    enum status st = info.held == BLOB_HOLD_NO ? collect_passing(txn, &refs, f)
                                               : references_collect(txn, &refs, f);
    if (st == STATUS_OK && !references_have(&refs, digest))
        st = blob_delete(txn, digest, f);
    references_fini(&refs);
    return st;
}
