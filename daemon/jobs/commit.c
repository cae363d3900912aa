#include "daemon/jobs/commit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/commit_stream.h"
#include "daemon/jobs/imported.h"
#include "daemon/jobs/method.h"
#include "daemon/jobs/records.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/version_data.h"
#include "learners/learner.h"
#include "proto/seal/hash.h"

struct queue_error commit_error(enum status code, const struct fault *f)
{
    struct queue_error e = {.code = code};
    (void)snprintf(e.field, sizeof e.field, "%s", f ? f->field : "");
    (void)snprintf(e.text, sizeof e.text, "%s", f && f->text[0] ? f->text : status_text(code));
    return e;
}

/* ---------------------------------------------------------------- moves without a new version */

enum status commit_move(const struct commit_context *c,
                        const struct job *job,
                        enum request_event event,
                        const struct gate *gate,
                        const struct queue_error *error,
                        struct queue_record *ret_record,
                        struct fault *f)
{
    struct queue_move move = {
        .id = job->record.id, .event = event, .now_us = c->now_us, .error = error};
    struct store_blob blob = {.kind = BLOB_REPORT};
    struct digest report;
    struct store_change change = {
        .now_us = c->now_us, .actor = c->actor, .moves = &move, .n_moves = 1};
    if (gate) {
        blob.bytes = gate->json;
        blob.size = gate->json_size;
        report = seal_hash(gate->json, gate->json_size);
        move.report = &report;
        move.verdict = gate_verdict_name(gate);
        change.blobs = &blob;
        change.n_blobs = 1;
    }
    if (!digest_is_zero(&job->parent_digest))
        move.version_before = &job->parent_digest;
    if ((job->kind == JOB_EVALUATE || stream_job_probes(job)) && event == REQUEST_EVENT_COMMIT)
        move.version_after = &job->parent_digest;
    struct store_result result;
    TRY(store_commit(c->store, &change, &result, f));
    *ret_record = result.moved;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the new version */

/* Blobs, lists and texts of one candidate; everything the change borrows. */
struct candidate {
    char name[REQUEST_ID_TEXT_SIZE];
    uint8_t relapse[RECORD_RELAPSE_SIZE];
    uint8_t *prototypes;  /* NULL: the parent has them */
    uint8_t **tombstones; /* [n_tombstones] records */
    size_t n_tombstones;
    struct store_blob *blobs;
    size_t n_blobs;
    struct digest report;
    struct version_lineage *lineage;
    size_t n_lineage;
    struct version_component *components;
    struct version_label *labels;
    char (*owners)[JOB_OWNER_TEXT_SIZE]; /* of the labels that are new or have moved */
    struct request_id *erasures;
    struct store_memory_class *memory;
    size_t n_memory;
    struct version version;
};

static void candidate_fini(struct candidate *x)
{
    sysio_free(x->prototypes);
    for (size_t i = 0; i < x->n_tombstones; i++)
        sysio_free(x->tombstones[i]);
    sysio_free(x->tombstones);
    sysio_free(x->blobs);
    sysio_free(x->lineage);
    sysio_free(x->components);
    sysio_free(x->labels);
    sysio_free(x->owners);
    sysio_free(x->erasures);
    sysio_free(x->memory);
}

static struct digest
add_blob(struct candidate *x, enum blob_kind kind, const void *bytes, size_t size)
{
    x->blobs[x->n_blobs++] = (struct store_blob){.kind = kind, .bytes = bytes, .size = size};
    return seal_hash(bytes, size);
}

/* Probe images of whole classes stay in the test set, unless the request wants none kept. */
static int is_recheckable(const struct wire_forget *m)
{
    const int kept = m->probe == WIRE_PROBE_DEFAULT || m->probe == WIRE_PROBE_KEEP ||
                     m->probe == WIRE_PROBE_SUBSTITUTE;
    return kept && m->n_classes > 0;
}

static void add_component(struct candidate *x,
                          const char *kind,
                          const char *name,
                          const struct digest *blob,
                          uint64_t bytes)
{
    x->components[x->version.n_components++] =
        (struct version_component){.kind = kind, .name = name, .blob = *blob, .bytes = bytes};
}

static void add_lineage(struct candidate *x, const char *kind, const char *name, struct digest d)
{
    if (!digest_is_zero(&d))
        x->lineage[x->n_lineage++] = (struct version_lineage){kind, name, d};
}

/* The task that made a component, if it was one of the job's. */
static const struct job_task *task_of(const struct job *job, const struct job_made *m)
{
    for (uint32_t i = 0; i < job->spec.n_tasks; i++) {
        const struct job_task *t = &job->spec.tasks[i];
        const struct learner *l = learner_find(t->learner);
        if (l && strcmp(l->kind, m->kind) == 0 && strcmp(t->name, m->name) == 0)
            return t;
    }
    return NULL;
}

/* Terms that were carried over: still of the file they came in, now on another trunk. */
static void carried_lineage(struct candidate *x, const struct job *job, const struct job_made *m)
{
    const struct version_component *before = version_find_component(job->parent, m->kind, m->name);
    for (size_t i = 0; before && i < before->n_lineage; i++)
        if (strcmp(before->lineage[i].kind, VERSION_SOURCE_FILE) == 0)
            x->lineage[x->n_lineage++] = before->lineage[i];
    add_lineage(x, "trunk", "carried-over", job->spec.trunk);
}

/*
 * A component that was changed in place of being trained anew descends from what it was before, and
 * from what that came from.
 */
static void suppressed_lineage(struct candidate *x, const struct job *job, const struct job_made *m)
{
    const struct version_component *before = version_find_component(job->parent, m->kind, m->name);
    for (size_t i = 0; before && i < before->n_lineage; i++)
        if (strcmp(before->lineage[i].kind, VERSION_SOURCE_COMPONENT) == 0)
            x->lineage[x->n_lineage++] = before->lineage[i];
    if (before)
        add_lineage(x, VERSION_SOURCE_COMPONENT, before->name, before->blob);
}

/* Rows of lineage that components of the parent have: what a new one may carry on. */
static size_t parent_lineage(const struct job *job)
{
    size_t n = 0;
    for (size_t i = 0; i < job->parent->n_components; i++)
        n += job->parent->components[i].n_lineage;
    return n;
}

/*
 * What the components of this request were computed from (gslora.md, 3.1 and 9; multilane.md, 9):
 * deltas and the base's router terms from the replay memory, a lane from its own task's images.
 */
static void fill_lineage(struct candidate *x, const struct job *job, const struct job_made *m)
{
    add_lineage(x, "version", "parent", job->parent_digest);
    const int of_base = strcmp(m->kind, VERSION_KIND_ERASURE) == 0 ||
                        (strcmp(m->kind, VERSION_KIND_ROUTER) == 0 && strcmp(m->name, "base") == 0);
    if (!of_base) {
        const struct job_task *t = task_of(job, m);
        if (t && t->carried) {
            carried_lineage(x, job, m);
            return;
        }
        const char *source = t ? version_data_source(job, t->owner) : NULL;
        add_lineage(x, "dataset", source ? source : "", job->sets.set[JOB_SET_TASK_TRAIN].digest);
        if (t && t->suppress)
            suppressed_lineage(x, job, m);
        return;
    }
    add_lineage(x, "memory", BASE_MEMORY_TRAIN, job->sets.memory);
    add_lineage(x, "dataset", "train", job->sets.train);
    if (job->samples)
        add_lineage(x, "dataset", job->samples->name, job->samples->digest);
}

/* The place of a component of that kind and name: its old one, or a new one at the end. */
static struct version_component *
component_at(struct candidate *x, const char *kind, const char *name)
{
    for (size_t i = 0; i < x->version.n_components; i++)
        if (strcmp(x->components[i].kind, kind) == 0 && strcmp(x->components[i].name, name) == 0)
            return &x->components[i];
    return &x->components[x->version.n_components++];
}

static void add_made(struct candidate *x, const struct job *job, const struct job_made *m)
{
    if (m->size == 0) /* it is no more */
        return;
    const struct digest digest = add_blob(x, BLOB_COMPONENT, m->bytes, m->size);
    const struct job_task *t = task_of(job, m);
    struct version_component *c = component_at(x, m->kind, m->name);
    if (commit_stream_is(m)) {
        *c = (struct version_component){
            .kind = m->kind, .name = m->name, .blob = digest, .bytes = m->size};
        commit_stream_fill(job, m, x->lineage + x->n_lineage, c);
        x->n_lineage += c->n_lineage;
        return;
    }
    const size_t first = x->n_lineage;
    fill_lineage(x, job, m);
    *c = (struct version_component){.kind = m->kind,
                                    .name = m->name,
                                    .blob = digest,
                                    .bytes = m->size,
                                    .groups_total = m->groups_total,
                                    .groups_zero = m->groups_zero,
                                    .seed = t ? t->seed : job->record.seed,
                                    .request = t ? t->root : job->record.id,
                                    .lineage = x->lineage + first,
                                    .n_lineage = x->n_lineage - first};
}

/* What came with the request: it descends from the file, whatever that was made from. */
static void add_brought(struct candidate *x, const struct job *job, const struct job_part *p)
{
    const struct imported *file = job->imported;
    struct version_component *c = component_at(x, p->kind, p->name);
    const size_t first = x->n_lineage;
    (void)add_blob(x, BLOB_COMPONENT, p->bytes, p->size);
    add_lineage(x, "version", "parent", job->parent_digest);
    add_lineage(x, VERSION_SOURCE_FILE, file->file.name, file->digest);
    *c = (struct version_component){.kind = p->kind,
                                    .name = p->name,
                                    .blob = p->digest,
                                    .bytes = p->size,
                                    .seed = file->file.seed,
                                    .request = job->record.id,
                                    .lineage = x->lineage + first,
                                    .n_lineage = x->n_lineage - first};
}

/* Samples that were erased from a task stay erased: whoever trains it again leaves them out. */
static enum status add_tombstones(struct candidate *x, const struct job *job, struct fault *f)
{
    x->tombstones = sysio_alloc(job->n_tombstones + 1, sizeof *x->tombstones);
    for (size_t i = 0; i < job->n_tombstones; i++) {
        const struct job_tombstones *t = &job->tombstones[i];
        size_t size;
        uint8_t *record = x->tombstones ? version_data_encode_tombstones(t, &size) : NULL;
        if (!record)
            FAIL(f, STATUS_NO_MEMORY, "tombstones", "no memory for the erased samples");
        x->tombstones[x->n_tombstones++] = record;
        const struct digest digest = add_blob(x, BLOB_COMPONENT, record, size);
        struct version_component *c = component_at(x, VERSION_KIND_TOMBSTONES, t->task);
        *c = (struct version_component){.kind = VERSION_KIND_TOMBSTONES,
                                        .name = t->task,
                                        .blob = digest,
                                        .bytes = size,
                                        .request = job->record.id};
    }
    return STATUS_OK;
}

static int
is_dropped(const struct job *job, const struct job_result *r, const struct version_component *c)
{
    for (uint32_t i = 0; i < r->n_made; i++)
        if (r->made[i].size == 0 && strcmp(r->made[i].kind, c->kind) == 0 &&
            strcmp(r->made[i].name, c->name) == 0)
            return 1;
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        const struct job_part *p = &job->spec.parts[i];
        if (p->dropped && strcmp(p->kind, c->kind) == 0 && strcmp(p->name, c->name) == 0)
            return 1;
    }
    return 0;
}

