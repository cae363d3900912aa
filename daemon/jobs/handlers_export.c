/* KIND_EXPORT and KIND_BLOB, both on the reader pool's one thread, to which the exports belong. */
#include "daemon/jobs/handlers.h"

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/admit_fast.h"
#include "daemon/jobs/component_file.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/export.h"
#include "daemon/jobs/version_data.h"
#include "proto/limits.h"
#include "proto/seal/trunk_digest.h"

#include <stdio.h>
#include <string.h>

static enum status
resolve(struct core *core, const char *name, struct digest *ret_digest, struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = admit_resolve(txn, name, ret_digest, f);
    store_read_end(txn);
    return st;
}

/* Hands the files over to the list of exports and names them in the answer. */
static enum status publish_files(struct core *core,
                                 struct export_set *set,
                                 struct wire_exported_file *files,
                                 struct fault *f)
{
    const int64_t now = clock_mono_us();
    for (size_t i = 0; i < set->n; i++) {
        struct export_entry *entry = &set->files[i];
        uint8_t *bytes = entry->bytes;
        entry->bytes = NULL;
        files[i] = (struct wire_exported_file){.path = entry->path, .bytes = entry->size};
        TRY(exports_add(core->exports, bytes, entry->size, now, &files[i].digest, f));
    }
    return STATUS_OK;
}

static enum status make_set(struct core *core,
                            const struct wire_export *m,
                            struct digest *ret_version,
                            struct export_set *ret_set,
                            struct fault *f)
{
    enum export_format format;
    struct served *s;
    struct served_delta *deltas;
    size_t n;
    TRY(export_format_parse(m->format, &format, f));
    TRY(resolve(core, m->version, ret_version, f));
    TRY(served_load_deltas(core->store, ret_version, &deltas, &n, f));
    enum status st = served_take(core->served, ret_version, &s, f);
    if (st == STATUS_OK) {
        st = export_make(s, format, deltas, n, ret_set, f);
        served_release(s);
    }
    served_free_deltas(deltas, n);
    return st;
}

/* ---------------------------------------------------------------- one component */

/* "lane-NAME.safetensors"; slashes of the name become dashes. */
static const char *component_path(const struct component_file *c, struct arena *arena)
{
    const size_t size = COMPONENT_KIND_SIZE + COMPONENT_NAME_SIZE + sizeof ".safetensors";
    char *path = arena_alloc(arena, size, 1);
    if (!path)
        return NULL;
    (void)snprintf(path, size, "%s-%s.safetensors", c->kind, c->name);
    for (char *at = strchr(path, '/'); at; at = strchr(at, '/'))
        *at = '-';
    return path;
}

/* The two records of a component, owned. */
struct records {
    void *component;
    void *router; /* NULL: it has no terms */
};

static void records_free(struct records *r)
{
    sysio_free(r->component);
    sysio_free(r->router);
}

/* State of the trunk that the version's components answer on. */
static enum status trunk_of(const struct version *v,
                            const struct digest *base,
                            struct digest *ret_trunk,
                            struct fault *f)
{
    struct digest *deltas = sysio_alloc(v->n_erasures + 1, sizeof *deltas);
    size_t n = 0;
    if (!deltas)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory for %zu erasures", v->n_erasures);
    for (size_t i = 0; i < v->n_erasures; i++) {
        char name[REQUEST_ID_TEXT_SIZE];
        request_id_format(&v->erasures[i], name);
        const struct version_component *c = version_find_component(v, VERSION_KIND_ERASURE, name);
        if (c)
            deltas[n++] = c->blob;
        else if (version_folded(v, name))
            deltas[n++] = *version_folded(v, name);
    }
    *ret_trunk = trunk_digest(base, deltas, n);
    sysio_free(deltas);
    return STATUS_OK;
}

