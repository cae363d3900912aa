#include "daemon/jobs/served.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/base/arena.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "learners/methods/gslora/delta.h"
#include "proto/seal/hash.h"

#define SERVED_MAGIC       0x56524553u
#define SERVED_CACHE_MAX   16
#define SERVED_DELTA_BYTES ((size_t)1 << 30)

/* The public part comes first, so that a pointer to it is a pointer to this. */
struct served_object {
    struct served view;
    uint32_t magic;
    atomic_uint references;
    struct version *manifest;
    float *folded; /* NULL: nothing is folded, all tensors are the base's */
    uint8_t *live;
};

static struct served_object *object_of(struct served *s)
{
    struct served_object *o = (struct served_object *)s;
    INVARIANT(o->magic == SERVED_MAGIC);
    return o;
}

static void object_free(struct served_object *o)
{
    version_free(o->manifest);
    sysio_free(o->folded);
    sysio_free(o->live);
    o->magic = 0;
    sysio_free(o);
}

void served_release(struct served *s)
{
    if (!s)
        return;
    struct served_object *o = object_of(s);
    if (atomic_fetch_sub_explicit(&o->references, 1, memory_order_acq_rel) == 1)
        object_free(o);
}

static struct served *served_reference(struct served *s)
{
    (void)atomic_fetch_add_explicit(&object_of(s)->references, 1, memory_order_relaxed);
    return s;
}

/* ---------------------------------------------------------------- folding */

