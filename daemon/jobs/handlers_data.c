/*
 * KIND_DATA_OPEN, _CHUNK, _CLOSE, _LIST and _REMOVE, on the core thread.
 *
 * An upload is one stream: pixels, labels and, if it says so, whose each image is.  Its bytes are
 * durable in the store as they arrive; closing checks the digest of the whole, cuts it into its
 * parts and registers the data set in one change.
 */
#include "daemon/jobs/handlers.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/open_requests.h"
#include "daemon/jobs/version_data.h"
#include "daemon/jobs/wire_view.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"

#define UPLOAD_KEEP_US   ((int64_t)LIMIT_UPLOAD_HOURS * 3600 * 1000000)
#define UPLOAD_BYTES_MAX ((uint64_t)8 << 30) /* held in memory while it is closed */

static struct wire_upload view_upload(const struct upload_spec *spec, const struct upload *u)
{
    const uint64_t total = upload_spec_bytes(spec);
    const uint64_t offset = u ? u->extent.size : total;
    return (struct wire_upload){.upload = spec->id,
                                .offset = offset,
                                .credit = LIMIT_CHUNK_CREDIT,
                                .bytes = total,
                                .complete = offset == total};
}

/* ---------------------------------------------------------------- open */

static enum status
check_new_name(struct core *core, const struct upload_spec *spec, struct fault *f)
{
    struct dataset *d;
    const enum status st =
        store_read_dataset(core->store, spec->set.name, spec->set.role, &d, NULL);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(st);
    datasets_free(d);
    FAIL(f, STATUS_ALREADY_EXISTS, "name",
         "data set %s (%s) exists: remove it first or choose another name", spec->set.name,
         dataset_role_name(spec->set.role));
}

/* What a client has declared in all its open uploads; one that is resumed counts once. */
static enum status check_quota(struct core *core,
                               const struct call *call,
                               const struct upload_spec *spec,
                               struct fault *f)
{
    struct kv_txn *txn;
    struct upload u;
    uint64_t pledged;
    TRY(store_read_begin(core->store, &txn, f));
    const int resumed = upload_get(txn, &spec->id, &u, NULL) == STATUS_OK;
    const enum status st = upload_pledged(txn, call_principal(call), &pledged, f);
    store_read_end(txn);
    TRY(st);
    const uint64_t total = pledged + (resumed ? 0 : upload_spec_bytes(spec));
    if (total > (uint64_t)core->config->quota_upload)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "quota_upload",
             "%llu bytes in your open uploads, at most %llu", (unsigned long long)total,
             (unsigned long long)core->config->quota_upload);
    return STATUS_OK;
}

static enum status
open_upload(struct core *core, struct call *call, struct wire_upload *ret_upload, struct fault *f)
{
    const struct wire_data_open *m = &call_message(call)->body.data_open;
    const int64_t now = clock_wall_us();
    struct upload_spec *spec;
    struct upload u;
    TRY(uploads_open_add(core->uploads, call_principal(call), m, now + UPLOAD_KEEP_US, &spec, f));
    if (spec->complete && check_new_name(core, spec, NULL) == STATUS_ALREADY_EXISTS) {
        *ret_upload = view_upload(spec, NULL);
        return STATUS_OK;
    }
    spec->complete = 0; /* it was removed since */
    const uint64_t total = upload_spec_bytes(spec);
    TRY(check_new_name(core, spec, f));
    if (total > UPLOAD_BYTES_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images",
             "a data set may have %llu bytes, this one has %llu",
             (unsigned long long)UPLOAD_BYTES_MAX, (unsigned long long)total);
    TRY(check_quota(core, call, spec, f));
    /* While it is closed the bytes are there twice: as they came and as a data set. */
    TRY(store_reserve(core->store, 2 * total + CORE_RESERVE, f));
    const struct upload_open open = {.id = spec->id,
                                     .principal = call_principal(call),
                                     .size = total,
                                     .digest = spec->digest,
                                     .now_us = now,
                                     .expires_us = now + UPLOAD_KEEP_US};
    TRY(store_upload_open(core->store, &open, &u, f));
    *ret_upload = view_upload(spec, &u);
    return STATUS_OK;
}

