#include "storage/versions/manifest.h"

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

#include <string.h>

#define MANIFEST_MAGIC      "lethemf1"
#define MANIFEST_MAGIC_SIZE 8

/* Least encoded size of each part: bounds the counts before anything is allocated. */
#define COMPONENT_BYTES_MIN 84u
#define LINEAGE_BYTES_MIN   40u
#define LABEL_BYTES_MIN     25u

/* ---------------------------------------------------------------- checking */

static enum status check_count(size_t n, size_t max, const char *field, struct fault *f)
{
    if (n > max)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%zu entries, limit %zu", n, max);
    return STATUS_OK;
}

static enum status check_string(const char *s, int may_be_empty, const char *field, struct fault *f)
{
    const size_t n = s ? strlen(s) : 0;
    if (!s || n > VERSION_STRING_MAX || (n == 0 && !may_be_empty))
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%zu bytes, allowed %d to %d", n, !may_be_empty,
             VERSION_STRING_MAX);
    return STATUS_OK;
}

int version_honours(const struct version *v, const struct request_id *erasure)
{
    for (size_t i = 0; i < v->n_erasures; i++) {
        if (request_id_equal(&v->erasures[i], erasure))
            return 1;
    }
    return 0;
}

static enum status
check_component(const struct version *v, const struct version_component *c, struct fault *f)
{
    TRY(check_string(c->kind, 0, "components.kind", f));
    TRY(check_string(c->name, 0, "components.name", f));
    if (digest_is_zero(&c->blob))
        FAIL(f, STATUS_INVALID_ARGUMENT, "components.blob", "component %.60s names no blob",
             c->name);
    if (c->groups_zero > c->groups_total)
        FAIL(f, STATUS_INVALID_ARGUMENT, "components.groups_zero", "%u zero groups of %u",
             (unsigned)c->groups_zero, (unsigned)c->groups_total);
    for (size_t i = 0; i < c->n_lineage; i++) {
        TRY(check_string(c->lineage[i].kind, 0, "components.lineage.kind", f));
        TRY(check_string(c->lineage[i].name, 1, "components.lineage.name", f));
    }
    if (strcmp(c->kind, VERSION_KIND_ERASURE) == 0 && !version_honours(v, &c->request))
        FAIL(f, STATUS_INVALID_ARGUMENT, "erasures",
             "the request of erasure %.60s is not among the erasures", c->name);
    return STATUS_OK;
}

static enum status check_components(const struct version *v, struct fault *f)
{
    size_t lineage = 0;
    TRY(check_count(v->n_components, VERSION_COMPONENTS_MAX, "components", f));
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        TRY(check_component(v, c, f));
        if (version_find_component(v, c->kind, c->name) != c)
            FAIL(f, STATUS_INVALID_ARGUMENT, "components", "two components \"%.60s\" of kind %.20s",
                 c->name, c->kind);
        lineage += c->n_lineage;
    }
    return check_count(lineage, VERSION_LINEAGE_MAX, "components.lineage", f);
}

static enum status check_erasures(const struct version *v, struct fault *f)
{
    TRY(check_count(v->n_erasures, VERSION_ERASURES_MAX, "erasures", f));
    for (size_t i = 0; i < v->n_erasures; i++) {
        if (request_id_is_zero(&v->erasures[i]))
            FAIL(f, STATUS_INVALID_ARGUMENT, "erasures", "an erasure without a request id");
    }
    return STATUS_OK;
}

static enum status
check_label(const struct version *v, const struct version_label *l, struct fault *f)
{
    TRY(check_string(l->name, 0, "labels.name", f));
    TRY(check_string(l->owner, 0, "labels.owner", f));
    if (l->status != VERSION_LABEL_ACTIVE && l->status != VERSION_LABEL_FORGOTTEN)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels.status", "unknown status %d", (int)l->status);
    const int forgotten = l->status == VERSION_LABEL_FORGOTTEN;
    if (forgotten == request_id_is_zero(&l->forgotten_by))
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels.forgotten_by",
             forgotten ? "a forgotten label names no request" : "an active label names a request");
    if (forgotten && !version_honours(v, &l->forgotten_by))
        FAIL(f, STATUS_INVALID_ARGUMENT, "erasures",
             "the request of a forgotten label is not among the erasures");
    return STATUS_OK;
}

