/* Served versions from the store. */
#include "daemon/jobs/served_internal.h"

#include <string.h>

#include "daemon/base/sysio.h"

#define SERVED_RECORD_BYTES ((size_t)1 << 30)

/* A version's manifest and the records of some of its components, owned. */
struct loaded {
    struct version *manifest;
    struct served_record *records;
    size_t n;
};

static void loaded_free(struct loaded *x)
{
    for (size_t i = 0; i < x->n; i++)
        sysio_free((void *)(uintptr_t)x->records[i].bytes);
    sysio_free(x->records);
    version_free(x->manifest);
}

typedef int component_filter(const struct version_component *c);

static enum status
load_records(struct kv_txn *txn, component_filter *wanted, struct loaded *x, struct fault *f)
{
    const struct version *v = x->manifest;
    x->records = sysio_alloc(v->n_components + 1, sizeof *x->records);
    if (!x->records)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu components", v->n_components);
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        void *bytes;
        if (!wanted(c))
            continue;
        struct served_record *r = &x->records[x->n];
        r->digest = c->blob;
        const enum status st = blob_load(txn, &c->blob, SERVED_RECORD_BYTES, &bytes, &r->size, f);
        if (st != STATUS_OK) {
            fault_prefix(f, "%.16s %.64s", c->kind, c->name);
            return st;
        }
        r->bytes = bytes;
        x->n++;
    }
    return STATUS_OK;
}

/* The manifest's stored bytes must still give the version's name. */
static enum status verify_manifest(struct kv_txn *txn, const struct digest *digest, struct fault *f)
{
    const enum status st = blob_verify(txn, digest, f);
    if (st != STATUS_OK)
        fault_prefix(f, "manifest");
    return st;
}

static enum status load(struct store *store,
                        const struct digest *digest,
                        component_filter *wanted,
                        struct loaded *ret_x,
                        struct fault *f)
{
    struct kv_txn *txn;
    struct loaded x = {0};
    TRY(store_read_begin(store, &txn, f));
    enum status st = version_get(txn, digest, &x.manifest, f);
    if (st == STATUS_OK)
        st = verify_manifest(txn, digest, f);
    if (st == STATUS_OK)
        st = load_records(txn, wanted, &x, f);
    store_read_end(txn);
    if (st != STATUS_OK) {
        loaded_free(&x);
        return st;
    }
    *ret_x = x;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- whole versions */

enum status served_build(const struct base_model *base,
                         struct store *store,
                         const struct digest *digest,
                         struct served **ret_served,
                         struct fault *f)
{
    struct loaded x;
    TRY(load(store, digest, served_uses, &x, f));
    const struct served_source source = {.base = base,
                                         .digest = *digest,
                                         .manifest = x.manifest,
                                         .records = x.records,
                                         .n_records = x.n};
    x.manifest = NULL;
    const enum status st = served_make(&source, ret_served, f);
    loaded_free(&x);
    return st;
}

/* ---------------------------------------------------------------- erasures alone */

static int is_erasure(const struct version_component *c)
{
    return strcmp(c->kind, VERSION_KIND_ERASURE) == 0;
}

void served_free_deltas(struct served_delta *deltas, size_t n)
{
    if (!deltas)
        return;
    for (size_t i = 0; i < n; i++)
        sysio_free((void *)(uintptr_t)deltas[i].bytes);
    sysio_free(deltas);
}

enum status served_load_deltas(struct store *store,
                               const struct digest *digest,
                               struct served_delta **ret_deltas,
                               size_t *ret_n,
                               struct fault *f)
{
    struct loaded x;
    TRY(load(store, digest, is_erasure, &x, f));
    struct served_delta *deltas = sysio_alloc(x.n + 1, sizeof *deltas);
    if (!deltas) {
        loaded_free(&x);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu deltas", x.n);
    }
    *ret_n = x.n;
    for (size_t i = 0; i < x.n; i++)
        deltas[i] = (struct served_delta){x.records[i].bytes, x.records[i].size};
    x.n = 0; /* the bytes have moved */
    loaded_free(&x);
    *ret_deltas = deltas;
    return STATUS_OK;
}