static void answer_data_open(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_UPLOAD};
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = open_upload(core, call, &reply.body.upload, &f);
    core_answer(call, st, &reply, &f);
}

void handle_data_open(struct core *core, struct call *call)
{
    core_post(core, answer_data_open, call);
}

/* ---------------------------------------------------------------- chunk */

/*
 * An upload that this process does not know is opened again by the client: ABORTED says so.  Its id
 * can be computed by who knows the content, so it is no proof of whose it is.
 */
static enum status find_upload(struct core *core,
                               const struct call *call,
                               const struct request_id *id,
                               struct upload_spec **ret_spec,
                               struct fault *f)
{
    *ret_spec = uploads_open_find(core->uploads, id);
    if (!*ret_spec)
        FAIL(f, STATUS_ABORTED, "upload", "the upload is not open here: open it again");
    if (strcmp((*ret_spec)->principal, call_principal(call)) != 0)
        FAIL(f, STATUS_PERMISSION_DENIED, "upload", "the upload is another client's");
    return STATUS_OK;
}

static enum status
append_chunk(struct core *core, struct call *call, struct wire_upload *ret_upload, struct fault *f)
{
    const struct wire_data_chunk *m = &call_message(call)->body.data_chunk;
    struct upload_spec *spec;
    struct upload u;
    size_t size;
    if (call_frames_count(call) != 1)
        FAIL(f, STATUS_INVALID_ARGUMENT, "frames", "a chunk is one raw frame");
    const uint8_t *bytes = call_frame(call, 0, &size);
    if (size == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "frames", "the chunk is empty");
    TRY(find_upload(core, call, &m->upload, &spec, f));
    if (spec->complete) {
        *ret_upload = view_upload(spec, NULL);
        return STATUS_OK;
    }
    TRY(store_upload_append(core->store, &m->upload, m->offset, bytes, size, &u, f));
    *ret_upload = view_upload(spec, &u);
    return STATUS_OK;
}

static void answer_data_chunk(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_UPLOAD};
    const enum status st = append_chunk(core, call, &reply.body.upload, &f);
    core_answer(call, st, &reply, &f);
}

void handle_data_chunk(struct core *core, struct call *call)
{
    core_post(core, answer_data_chunk, call);
}

/* ---------------------------------------------------------------- close */

/* The whole stream, complete and with the declared digest. */
static enum status
load_stream(struct core *core, const struct upload_spec *spec, uint8_t **ret_bytes, struct fault *f)
{
    struct kv_txn *txn;
    struct upload u;
    void *bytes = NULL;
    size_t size = 0;
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = upload_get(txn, &spec->id, &u, f);
    if (st == STATUS_OK && u.extent.size < u.size)
        st = fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "upload",
                       "%llu of %llu bytes have arrived", (unsigned long long)u.extent.size,
                       (unsigned long long)u.size);
    if (st == STATUS_OK)
        st = extent_load(txn, &u.extent, (size_t)UPLOAD_BYTES_MAX, &bytes, &size, f);
    store_read_end(txn);
    TRY(st);
    const struct digest digest = seal_hash(bytes, size);
    if (!digest_equal(&digest, &spec->digest)) {
        sysio_free(bytes);
        FAIL(f, STATUS_INVALID_ARGUMENT, "digest",
             "the bytes that arrived are not those that were declared");
    }
    *ret_bytes = bytes;
    return STATUS_OK;
}

/* Labels travel as i32 and are stored as u32: the same bytes once none is negative. */
static enum status
check_labels(const struct upload_spec *spec, const uint8_t *labels, struct fault *f)
{
    if (spec->set.label_kind != DATASET_LABELS_CLASS)
        return STATUS_OK;
    struct byte_reader r = byte_reader_make(labels, (size_t)spec->label_bytes);
    for (uint64_t i = 0; i < spec->set.n; i++) {
        const int32_t label = (int32_t)get_u32(&r);
        if (label < 0 || (uint32_t)label >= spec->set.n_classes)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label %d of image %llu is not below %u",
                 label, (unsigned long long)i, spec->set.n_classes);
    }
    return STATUS_OK;
}

