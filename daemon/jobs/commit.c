#include "daemon/jobs/commit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/records.h"
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
    struct store_change change = {.now_us = c->now_us, .moves = &move, .n_moves = 1};
    if (gate) {
        blob.bytes = gate->json;
        blob.size = gate->json_size;
        report = seal_hash(gate->json, gate->json_size);
        move.report = &report;
        change.blobs = &blob;
        change.n_blobs = 1;
    }
    if (!digest_is_zero(&job->parent_digest))
        move.version_before = &job->parent_digest;
    if (job->kind == JOB_EVALUATE && event == REQUEST_EVENT_COMMIT)
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
    uint8_t *prototypes; /* NULL: the parent has them */
    struct store_blob blobs[4];
    size_t n_blobs;
    struct digest report;
    struct version_lineage lineage[4];
    size_t n_lineage;
    struct version_component *components;
    struct version_label *labels;
    struct request_id *erasures;
    struct store_memory_class *memory;
    size_t n_memory;
    struct version version;
};

static void candidate_fini(struct candidate *x)
{
    sysio_free(x->prototypes);
    sysio_free(x->components);
    sysio_free(x->labels);
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

/* What the delta was computed from (gslora.md, 3.1 and 9). */
static void fill_lineage(struct candidate *x, const struct job *job)
{
    add_lineage(x, "version", "parent", job->parent_digest);
    add_lineage(x, "memory", BASE_MEMORY_TRAIN, job->sets.memory);
    add_lineage(x, "dataset", "train", job->sets.train);
    if (job->samples)
        add_lineage(x, "dataset", job->samples->name, job->samples->digest);
}

static void add_delta(struct candidate *x, const struct job *job, const struct job_result *r)
{
    const struct digest digest = add_blob(x, BLOB_COMPONENT, r->delta, r->delta_size);
    fill_lineage(x, job);
    add_component(x, VERSION_KIND_ERASURE, x->name, &digest, r->delta_size);
    struct version_component *c = &x->components[x->version.n_components - 1];
    c->groups_total = r->groups_total;
    c->groups_zero = r->groups_zero;
    c->seed = job->record.seed;
    c->request = job->record.id;
    c->lineage = x->lineage;
    c->n_lineage = x->n_lineage;
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
    const struct record_prototypes p = {.classes = job->spec.n_classes,
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

static enum status copy_components(struct candidate *x,
                                   const struct commit_context *c,
                                   const struct job *job,
                                   const struct job_result *r,
                                   const struct gate *gate,
                                   struct fault *f)
{
    const size_t n = job->parent->n_components;
    x->components = sysio_alloc(n + 3, sizeof *x->components);
    if (!x->components)
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for the manifest");
    if (n > 0)
        memcpy(x->components, job->parent->components, n * sizeof *x->components);
    x->version.n_components = n;
    x->version.components = x->components;
    add_delta(x, job, r);
    add_relapse(x, job, gate, &c->config->gate);
    return add_prototypes(x, job, r, f);
}

static enum status copy_labels(struct candidate *x, const struct job *job, struct fault *f)
{
    const size_t n = job->parent->n_labels;
    x->labels = sysio_alloc(n + 1, sizeof *x->labels);
    if (!x->labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %zu labels", n);
    memcpy(x->labels, job->parent->labels, n * sizeof *x->labels);
    for (size_t k = 0; k < n; k++) {
        if (job->classes[k].status != JOB_CLASS_FORGET_NOW)
            continue;
        x->labels[k].status = VERSION_LABEL_FORGOTTEN;
        x->labels[k].forgotten_by = job->record.id;
    }
    x->version.labels = x->labels;
    x->version.n_labels = n;
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
    x->version.n_erasures = n + 1;
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
    x->memory = sysio_alloc(2 * (size_t)job->spec.n_classes, sizeof *x->memory);
    if (!x->memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for the erased classes");
    TRY(base_data_find(txn, c->base, &data, f));
    for (uint32_t k = 0; k < job->spec.n_classes && data.train; k++) {
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
    TRY(copy_labels(x, job, f));
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
    const size_t n = job->spec.n_erasures;
    struct served_delta *deltas = sysio_alloc(n + 1, sizeof *deltas);
    if (!deltas) {
        version_free(manifest);
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %zu deltas", n + 1);
    }
    for (size_t i = 0; i < n; i++)
        deltas[i] = (struct served_delta){job->erasures[i].delta, job->erasures[i].delta_size};
    deltas[n] = (struct served_delta){r->delta, r->delta_size};
    st = served_fold(c->base, &digest, manifest, deltas, n + 1, ret_served, f);
    sysio_free(deltas);
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
    const struct store_change change = {.now_us = c->now_us,
                                        .blobs = x->blobs,
                                        .n_blobs = x->n_blobs,
                                        .memory_classes = x->memory,
                                        .n_memory_classes = x->n_memory,
                                        .version = &x->version,
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