enum status version_check(const struct version *v, struct fault *f)
{
    if (v->number == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "number", "numbers begin at 1");
    if ((v->number == 1) != digest_is_zero(&v->parent))
        FAIL(f, STATUS_INVALID_ARGUMENT, "parent", "only version 1 has no parent");
    TRY(check_string(v->kernel, 1, "kernel", f));
    TRY(check_erasures(v, f));
    TRY(check_components(v, f));
    TRY(check_count(v->n_labels, VERSION_LABELS_MAX, "labels", f));
    for (size_t i = 0; i < v->n_labels; i++)
        TRY(check_label(v, &v->labels[i], f));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- encoding */

static void put_component(struct byte_writer *w, const struct version_component *c)
{
    put_string(w, c->kind);
    put_string(w, c->name);
    put_bytes(w, c->blob.b, DIGEST_SIZE);
    put_u64(w, c->bytes);
    put_u32(w, c->groups_total);
    put_u32(w, c->groups_zero);
    put_u64(w, c->seed);
    put_bytes(w, c->request.b, REQUEST_ID_SIZE);
    put_u32(w, (uint32_t)c->n_lineage);
    for (size_t i = 0; i < c->n_lineage; i++) {
        put_string(w, c->lineage[i].kind);
        put_string(w, c->lineage[i].name);
        put_bytes(w, c->lineage[i].digest.b, DIGEST_SIZE);
    }
}

static void put_head(struct byte_writer *w, const struct version *v)
{
    size_t lineage = 0;
    for (size_t i = 0; i < v->n_components; i++)
        lineage += v->components[i].n_lineage;
    put_bytes(w, MANIFEST_MAGIC, MANIFEST_MAGIC_SIZE);
    put_u64(w, v->number);
    put_bytes(w, v->parent.b, DIGEST_SIZE);
    put_bytes(w, v->request.b, REQUEST_ID_SIZE);
    put_i64(w, v->created_us);
    put_bytes(w, v->report.b, DIGEST_SIZE);
    put_bytes(w, v->policy.b, DIGEST_SIZE);
    put_string(w, v->kernel);
    put_u32(w, v->threads);
    put_u32(w, (uint32_t)v->n_components);
    put_u32(w, (uint32_t)lineage);
    put_u32(w, (uint32_t)v->n_erasures);
    put_u32(w, (uint32_t)v->n_labels);
}

static void put_manifest(struct byte_writer *w, const struct version *v)
{
    put_head(w, v);
    for (size_t i = 0; i < v->n_components; i++)
        put_component(w, &v->components[i]);
    for (size_t i = 0; i < v->n_erasures; i++)
        put_bytes(w, v->erasures[i].b, REQUEST_ID_SIZE);
    for (size_t i = 0; i < v->n_labels; i++) {
        put_string(w, v->labels[i].name);
        put_string(w, v->labels[i].owner);
        put_u8(w, (uint8_t)v->labels[i].status);
        put_bytes(w, v->labels[i].forgotten_by.b, REQUEST_ID_SIZE);
    }
}

enum status
version_encode(const struct version *v, void **ret_bytes, size_t *ret_size, struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, 0);
    TRY(version_check(v, f));
    put_manifest(&count, v);
    if (count.used > VERSION_BYTES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version", "manifest of %zu bytes, limit %zu", count.used,
             VERSION_BYTES_MAX);
    void *bytes = sysio_alloc(count.used, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a manifest of %zu bytes", count.used);
    struct byte_writer w = byte_writer_make(bytes, count.used);
    put_manifest(&w, v);
    *ret_bytes = bytes;
    *ret_size = count.used;
    return STATUS_OK;
}

enum status version_id(const struct version *v, struct digest *ret_digest, struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    TRY(version_encode(v, &bytes, &size, f));
    *ret_digest = seal_hash(bytes, size);
    sysio_free(bytes);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- decoding */

struct counts {
    size_t components;
    size_t lineage;
    size_t erasures;
    size_t labels;
};

/* Where the parts of a decoded version go: all behind it, in one allocation. */
struct parts {
    struct version_component *components;
    struct version_lineage *lineage;
    struct version_label *labels;
    struct request_id *erasures;
    char *pool; /* strings with their NULs */
    size_t lineage_left;
};

/* A string into the pool; the pool is as long as the manifest, so it cannot run out. */
static const char *take_string(struct byte_reader *r, char **pool)
{
    size_t n;
    const uint8_t *p = get_blob(r, &n);
    char *to = *pool;
    if (!p || n > VERSION_STRING_MAX || memchr(p, 0, n)) {
        r->failed = 1;
        return "";
    }
    memcpy(to, p, n);
    to[n] = '\0';
    *pool += n + 1;
    return to;
}

static void get_head(struct byte_reader *r, struct version *v, char **pool, struct counts *n)
{
    char magic[MANIFEST_MAGIC_SIZE];
    get_bytes(r, magic, sizeof magic);
    if (memcmp(magic, MANIFEST_MAGIC, sizeof magic) != 0)
        r->failed = 1;
    v->number = get_u64(r);
    get_bytes(r, v->parent.b, DIGEST_SIZE);
    get_bytes(r, v->request.b, REQUEST_ID_SIZE);
    v->created_us = get_i64(r);
    get_bytes(r, v->report.b, DIGEST_SIZE);
    get_bytes(r, v->policy.b, DIGEST_SIZE);
    v->kernel = take_string(r, pool);
    v->threads = get_u32(r);
    n->components = get_u32(r);
    n->lineage = get_u32(r);
    n->erasures = get_u32(r);
    n->labels = get_u32(r);
}

static int counts_possible(const struct byte_reader *r, const struct counts *n)
{
    const size_t left = r->size - r->used;
    return !r->failed && n->components <= VERSION_COMPONENTS_MAX &&
           n->lineage <= VERSION_LINEAGE_MAX && n->erasures <= VERSION_ERASURES_MAX &&
           n->labels <= VERSION_LABELS_MAX &&
           n->components * COMPONENT_BYTES_MIN + n->lineage * LINEAGE_BYTES_MIN +
                   n->erasures * REQUEST_ID_SIZE + n->labels * LABEL_BYTES_MIN <=
               left;
}

static void get_component(struct byte_reader *r, struct version_component *c, struct parts *p)
{
    c->kind = take_string(r, &p->pool);
    c->name = take_string(r, &p->pool);
    get_bytes(r, c->blob.b, DIGEST_SIZE);
    c->bytes = get_u64(r);
    c->groups_total = get_u32(r);
    c->groups_zero = get_u32(r);
    c->seed = get_u64(r);
    get_bytes(r, c->request.b, REQUEST_ID_SIZE);
    c->n_lineage = get_u32(r);
    c->lineage = p->lineage;
    if (c->n_lineage > p->lineage_left) {
        r->failed = 1;
        c->n_lineage = 0;
    }
    p->lineage_left -= c->n_lineage;
    for (size_t i = 0; i < c->n_lineage; i++, p->lineage++) {
        p->lineage->kind = take_string(r, &p->pool);
        p->lineage->name = take_string(r, &p->pool);
        get_bytes(r, p->lineage->digest.b, DIGEST_SIZE);
    }
}

static void
get_parts(struct byte_reader *r, struct version *v, struct parts *p, const struct counts *n)
{
    v->components = p->components;
    v->n_components = n->components;
    v->erasures = p->erasures;
    v->n_erasures = n->erasures;
    v->labels = p->labels;
    v->n_labels = n->labels;
    p->lineage_left = n->lineage;
    for (size_t i = 0; i < n->components; i++)
        get_component(r, &p->components[i], p);
    for (size_t i = 0; i < n->erasures; i++)
        get_bytes(r, p->erasures[i].b, REQUEST_ID_SIZE);
    for (size_t i = 0; i < n->labels; i++) {
        struct version_label *l = &p->labels[i];
        l->name = take_string(r, &p->pool);
        l->owner = take_string(r, &p->pool);
        l->status = (enum version_label_status)get_u8(r);
        get_bytes(r, l->forgotten_by.b, REQUEST_ID_SIZE);
    }
    if (p->lineage_left != 0)
        r->failed = 1;
}

/* One zeroed block: the version, its arrays, the pool.  All struct sizes are multiples of 8. */
static struct version *alloc_version(const struct counts *n, size_t pool_size, struct parts *p)
{
    const size_t components = n->components * sizeof *p->components;
    const size_t lineage = n->lineage * sizeof *p->lineage;
    const size_t labels = n->labels * sizeof *p->labels;
    const size_t erasures = n->erasures * sizeof *p->erasures;
    struct version *v =
        sysio_alloc(sizeof *v + components + lineage + labels + erasures + pool_size, 1);
    if (!v)
        return NULL;
    unsigned char *at = (unsigned char *)(v + 1);
    p->components = (void *)at;
    p->lineage = (void *)(at += components);
    p->labels = (void *)(at += lineage);
    p->erasures = (void *)(at += labels);
    p->pool = (char *)(at + erasures);
    return v;
}

/* The counts stand behind one string: read the head once to know what to allocate. */
static enum status peek_counts(struct byte_reader r, struct counts *ret_counts)
{
    char kernel[VERSION_STRING_MAX + 1];
    char *pool = kernel;
    struct version v;
    get_head(&r, &v, &pool, ret_counts);
    return counts_possible(&r, ret_counts) ? STATUS_OK : STATUS_DATA_LOSS;
}

enum status
version_decode(const void *bytes, size_t size, struct version **ret_version, struct fault *f)
{
    struct counts n;
    struct parts p;
    struct byte_reader r = byte_reader_make(bytes, size);
    if (size > VERSION_BYTES_MAX || peek_counts(r, &n) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "version", "the bytes are not a manifest");
    struct version *v = alloc_version(&n, size, &p);
    if (!v)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a manifest of %zu bytes", size);
    get_head(&r, v, &p.pool, &n);
    get_parts(&r, v, &p, &n);
    enum status st = STATUS_OK;
    if (!byte_reader_done(&r))
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "version",
                       "the manifest is cut off or has bytes left over");
    else if (version_check(v, f) != STATUS_OK) {
        st = STATUS_DATA_LOSS;
        fault_prefix(f, "manifest");
        if (f)
            f->code = st;
    }
    if (st != STATUS_OK) {
        version_free(v);
        return st;
    }
    *ret_version = v;
    return STATUS_OK;
}

void version_free(struct version *v)
{
    sysio_free(v);
}

/* ---------------------------------------------------------------- questions */

uint64_t version_bytes(const struct version *v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < v->n_components; i++)
        sum += v->components[i].bytes;
    return sum;
}