/* Should this fail, the bytes expire later. */
static void drop_bytes(struct core *core, const struct request_id *id)
{
    struct fault f = {0};
    if (store_upload_abort(core->store, id, &f) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "upload.left", f.text, NULL);
}

/* What clients send of subjects can be guessed; what is stored cannot without the key. */
static enum status
key_subjects(struct core *core, const struct upload_spec *spec, uint8_t *subjects, struct fault *f)
{
    struct subject_key key;
    struct digest d;
    if (spec->subject_bytes == 0)
        return STATUS_OK;
    TRY(store_subject_key(core->store, &key, f));
    for (uint64_t i = 0; i < spec->set.n; i++) {
        memcpy(d.b, subjects + i * DIGEST_SIZE, DIGEST_SIZE);
        d = subject_stored(&key, &d);
        memcpy(subjects + i * DIGEST_SIZE, d.b, DIGEST_SIZE);
    }
    memset(&key, 0, sizeof key);
    return STATUS_OK;
}

static enum status import(
    struct core *core, struct upload_spec *spec, uint8_t *bytes, const char *actor, struct fault *f)
{
    uint8_t *labels = bytes + spec->pixel_bytes, *subjects = labels + spec->label_bytes;
    TRY(check_labels(spec, labels, f));
    TRY(key_subjects(core, spec, subjects, f));
    const struct store_blob blobs[] = {
        {BLOB_PIXELS, bytes, (size_t)spec->pixel_bytes},
        {BLOB_LABELS, labels, (size_t)spec->label_bytes},
        {BLOB_SUBJECTS, subjects, (size_t)spec->subject_bytes},
    };
    struct dataset set = spec->set;
    set.pixels = seal_hash(blobs[0].bytes, blobs[0].size);
    set.labels = seal_hash(blobs[1].bytes, blobs[1].size);
    if (spec->subject_bytes > 0)
        set.subjects = seal_hash(blobs[2].bytes, blobs[2].size);
    set.created_us = clock_wall_us();
    struct store_change change = {.actor = actor,
                                  .blobs = blobs,
                                  .n_blobs = spec->subject_bytes > 0 ? 3 : 2,
                                  .datasets = &set,
                                  .n_datasets = 1};
    struct store_result result;
    TRY(core_commit(core, &change, &result, f));
    spec->complete = 1;
    drop_bytes(core, &spec->id);
    return STATUS_OK;
}

static enum status
close_upload(struct core *core, struct upload_spec *spec, const char *actor, struct fault *f)
{
    uint8_t *bytes = NULL;
    if (spec->complete)
        return STATUS_OK;
    TRY(check_new_name(core, spec, f));
    enum status st = load_stream(core, spec, &bytes, f);
    if (st == STATUS_OK) {
        st = import(core, spec, bytes, actor, f);
        sysio_free(bytes);
    }
    if (st == STATUS_INVALID_ARGUMENT) {
        /* These bytes can never become the data set: the next try begins anew. */
        const struct request_id id = spec->id;
        drop_bytes(core, &id);
        uploads_open_remove(core->uploads, &id);
    }
    return st;
}

static enum status
close_answer(struct core *core, struct call *call, struct wire_datasets *ret_sets, struct fault *f)
{
    struct upload_spec *spec;
    struct dataset *d;
    struct wire_dataset *item = arena_alloc_zero(call_arena(call), 1, sizeof *item);
    if (!item)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the answer");
    TRY(find_upload(core, call, &call_message(call)->body.by_id.id, &spec, f));
    TRY(close_upload(core, spec, call_principal(call), f));
    TRY(store_read_dataset(core->store, spec->set.name, spec->set.role, &d, f));
    const enum status st = wire_view_dataset(d, call_arena(call), item, f);
    datasets_free(d);
    *ret_sets = (struct wire_datasets){.items = item, .n_items = 1};
    return st;
}

static void answer_data_close(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_DATASETS};
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = close_answer(core, call, &reply.body.datasets, &f);
    core_answer(call, st, &reply, &f);
}

void handle_data_close(struct core *core, struct call *call)
{
    core_post(core, answer_data_close, call);
}