static void add_relapse(struct candidate *x,
                        const struct job *job,
                        const struct gate *gate,
                        const struct gate_limits *limits)
{
    const double margin = limits->at[GATE_CHECK_RELAPSE].limit;
    const struct record_relapse relapse = {
        .limit = eval_report_relapse_limit(&gate->report, margin),
        .ncm_then = gate->report.probe_ncm.n > 0 ? gate->report.probe_ncm.value : (double)NAN,
        .recheckable = is_recheckable(&job->message->body.forget)};
    record_relapse_encode(&relapse, x->relapse);
    const struct digest digest = add_blob(x, BLOB_COMPONENT, x->relapse, sizeof x->relapse);
    add_component(x, RECORD_KIND_RELAPSE, x->name, &digest, sizeof x->relapse);
    x->components[x->version.n_components - 1].request = job->record.id;
}

/* The first job computes the base's prototypes; every later version carries them on. */
static enum status add_prototypes(struct candidate *x,
                                  const struct job *job,
                                  const struct job_result *r,
                                  struct fault *f)
{
    if (!r->prototypes || job->spec.prototypes ||
        version_find_component(job->parent, VERSION_KIND_PROTOTYPES, NULL))
        return STATUS_OK;
    const struct record_prototypes p = {.classes = job->spec.config.classes,
                                        .width = job->spec.config.width,
                                        .counts = r->prototype_counts,
                                        .means = r->prototypes};
    size_t size;
    x->prototypes = record_prototypes_encode(&p, &size);
    if (!x->prototypes)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no memory for the prototypes");
    const struct digest digest = add_blob(x, BLOB_COMPONENT, x->prototypes, size);
    add_component(x, VERSION_KIND_PROTOTYPES, RECORD_NAME_BASE, &digest, size);
    return STATUS_OK;
}