static enum status decode_deltas(const struct base_model *base,
                                 const struct served_delta *deltas,
                                 size_t n,
                                 struct arena *arena,
                                 struct delta **ret_list,
                                 struct fault *f)
{
    struct delta *list = arena_alloc(arena, n, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %zu deltas", n);
    for (size_t i = 0; i < n; i++) {
        const enum status st =
            delta_decode(deltas[i].bytes, deltas[i].size, &base->vit, arena, &list[i], f);
        if (st == STATUS_NO_MEMORY)
            return st;
        if (st != STATUS_OK) {
            fault_prefix(f, "delta %zu", i);
            return STATUS_DATA_LOSS;
        }
    }
    *ret_list = list;
    return STATUS_OK;
}

static enum status fold_deltas(struct served_object *o,
                               const struct base_model *base,
                               const struct served_delta *deltas,
                               size_t n,
                               struct fault *f)
{
    struct arena_plan plan = {0};
    arena_plan_add(&plan, n, sizeof(struct delta));
    for (size_t i = 0; i < n; i++)
        arena_plan_add(&plan, delta_decode_plan(deltas[i].size), 1);
    const size_t size = arena_plan_bytes(&plan);
    void *memory = sysio_alloc(size, 1);
    o->folded = sysio_alloc(delta_fold_floats(&base->vit), sizeof(float));
    if (!memory || !o->folded) {
        sysio_free(memory);
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory to fold %zu deltas", n);
    }
    struct arena arena;
    arena_init(&arena, memory, size);
    struct delta *list = NULL;
    const enum status st = decode_deltas(base, deltas, n, &arena, &list, f);
    if (st == STATUS_OK) {
        delta_fold_map(&base->vit, &base->weights, o->folded, &o->view.weights);
        delta_fold(&base->vit, &base->weights, list, (uint32_t)n, &o->view.weights);
    }
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

static enum status read_labels(struct served_object *o, struct fault *f)
{
    const uint32_t n = o->view.n_classes;
    if (o->manifest->n_labels != n)
        FAIL(f, STATUS_DATA_LOSS, "labels", "the version has %zu labels, the base %u",
             o->manifest->n_labels, n);
    o->live = sysio_alloc(n, 1);
    if (!o->live)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    for (uint32_t k = 0; k < n; k++) {
        o->live[k] = o->manifest->labels[k].status == VERSION_LABEL_ACTIVE;
        o->view.n_live += o->live[k];
    }
    o->view.live = o->live;
    return STATUS_OK;
}

enum status served_fold(const struct base_model *base,
                        const struct digest *digest,
                        struct version *manifest,
                        const struct served_delta *deltas,
                        size_t n_deltas,
                        struct served **ret_served,
                        struct fault *f)
{
    struct served_object *o = sysio_alloc(1, sizeof *o);
    if (!o) {
        version_free(manifest);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a served version");
    }
    o->magic = SERVED_MAGIC;
    atomic_init(&o->references, 1);
    o->manifest = manifest;
    o->view.base = base;
    o->view.digest = *digest;
    o->view.manifest = manifest;
    o->view.n_classes = base->vit.classes;
    o->view.weights = base->weights;
    enum status st = read_labels(o, f);
    if (st == STATUS_OK && n_deltas > 0)
        st = fold_deltas(o, base, deltas, n_deltas, f);
    if (st != STATUS_OK) {
        object_free(o);
        return st;
    }
    *ret_served = &o->view;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- building from the store */

void served_free_deltas(struct served_delta *deltas, size_t n)
{
    if (!deltas)
        return;
    for (size_t i = 0; i < n; i++)
        sysio_free((void *)(uintptr_t)deltas[i].bytes);
    sysio_free(deltas);
}

static enum status load_deltas(struct kv_txn *txn,
                               const struct version *v,
                               struct served_delta *deltas,
                               size_t *ret_n,
                               struct fault *f)
{
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        if (strcmp(c->kind, VERSION_KIND_ERASURE) != 0)
            continue;
        void *bytes;
        size_t size;
        TRY(blob_load(txn, &c->blob, SERVED_DELTA_BYTES, &bytes, &size, f));
        deltas[*ret_n].bytes = bytes;
        deltas[*ret_n].size = size;
        (*ret_n)++;
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

static enum status load_version(struct kv_txn *txn,
                                const struct digest *digest,
                                struct version **ret_manifest,
                                struct served_delta **ret_deltas,
                                size_t *ret_n,
                                struct fault *f)
{
    struct version *v;
    TRY(version_get(txn, digest, &v, f));
    *ret_n = 0;
    *ret_deltas = sysio_alloc(v->n_components + 1, sizeof **ret_deltas);
    enum status st = STATUS_OK;
    if (!*ret_deltas)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, NULL, "no memory for deltas");
    if (st == STATUS_OK)
        st = verify_manifest(txn, digest, f);
    if (st == STATUS_OK)
        st = load_deltas(txn, v, *ret_deltas, ret_n, f);
    if (st != STATUS_OK) {
        served_free_deltas(*ret_deltas, *ret_n);
        version_free(v);
        return st;
    }
    *ret_manifest = v;
    return STATUS_OK;
}

enum status served_load_deltas(struct store *store,
                               const struct digest *digest,
                               struct served_delta **ret_deltas,
                               size_t *ret_n,
                               struct fault *f)
{
    struct kv_txn *txn;
    struct version *manifest;
    TRY(store_read_begin(store, &txn, f));
    const enum status st = load_version(txn, digest, &manifest, ret_deltas, ret_n, f);
    store_read_end(txn);
    if (st == STATUS_OK)
        version_free(manifest);
    return st;
}

enum status served_build(const struct base_model *base,
                         struct store *store,
                         const struct digest *digest,
                         struct served **ret_served,
                         struct fault *f)
{
    struct kv_txn *txn;
    struct version *manifest;
    struct served_delta *deltas;
    size_t n;
    TRY(store_read_begin(store, &txn, f));
    enum status st = load_version(txn, digest, &manifest, &deltas, &n, f);
    store_read_end(txn);
    TRY(st);
    st = served_fold(base, digest, manifest, deltas, n, ret_served, f);
    served_free_deltas(deltas, n);
    return st;
}

/* ---------------------------------------------------------------- cache */

struct served_slot {
    struct served *served; /* NULL: empty */
    uint64_t used;
};

struct served_cache {
    uint32_t magic;
    const struct base_model *base;
    struct store *store;
    pthread_mutex_t lock;
    struct served *serving;
    uint64_t clock;
    uint32_t n_slots;
    struct served_slot slots[SERVED_CACHE_MAX];
};

enum status served_cache_new(const struct base_model *base,
                             struct store *store,
                             uint32_t named,
                             struct served_cache **ret_cache,
                             struct fault *f)
{
    struct served_cache *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the cache of versions");
    c->magic = SERVED_MAGIC;
    c->base = base;
    c->store = store;
    c->n_slots = named > SERVED_CACHE_MAX ? SERVED_CACHE_MAX : named;
    (void)pthread_mutex_init(&c->lock, NULL);
    *ret_cache = c;
    return STATUS_OK;
}

void served_cache_free(struct served_cache *c)
{
    if (!c)
        return;
    INVARIANT(c->magic == SERVED_MAGIC);
    for (uint32_t i = 0; i < c->n_slots; i++)
        served_release(c->slots[i].served);
    served_release(c->serving);
    (void)pthread_mutex_destroy(&c->lock);
    c->magic = 0;
    sysio_free(c);
}

void served_cache_publish(struct served_cache *c, struct served *s)
{
    INVARIANT(c->magic == SERVED_MAGIC);
    (void)pthread_mutex_lock(&c->lock);
    struct served *old = c->serving;
    c->serving = s;
    (void)pthread_mutex_unlock(&c->lock);
    served_release(old);
}

struct served *served_take_serving(struct served_cache *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct served *s = c->serving ? served_reference(c->serving) : NULL;
    (void)pthread_mutex_unlock(&c->lock);
    return s;
}

/* A reference to a cached version, or NULL. */
static struct served *cache_find(struct served_cache *c, const struct digest *digest)
{
    struct served *found = NULL;
    (void)pthread_mutex_lock(&c->lock);
    if (c->serving && digest_equal(&c->serving->digest, digest))
        found = served_reference(c->serving);
    for (uint32_t i = 0; i < c->n_slots && !found; i++) {
        struct served_slot *slot = &c->slots[i];
        if (!slot->served || !digest_equal(&slot->served->digest, digest))
            continue;
        slot->used = ++c->clock;
        found = served_reference(slot->served);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

/* Puts a version into the least recently used slot; two threads may both have built it. */
static void cache_insert(struct served_cache *c, struct served *s)
{
    struct served *out = NULL;
    (void)pthread_mutex_lock(&c->lock);
    struct served_slot *oldest = NULL;
    for (uint32_t i = 0; i < c->n_slots; i++)
        if (!oldest || c->slots[i].used < oldest->used)
            oldest = &c->slots[i];
    if (oldest) {
        out = oldest->served;
        oldest->served = served_reference(s);
        oldest->used = ++c->clock;
    }
    (void)pthread_mutex_unlock(&c->lock);
    served_release(out);
}

enum status served_take(struct served_cache *c,
                        const struct digest *digest,
                        struct served **ret_served,
                        struct fault *f)
{
    INVARIANT(c->magic == SERVED_MAGIC);
    struct served *s = cache_find(c, digest);
    if (!s) {
        TRY(served_build(c->base, c->store, digest, &s, f));
        cache_insert(c, s);
    }
    *ret_served = s;
    return STATUS_OK;
}
