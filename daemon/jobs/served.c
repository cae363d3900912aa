#include "daemon/jobs/served_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/base/arena.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/gslora/delta.h"
#include "proto/seal/hash.h"
#include "proto/seal/trunk_digest.h"

#define SERVED_MAGIC     0x56524553u
#define SERVED_CACHE_MAX 16
#define NOT_LISTED       UINT32_MAX

/* Memory of an arena, pages as they are used: plans are upper bounds. */
struct served_block {
    void *at; /* NULL: none */
    size_t size;
    struct arena arena;
};

/* The public part comes first, so that a pointer to it is a pointer to this. */
struct served_object {
    struct served view;
    uint32_t magic;
    atomic_uint references;
    struct version *manifest;
    float *folded; /* NULL: nothing is folded, all tensors are the base's */
    struct served_block models;
    uint8_t *live;
    uint32_t *rows;
};

static struct served_object *object_of(struct served *s)
{
    struct served_object *o = (struct served_object *)s;
    INVARIANT(o->magic == SERVED_MAGIC);
    return o;
}

static enum status block_init(struct served_block *b, size_t size, struct fault *f)
{
    b->at = size < SIZE_MAX ? sysio_mmap(size > 0 ? size : 1, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                            : MAP_FAILED;
    if (b->at == MAP_FAILED) {
        b->at = NULL;
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a served version");
    }
    b->size = size > 0 ? size : 1;
    arena_init(&b->arena, b->at, b->size);
    return STATUS_OK;
}

static void block_fini(struct served_block *b)
{
    if (!b->at)
        return;
    arena_fini(&b->arena);
    (void)munmap(b->at, b->size);
    b->at = NULL;
}

static void object_free(struct served_object *o)
{
    block_fini(&o->models);
    version_free(o->manifest);
    sysio_free(o->folded);
    sysio_free(o->live);
    sysio_free(o->rows);
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

/* ---------------------------------------------------------------- records */

int served_uses(const struct version_component *c)
{
    static const char *const kinds[] = {
        VERSION_KIND_ERASURE, "lane", "ridge", "expert", "router", "stream"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(c->kind, kinds[i]) == 0)
            return 1;
    return 0;
}

static const struct served_record *find_record(const struct served_source *x,
                                               const struct digest *digest)
{
    for (size_t i = 0; i < x->n_records; i++)
        if (digest_equal(&x->records[i].digest, digest))
            return &x->records[i];
    return NULL;
}

/* A stream's record answers nothing; it says whether the stream is open. */
static enum status look_at_stream(struct served *view,
                                  const struct served_record *r,
                                  const char *name,
                                  struct fault *f)
{
    struct tame_learner_info info;
    const enum status st = tame_learner_peek(r->bytes, r->size, &info, f);
    if (st != STATUS_OK) {
        fault_prefix(f, "stream %.64s", name);
        return STATUS_DATA_LOSS;
    }
    view->n_streams += info.closed ? 0 : 1;
    return STATUS_OK;
}

/* The components of the manifest that serving uses, in its order, erasures first. */
struct parts {
    struct learner_part *list;
    uint32_t n, n_erasures;
};

static enum status add_parts(struct served *view,
                             const struct served_source *x,
                             int erasures,
                             struct parts *p,
                             struct fault *f)
{
    for (size_t i = 0; i < x->manifest->n_components; i++) {
        const struct version_component *c = &x->manifest->components[i];
        if (!served_uses(c) || (strcmp(c->kind, VERSION_KIND_ERASURE) == 0) != erasures)
            continue;
        const struct served_record *r = find_record(x, &c->blob);
        if (!r)
            FAIL(f, STATUS_DATA_LOSS, "components", "the record of %.16s %.64s is missing", c->kind,
                 c->name);
        if (strcmp(c->kind, "stream") == 0) {
            TRY(look_at_stream(view, r, c->name, f));
            continue;
        }
        p->list[p->n++] = (struct learner_part){.kind = c->kind,
                                                .name = c->name,
                                                .bytes = r->bytes,
                                                .size = r->size,
                                                .digest = c->blob};
    }
    return STATUS_OK;
}

static enum status
list_parts(struct served *view, const struct served_source *x, struct parts *p, struct fault *f)
{
    p->list = sysio_alloc(x->manifest->n_components + 1, sizeof *p->list);
    if (!p->list)
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for %zu components",
             x->manifest->n_components);
    TRY(add_parts(view, x, 1, p, f));
    p->n_erasures = p->n;
    return add_parts(view, x, 0, p, f);
}

/* What cannot be read is damage here: nothing is stored that was not read once before. */
static enum status as_data_loss(enum status st)
{
    return st == STATUS_OK || st == STATUS_NO_MEMORY ? st : STATUS_DATA_LOSS;
}

/* ---------------------------------------------------------------- the trunk */

static enum status name_trunk(struct served_object *o, const struct parts *p, struct fault *f)
{
    const struct version *v = o->manifest;
    struct digest *list = sysio_alloc(p->n_erasures + v->n_erasures + 1u, sizeof *list);
    size_t n = 0;
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %u deltas", p->n_erasures);
    for (size_t i = 0; i < v->n_erasures; i++) {
        char name[REQUEST_ID_TEXT_SIZE];
        request_id_format(&v->erasures[i], name);
        if (version_folded(v, name))
            list[n++] = *version_folded(v, name);
    }
    for (uint32_t i = 0; i < p->n_erasures; i++)
        list[n++] = p->list[i].digest;
    o->view.trunk = trunk_digest(&o->view.base->digest, list, n);
    sysio_free(list);
    return STATUS_OK;
}

static enum status decode_deltas(const struct base_model *base,
                                 const struct parts *p,
                                 struct arena *arena,
                                 struct delta **ret_list,
                                 struct fault *f)
{
    struct delta *list = arena_alloc(arena, p->n_erasures, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %u deltas", p->n_erasures);
    for (uint32_t i = 0; i < p->n_erasures; i++) {
        const struct learner_part *part = &p->list[i];
        const enum status st =
            delta_decode(part->bytes, part->size, &base->vit, arena, &list[i], f);
        if (st != STATUS_OK) {
            fault_prefix(f, "delta %u", i);
            return as_data_loss(st);
        }
    }
    *ret_list = list;
    return STATUS_OK;
}

static enum status fold_deltas(struct served_object *o, const struct parts *p, struct fault *f)
{
    const struct base_model *base = o->view.base;
    struct arena_plan plan = {0};
    struct served_block block = {0};
    arena_plan_add(&plan, p->n_erasures, sizeof(struct delta));
    for (uint32_t i = 0; i < p->n_erasures; i++)
        arena_plan_add(&plan, delta_decode_plan(p->list[i].size), 1);
    TRY(block_init(&block, arena_plan_bytes(&plan), f));
    struct delta *list = NULL;
    enum status st = decode_deltas(base, p, &block.arena, &list, f);
    if (st == STATUS_OK) {
        o->folded = sysio_alloc(delta_fold_floats(&base->vit), sizeof(float));
        if (!o->folded)
            st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "erasures",
                           "no memory to fold %u deltas", p->n_erasures);
    }
    if (st == STATUS_OK) {
        delta_fold_map(&base->vit, &base->weights, o->folded, &o->view.weights);
        delta_fold(&base->vit, &base->weights, list, p->n_erasures, &o->view.weights);
    }
    block_fini(&block);
    return st;
}

/* ---------------------------------------------------------------- lanes, experts, router */

static struct answer_parts
answer_parts_of(const struct served_object *o, const struct parts *p, answer_lookup *lookup)
{
    const struct base_model *base = o->view.base;
    return (struct answer_parts){.trunk = {.config = base->vit,
                                           .weights = &o->view.weights,
                                           .labels = base->labels,
                                           .base = base->digest,
                                           .state = o->view.trunk,
                                           .preprocessing = base_model_preprocessing(base)},
                                 .parts = p->list + p->n_erasures,
                                 .n_parts = p->n - p->n_erasures,
                                 .lookup = lookup};
}

static enum status
import_parts(struct served_object *o, const struct answer_parts *list, struct fault *f)
{
    size_t work;
    const size_t size = answer_plan(list, 1, &work);
    struct served_block scratch = {0};
    struct answer *answer = NULL;
    struct pool *pool = NULL;
    void *pool_memory = sysio_alloc(pool_plan(1), 1);
    enum status st = pool_memory ? pool_init(pool_memory, 1, &pool) : STATUS_NO_MEMORY;
    if (st == STATUS_OK)
        st = block_init(&o->models, size, f);
    if (st == STATUS_OK)
        st = block_init(&scratch, work, f);
    if (st == STATUS_OK) {
        const struct learner_tools tools = {.pool = pool, .arena = &o->models.arena};
        st = as_data_loss(answer_new(list, &tools, &scratch.arena, &answer, f));
    }
    o->view.answer = answer;
    block_fini(&scratch);
    pool_fini(pool);
    sysio_free(pool_memory);
    return st;
}

/* ---------------------------------------------------------------- labels */

/* Row of a label in the manifest; lists are usually in the same order. */
static uint32_t find_row(const struct version *v, const char *owner, const char *name, size_t start)
{
    for (size_t i = 0; i < v->n_labels; i++) {
        const size_t row = (start + i) % v->n_labels;
        if (strcmp(v->labels[row].name, name) == 0 && strcmp(v->labels[row].owner, owner) == 0)
            return (uint32_t)row;
    }
    return NOT_LISTED;
}

/* A class that several experts of a stream know is listed under one of them, its owner. */
static uint32_t find_stream_row(const struct version *v, const char *owner, const char *name)
{
    for (size_t i = 0; i < v->n_labels; i++)
        if (strcmp(v->labels[i].name, name) == 0 &&
            version_data_same_stream(v->labels[i].owner, owner))
            return (uint32_t)i;
    return NOT_LISTED;
}

static enum status place_labels(struct served_object *o, uint8_t *listed, struct fault *f)
{
    const struct answer_owner *owners;
    const struct answer_label *labels;
    const uint32_t n = answer_labels(o->view.answer, &labels);
    (void)answer_owners(o->view.answer, &owners);
    size_t next = 0;
    for (uint32_t k = 0; k < n; k++) {
        const char *owner = owners[labels[k].owner].name;
        o->rows[k] = find_row(o->manifest, owner, labels[k].name, next);
        const int shared = o->rows[k] == NOT_LISTED;
        if (shared)
            o->rows[k] = find_stream_row(o->manifest, owner, labels[k].name);
        if (o->rows[k] == NOT_LISTED || (listed[o->rows[k]] && !shared))
            FAIL(f, STATUS_DATA_LOSS, "labels", "the manifest does not list %.64s of %.80s",
                 labels[k].name, owner);
        if (k < o->view.n_classes && o->rows[k] != k)
            FAIL(f, STATUS_DATA_LOSS, "labels", "the base's labels are not the first");
        if (!shared)
            listed[o->rows[k]] = 1;
        o->live[k] = o->manifest->labels[o->rows[k]].status == VERSION_LABEL_ACTIVE;
        o->view.n_live += o->live[k];
        next = o->rows[k] + 1u;
    }
    return STATUS_OK;
}

static enum status match_labels(struct served_object *o, uint8_t *listed, struct fault *f)
{
    TRY(place_labels(o, listed, f));
    for (size_t i = 0; i < o->manifest->n_labels; i++) {
        const struct version_label *l = &o->manifest->labels[i];
        if (!listed[i] && l->status == VERSION_LABEL_ACTIVE)
            FAIL(f, STATUS_DATA_LOSS, "labels", "nobody answers with %.64s of %.80s", l->name,
                 l->owner);
    }
    return STATUS_OK;
}

static enum status read_labels(struct served_object *o, struct fault *f)
{
    const struct answer_label *labels;
    const uint32_t n = answer_labels(o->view.answer, &labels);
    uint8_t *listed = sysio_alloc(o->manifest->n_labels + 1, 1);
    o->live = sysio_alloc(n, 1);
    o->rows = sysio_alloc(n, sizeof *o->rows);
    enum status st = STATUS_NO_MEMORY;
    if (listed && o->live && o->rows)
        st = match_labels(o, listed, f);
    sysio_free(listed);
    o->view.n_labels = n;
    o->view.live = o->live;
    o->view.rows = o->rows;
    return st;
}

/* ---------------------------------------------------------------- making */

/* A version from before its base was sealed into another cannot answer any more. */
static enum status check_base(const struct served_object *o, struct fault *f)
{
    const struct version_component *c =
        version_find_component(o->manifest, VERSION_KIND_BASE, NULL);
    const struct digest *ours = &o->view.base->part_digest[MODEL_FILE_WEIGHTS];
    if (c && version_origin(o->manifest) == NULL && !o->view.base->sealed)
        return STATUS_OK;
    if (c && !digest_equal(&c->blob, ours))
        FAIL(f, STATUS_FAILED_PRECONDITION, "version",
             "its base was destroyed when a later version was sealed");
    return STATUS_OK;
}

static enum status make(struct served_object *o, const struct served_source *x, struct fault *f)
{
    struct parts p = {0};
    TRY(check_base(o, f));
    enum status st = list_parts(&o->view, x, &p, f);
    if (st == STATUS_OK)
        st = name_trunk(o, &p, f);
    if (st == STATUS_OK && p.n_erasures > 0)
        st = fold_deltas(o, &p, f);
    if (st == STATUS_OK) {
        const struct answer_parts list = answer_parts_of(o, &p, x->lookup);
        st = import_parts(o, &list, f);
    }
    sysio_free(p.list);
    TRY(st);
    return read_labels(o, f);
}

enum status served_make(const struct served_source *x, struct served **ret_served, struct fault *f)
{
    struct served_object *o = sysio_alloc(1, sizeof *o);
    if (!o) {
        version_free(x->manifest);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a served version");
    }
    o->magic = SERVED_MAGIC;
    atomic_init(&o->references, 1);
    o->manifest = x->manifest;
    o->view.base = x->base;
    o->view.digest = x->digest;
    o->view.manifest = x->manifest;
    o->view.n_classes = x->base->vit.classes;
    o->view.weights = x->base->weights;
    seal_random(&o->view.tag, sizeof o->view.tag);
    const enum status st = make(o, x, f);
    if (st != STATUS_OK) {
        object_free(o);
        return st;
    }
    *ret_served = &o->view;
    return STATUS_OK;
}

enum status served_fold(const struct base_model *base,
                        const struct digest *digest,
                        struct version *manifest,
                        const struct served_delta *records,
                        size_t n_records,
                        struct served **ret_served,
                        struct fault *f)
{
    struct served_record *list = sysio_alloc(n_records + 1, sizeof *list);
    if (!list) {
        version_free(manifest);
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for %zu components", n_records);
    }
    for (size_t i = 0; i < n_records; i++)
        list[i] = (struct served_record){seal_hash(records[i].bytes, records[i].size),
                                         records[i].bytes, records[i].size};
    const struct served_source x = {.base = base,
                                    .digest = *digest,
                                    .manifest = manifest,
                                    .records = list,
                                    .n_records = n_records};
    const enum status st = served_make(&x, ret_served, f);
    sysio_free(list);
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

void served_cache_rebase(struct served_cache *c, const struct base_model *base)
{
    struct served *old[SERVED_CACHE_MAX];
    (void)pthread_mutex_lock(&c->lock);
    c->base = base;
    for (uint32_t i = 0; i < c->n_slots; i++) {
        old[i] = c->slots[i].served;
        c->slots[i] = (struct served_slot){.served = NULL};
    }
    (void)pthread_mutex_unlock(&c->lock);
    for (uint32_t i = 0; i < c->n_slots; i++)
        served_release(old[i]);
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
        (void)pthread_mutex_lock(&c->lock);
        const struct base_model *base = c->base;
        (void)pthread_mutex_unlock(&c->lock);
        TRY(served_build(base, c->store, digest, &s, f));
        cache_insert(c, s);
    }
    *ret_served = s;
    return STATUS_OK;
}