/* ---------------------------------------------------------------- list */

struct listing {
    struct arena *arena;
    struct wire_dataset *items; /* [LIMIT_LIST] */
    size_t n;
};

static enum status list_add(const struct dataset *d, void *context, struct fault *f)
{
    struct listing *x = context;
    if (x->n == LIMIT_LIST)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "more than %u data sets", LIMIT_LIST);
    TRY(wire_view_dataset(d, x->arena, &x->items[x->n], f));
    x->n++;
    return STATUS_OK;
}

static enum status
list_sets(struct core *core, struct call *call, struct wire_datasets *ret_sets, struct fault *f)
{
    struct kv_txn *txn;
    struct arena *a = call_arena(call);
    struct listing x = {.arena = a, .items = arena_alloc_zero(a, LIMIT_LIST, sizeof *x.items)};
    if (!x.items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the list");
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = dataset_list(txn, list_add, &x, f);
    store_read_end(txn);
    *ret_sets = (struct wire_datasets){.items = x.items, .n_items = x.n};
    return st;
}

static void answer_data_list(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_DATASETS};
    const enum status st = list_sets(core, call, &reply.body.datasets, &f);
    core_answer(call, st, &reply, &f);
}

void handle_data_list(struct core *core, struct call *call)
{
    core_post(core, answer_data_list, call);
}

/* ---------------------------------------------------------------- remove */

struct removal {
    const char *name;
    int in_use;
    struct store_dataset_name sets[DATASET_ROLES];
    size_t n;
};

static enum status removal_add(const struct dataset *d, void *context, struct fault *f)
{
    (void)f;
    struct removal *x = context;
    if (strcmp(d->name, x->name) == 0)
        x->sets[x->n++] =
            (struct store_dataset_name){.name = x->name, .role = d->role, .in_use = x->in_use};
    return STATUS_OK;
}

/* A lane or expert that serves must be able to forget: its data stay. */
static enum status check_descendants(struct core *core, const char *name, struct fault *f)
{
    struct served *s = served_take_serving(core->served);
    const struct version *v = s->manifest;
    const struct version_component *found = NULL;
    for (size_t i = 0; i < v->n_components && !found; i++) {
        const struct version_component *c = &v->components[i];
        const int owns = version_data_is_task(c->kind) || strcmp(c->kind, VERSION_KIND_EXPERT) == 0;
        for (size_t k = 0; k < c->n_lineage && owns && !found; k++)
            if (strcmp(c->lineage[k].kind, "dataset") == 0 && strcmp(c->lineage[k].name, name) == 0)
                found = c;
    }
    if (found)
        (void)fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "name",
                        "%s %.60s was trained on \"%.60s\" and needs it to forget parts of it",
                        found->kind, found->name, name);
    served_release(s);
    return found ? STATUS_FAILED_PRECONDITION : STATUS_OK;
}

/* All roles of the name, or none. */
static enum status
remove_sets(struct core *core, const char *name, int force, const char *actor, struct fault *f)
{
    struct kv_txn *txn;
    struct removal x = {.name = name};
    if (!force)
        TRY(check_descendants(core, name, f));
    TRY(open_requests_need(core->store, name, &x.in_use, f));
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = dataset_list(txn, removal_add, &x, f);
    store_read_end(txn);
    TRY(st);
    if (x.n == 0)
        FAIL(f, STATUS_NOT_FOUND, "name", "no data set is called \"%.60s\"", name);
    struct store_change change = {
        .actor = actor, .datasets_removed = x.sets, .n_datasets_removed = x.n};
    struct store_result result;
    return core_commit(core, &change, &result, f);
}

static void answer_data_remove(struct core *core, struct call *call)
{
    struct fault f = {0};
    const struct wire_reply reply = {.answer = WIRE_ANSWER_NONE};
    const struct wire_by_name *m = &call_message(call)->body.by_name;
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = remove_sets(core, m->name, m->force, call_principal(call), &f);
    core_answer(call, st, &reply, &f);
}

void handle_data_remove(struct core *core, struct call *call)
{
    core_post(core, answer_data_remove, call);
}