const struct version_component *
version_find_component(const struct version *v, const char *kind, const char *name)
{
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        if (strcmp(c->kind, kind) == 0 && (!name || strcmp(c->name, name) == 0))
            return c;
    }
    return NULL;
}

const struct version_label *version_find_label(const struct version *v, const char *name)
{
    for (size_t i = 0; i < v->n_labels; i++) {
        if (strcmp(v->labels[i].name, name) == 0)
            return &v->labels[i];
    }
    return NULL;
}

size_t version_returning(const struct version *serving,
                         const struct version *target,
                         version_returning_fn *fn,
                         void *context)
{
    size_t n = 0;
    for (size_t i = 0; i < serving->n_erasures; i++) {
        if (version_honours(target, &serving->erasures[i]))
            continue;
        if (fn)
            fn(&serving->erasures[i], context);
        n++;
    }
    return n;
}

static const struct digest *
base_lineage(const struct version *v, const char *kind, const char *name)
{
    const struct version_component *c = version_find_component(v, VERSION_KIND_BASE, NULL);
    for (size_t i = 0; c && i < c->n_lineage; i++)
        if (strcmp(c->lineage[i].kind, kind) == 0 && strcmp(c->lineage[i].name, name) == 0)
            return &c->lineage[i].digest;
    return NULL;
}

const struct digest *version_origin(const struct version *v)
{
    return base_lineage(v, VERSION_LINEAGE_TRUNK, VERSION_TRUNK_ORIGIN);
}

const struct digest *version_folded(const struct version *v, const char *erasure)
{
    return base_lineage(v, VERSION_KIND_ERASURE, erasure);
}