static enum status candidate_room(struct candidate *x, const struct job *job, uint32_t n_made)
{
    const size_t more = (size_t)n_made + VERSION_DATA_MORE_PARTS + job->n_tombstones;
    x->components = sysio_alloc(job->parent->n_components + more + 4, sizeof *x->components);
    x->blobs = sysio_alloc(more + 4, sizeof *x->blobs);
    x->lineage = sysio_alloc((more + 1) * (6 + commit_stream_datasets(job)) + parent_lineage(job),
                             sizeof *x->lineage);
    return x->components && x->blobs && x->lineage ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status copy_components(struct candidate *x,
                                   const struct commit_context *c,
                                   const struct job *job,
                                   const struct job_result *r,
                                   const struct gate *gate,
                                   struct fault *f)
{
    if (candidate_room(x, job, r->n_made) != STATUS_OK)
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for the manifest");
    for (size_t i = 0; i < job->parent->n_components; i++)
        if (!is_dropped(job, r, &job->parent->components[i]))
            x->components[x->version.n_components++] = job->parent->components[i];
    x->version.components = x->components;
    for (uint32_t i = 0; i < r->n_made; i++)
        add_made(x, job, &r->made[i]);
    for (uint32_t i = 0; i < job->spec.n_parts; i++)
        if (job->spec.parts[i].brought && !job->spec.parts[i].dropped)
            add_brought(x, job, &job->spec.parts[i]);
    TRY(add_tombstones(x, job, f));
    if (job_is_forget(job))
        add_relapse(x, job, gate, &c->config->gate);
    return add_prototypes(x, job, r, f);
}

/* A label of the parent, or one that is new; a new class that nobody has is none. */
static enum status add_label(struct candidate *x,
                             const struct job *job,
                             const struct job_result *r,
                             uint32_t k,
                             struct fault *f)
{
    const int known = k < job->parent->n_labels;
    struct version_label *l = &x->labels[x->version.n_labels];
    int gone;
    TRY(commit_stream_owner(job, r, k, x->owners[k], &gone, f));
    if (gone && !known)
        return STATUS_OK;
    *l = (struct version_label){.name = job->classes[k].name, .status = VERSION_LABEL_ACTIVE};
    if (known)
        *l = job->parent->labels[k];
    if (!known || job->classes[k].owner != 0)
        l->owner = x->owners[k];
    if (gone || job->classes[k].status == JOB_CLASS_FORGET_NOW) {
        l->status = VERSION_LABEL_FORGOTTEN;
        l->forgotten_by = job->record.id;
    }
    x->version.n_labels++;
    return STATUS_OK;
}

/* Labels of the parent, those that the request forgets, and those that it teaches. */
static enum status
copy_labels(struct candidate *x, const struct job *job, const struct job_result *r, struct fault *f)
{
    const uint32_t n = job->spec.n_classes;
    x->labels = sysio_alloc((size_t)n + 1, sizeof *x->labels);
    x->owners = sysio_alloc((size_t)n + 1, sizeof *x->owners);
    if (!x->labels || !x->owners)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    x->version.labels = x->labels;
    for (uint32_t k = 0; k < n; k++)
        TRY(add_label(x, job, r, k, f));
    return STATUS_OK;
}

static enum status copy_erasures(struct candidate *x, const struct job *job, struct fault *f)
{
    const size_t n = job->parent->n_erasures;
    x->erasures = sysio_alloc(n + 1, sizeof *x->erasures);
    if (!x->erasures)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %zu erasures", n);
    if (n > 0)
        memcpy(x->erasures, job->parent->erasures, n * sizeof *x->erasures);
    x->erasures[n] = job->record.id;
    x->version.erasures = x->erasures;
    x->version.n_erasures = n + (job_is_forget(job) ? 1 : 0);
    return STATUS_OK;
}

static struct digest policy_digest(const struct gate_limits *limits)
{
    uint8_t bytes[1 + GATE_CHECK_COUNT * 9];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    gate_check_put_limits(&w, limits);
    return seal_hash(bytes, w.used);
}

/* Erased classes leave both memories: their images must not be trained on again. */
static enum status list_memory(struct candidate *x,
                               struct kv_txn *txn,
                               const struct commit_context *c,
                               const struct job *job,
                               struct fault *f)
{
    static const char *const names[] = {BASE_MEMORY_TRAIN, BASE_MEMORY_VALIDATION};
    struct base_data data;
    x->memory = sysio_alloc(2 * (size_t)job->spec.config.classes, sizeof *x->memory);
    if (!x->memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for the erased classes");
    TRY(base_data_find(txn, c->base, &data, f));
    for (uint32_t k = 0; k < job->spec.config.classes && data.train; k++) {
        const int64_t index = base_data_class(data.train, c->base, k);
        for (size_t i = 0; i < 2 && index >= 0; i++)
            if (job->classes[k].status == JOB_CLASS_FORGET_NOW)
                x->memory[x->n_memory++] = (struct store_memory_class){names[i], (uint32_t)index};
    }
    base_data_free(&data);
    return STATUS_OK;
}

static enum status candidate_read(struct candidate *x,
                                  const struct commit_context *c,
                                  const struct job *job,
                                  struct fault *f)
{
    struct kv_txn *txn;
    uint64_t latest = 0;
    TRY(store_read_begin(c->store, &txn, f));
    enum status st = version_latest(txn, &latest, f);
    if (st == STATUS_OK)
        st = list_memory(x, txn, c, job, f);
    store_read_end(txn);
    x->version.number = latest + 1;
    return st;
}

static enum status candidate_fill(struct candidate *x,
                                  const struct commit_context *c,
                                  const struct job *job,
                                  const struct job_result *r,
                                  const struct gate *gate,
                                  struct fault *f)
{
    request_id_format(&job->record.id, x->name);
    TRY(candidate_read(x, c, job, f));
    TRY(copy_components(x, c, job, r, gate, f));
    TRY(copy_labels(x, job, r, f));
    TRY(copy_erasures(x, job, f));
    x->report = add_blob(x, BLOB_REPORT, gate->json, gate->json_size);
    x->version.parent = job->parent_digest;
    x->version.request = job->record.id;
    x->version.created_us = c->now_us;
    x->version.report = x->report;
    x->version.policy = policy_digest(&c->config->gate);
    x->version.kernel = r->kernel;
    x->version.threads = r->threads;
    return STATUS_OK;
}

/* Records of all components that the candidate may name; what it does not name is not used. */
static size_t
list_records(const struct job *job, const struct job_result *r, struct served_delta *records)
{
    size_t n = 0;
    for (size_t i = 0; i < job->spec.n_erasures; i++)
        if (job->erasures[i].delta)
            records[n++] =
                (struct served_delta){job->erasures[i].delta, job->erasures[i].delta_size};
    for (uint32_t i = 0; i < job->spec.n_parts; i++)
        records[n++] = (struct served_delta){job->parts[i].bytes, job->parts[i].size};
    for (uint32_t i = 0; i < r->n_made; i++)
        records[n++] = (struct served_delta){r->made[i].bytes, r->made[i].size};
    return n;
}

/* Folds the candidate as it will be served, from its manifest's own bytes. */
static enum status candidate_fold(const struct candidate *x,
                                  const struct commit_context *c,
                                  const struct job *job,
                                  const struct job_result *r,
                                  struct served **ret_served,
                                  struct fault *f)
{
    void *bytes;
    size_t size;
    struct version *manifest;
    TRY(version_encode(&x->version, &bytes, &size, f));
    const struct digest digest = seal_hash(bytes, size);
    enum status st = version_decode(bytes, size, &manifest, f);
    sysio_free(bytes);
    TRY(st);
    const size_t room = (size_t)job->spec.n_erasures + job->spec.n_parts + r->n_made + 1;
    struct served_delta *records = sysio_alloc(room, sizeof *records);
    if (!records) {
        version_free(manifest);
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for %zu components", room);
    }
    const size_t n = list_records(job, r, records);
    st = served_fold(c->base, &digest, manifest, records, n, ret_served, f);
    sysio_free(records);
    return st;
}

/* An erasure outranks a pin: the pinned version would bring the erased state back. */
static enum status
find_pin(const struct commit_context *c, const struct job *job, int *ret_pinned, struct fault *f)
{
    struct kv_txn *txn;
    struct serving_pin pin;
    TRY(store_read_begin(c->store, &txn, f));
    const enum status st = serving_pinned(txn, &job->serving.version, &pin, f);
    store_read_end(txn);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    *ret_pinned = st == STATUS_OK;
    return STATUS_OK;
}

static enum status candidate_store(const struct candidate *x,
                                   const struct commit_context *c,
                                   const struct job *job,
                                   const struct digest *version,
                                   struct queue_record *ret_record,
                                   struct fault *f)
{
    int pinned;
    TRY(find_pin(c, job, &pinned, f));
    const struct serving_move serve = {.expected_generation = job->serving.generation,
                                       .version = *version,
                                       .request = job->record.id,
                                       .now_us = c->now_us};
    const struct queue_move move = {.id = job->record.id,
                                    .event = REQUEST_EVENT_COMMIT,
                                    .now_us = c->now_us,
                                    .version_before = &job->parent_digest,
                                    .version_after = version,
                                    .report = &x->report};
    const struct digest parameters = method_parameters(&job->spec);
    const struct store_method method = {.name = method_name(&job->spec),
                                        .parameters = &parameters,
                                        .seed = job->record.seed,
                                        .has_seed = 1};
    const struct store_change change = {.now_us = c->now_us,
                                        .blobs = x->blobs,
                                        .n_blobs = x->n_blobs,
                                        .memory_classes = x->memory,
                                        .n_memory_classes = x->n_memory,
                                        .version = &x->version,
                                        .method = &method,
                                        .serve = &serve,
                                        .moves = &move,
                                        .n_moves = 1,
                                        .unpin = pinned ? &job->serving.version : NULL};
    struct store_result result;
    TRY(store_commit(c->store, &change, &result, f));
    *ret_record = result.moved;
    return STATUS_OK;
}

enum status commit_candidate(const struct commit_context *c,
                             const struct job *job,
                             const struct job_result *result,
                             const struct gate *gate,
                             struct queue_record *ret_record,
                             struct served **ret_served,
                             struct fault *f)
{
    struct candidate x = {0};
    struct served *served = NULL;
    enum status st = candidate_fill(&x, c, job, result, gate, f);
    if (st == STATUS_OK)
        st = candidate_fold(&x, c, job, result, &served, f);
    if (st == STATUS_OK)
        st = candidate_store(&x, c, job, &served->digest, ret_record, f);
    candidate_fini(&x);
    if (st != STATUS_OK) {
        served_release(served);
        return st;
    }
    *ret_served = served;
    return STATUS_OK;
}