static enum status load_records(struct kv_txn *txn,
                                const struct version *v,
                                struct component_file *c,
                                struct records *r,
                                struct fault *f)
{
    char owner[COMPONENT_KIND_SIZE + COMPONENT_NAME_SIZE];
    const struct version_component *own = version_find_component(v, c->kind, c->name);
    if (!own)
        FAIL(f, STATUS_NOT_FOUND, "component", "the version has no %s %s", c->kind, c->name);
    (void)snprintf(owner, sizeof owner, "%s:%s", c->kind, c->name);
    if (admit_fast_is_suppressed(v, owner))
        FAIL(f, STATUS_FAILED_PRECONDITION, "component",
             "%.80s still holds what was forgotten in mode fast: forget it with --mode exact first",
             owner);
    c->seed = own->seed;
    TRY(blob_load(txn, &own->blob, COMPONENT_BYTES_MAX, &r->component, &c->size, f));
    c->bytes = r->component;
    const struct version_component *terms = version_find_component(v, VERSION_KIND_ROUTER, owner);
    if (!terms)
        return STATUS_OK;
    TRY(blob_load(txn, &terms->blob, COMPONENT_BYTES_MAX, &r->router, &c->router_size, f));
    c->router = r->router;
    return STATUS_OK;
}

static enum status load_component(struct core *core,
                                  const struct digest *version,
                                  struct component_file *c,
                                  struct records *r,
                                  struct fault *f)
{
    struct kv_txn *txn;
    struct version *v;
    c->place.base = core->base->digest;
    c->place.preprocessing = base_model_preprocessing(core->base);
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = version_get(txn, version, &v, f);
    if (st == STATUS_OK) {
        st = trunk_of(v, &core->base->digest, &c->place.trunk, f);
        if (st == STATUS_OK)
            st = load_records(txn, v, c, r, f);
        version_free(v);
    }
    store_read_end(txn);
    return st;
}

static enum status make_component(struct core *core,
                                  struct call *call,
                                  struct digest *ret_version,
                                  struct export_set *ret_set,
                                  struct fault *f)
{
    const struct wire_export *m = &call_message(call)->body.export;
    struct component_file c;
    struct records records = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (m->format[0] != '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "format", "a component has one format: leave this empty");
    TRY(component_file_parse(m->component, &c, f));
    TRY(resolve(core, m->version, ret_version, f));
    const char *path = component_path(&c, call_arena(call));
    if (!path)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the answer");
    enum status st = load_component(core, ret_version, &c, &records, f);
    if (st == STATUS_OK)
        st = component_file_write(&c, &bytes, &size, f);
    records_free(&records);
    TRY(st);
    *ret_set = (struct export_set){.files = {{path, bytes, size}}, .n = 1};
    return STATUS_OK;
}

static enum status
export_answer(struct core *core, struct call *call, struct wire_exported *ret, struct fault *f)
{
    const struct wire_export *m = &call_message(call)->body.export;
    struct export_set set;
    struct digest version;
    struct wire_exported_file *files =
        arena_alloc_zero(call_arena(call), EXPORT_FILES_MAX, sizeof *files);
    if (!files)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the answer");
    if (m->component[0] != '\0')
        TRY(make_component(core, call, &version, &set, f));
    else
        TRY(make_set(core, m, &version, &set, f));
    *ret = (struct wire_exported){.version = version, .files = files, .n_files = set.n};
    const enum status st = publish_files(core, &set, files, f);
    export_set_free(&set);
    return st;
}

static void export_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread)
{
    (void)waited_us;
    (void)thread;
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_EXPORTED};
    const enum status st = export_answer(core, call, &reply.body.exported, &f);
    core_answer(call, st, &reply, &f);
}

void handle_export(struct core *core, struct call *call)
{
    call_pool_post(core->readers, export_task, call);
}

static void blob_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread)
{
    (void)waited_us;
    (void)thread;
    struct fault f = {0};
    const struct wire_blob_range *m = &call_message(call)->body.blob;
    struct wire_bytes part = {.size = m->length};
    const struct call_frames raw = {.n = 1, .items = &part};
    const struct wire_reply reply = {.answer = WIRE_ANSWER_NONE};
    const enum status st = exports_read(core->exports, &m->digest, m->offset, m->length,
                                        clock_mono_us(), &part.at, &f);
    if (st == STATUS_OK)
        call_finish(call, &reply, &raw);
    else
        call_fail(call, st, &f);
}

void handle_blob(struct core *core, struct call *call)
{
    call_pool_post(core->readers, blob_task, call);
}
