#include "daemon/jobs/forget_job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/base_erased.h"
#include "daemon/jobs/change_job.h"
#include "daemon/jobs/import_job.h"
#include "daemon/jobs/records.h"
#include "daemon/jobs/reference_check.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/subjects.h"
#include "daemon/jobs/version_data.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"
#include "proto/seal/trunk_digest.h"

#define DELTA_MAX_BYTES      ((size_t)1 << 30)
#define PROTOTYPES_MAX_BYTES ((size_t)4 << 30)

void job_clear(struct job *job)
{
    for (uint32_t i = 0; i < job->spec.n_erasures && job->erasures; i++)
        sysio_free((void *)(uintptr_t)job->erasures[i].delta);
    for (uint32_t i = 0; i < job->spec.n_parts && job->parts; i++)
        sysio_free((void *)(uintptr_t)job->parts[i].bytes);
    sysio_free(job->prototypes);
    sysio_free(job->erasures);
    sysio_free(job->classes);
    sysio_free(job->owners);
    sysio_free(job->parts);
    sysio_free(job->tasks);
    for (size_t i = 0; i < job->n_tombstones; i++)
        sysio_free(job->tombstones[i].keys);
    sysio_free(job->tombstones);
    sysio_free(job->candidates);
    sysio_free(job->erased_keys);
    base_sets_free(&job->sets);
    datasets_free(job->samples);
    datasets_free(job->new_data);
    import_job_free(job->imported);
    version_free(job->parent);
    sysio_free(job->message_memory);
    memset(job, 0, sizeof *job);
}

/* ---------------------------------------------------------------- the request */

int job_is_forget(const struct job *job)
{
    return strcmp(job->record.kind, JOB_TEXT_KIND_FORGET) == 0;
}

static enum status load_message(struct store *store, struct job *job, struct fault *f)
{
    void *bytes;
    size_t size;
    TRY(store_read_payload(store, &job->record.id, &bytes, &size, f));
    const size_t room = LIMIT_DECODE_BYTES * 2u;
    job->message_memory = sysio_alloc(room, 1);
    enum status st = STATUS_NO_MEMORY;
    if (job->message_memory) {
        arena_init(&job->message_arena, job->message_memory, room);
        st = wire_envelope_decode(bytes, size, &job->message_arena, &job->message, f);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, NULL, "no memory for the request");
    }
    sysio_free(bytes);
    return st;
}

static enum status load_parent(struct kv_txn *txn, struct job *job, struct fault *f)
{
    TRY(serving_get(txn, &job->serving, f));
    job->parent_digest = job->serving.version;
    if (job->kind == JOB_EVALUATE)
        TRY(admit_resolve(txn, job->message->body.evaluate.version, &job->parent_digest, f));
    return version_get(txn, &job->parent_digest, &job->parent, f);
}

/* ---------------------------------------------------------------- earlier erasures */

static enum status load_relapse(struct kv_txn *txn,
                                const struct version *v,
                                const char *name,
                                struct job_erasure *e,
                                struct fault *f)
{
    const struct version_component *c = version_find_component(v, RECORD_KIND_RELAPSE, name);
    struct record_relapse relapse = {.limit = (double)NAN, .ncm_then = (double)NAN};
    if (c) {
        uint8_t bytes[RECORD_RELAPSE_SIZE];
        TRY(blob_read(txn, &c->blob, bytes, sizeof bytes, f));
        TRY(record_relapse_decode(bytes, sizeof bytes, &relapse, f));
    }
    e->relapse_limit = relapse.limit;
    e->ncm_then = relapse.ncm_then;
    /* Without a limit there is nothing to hold the accuracy against. */
    e->recheckable = relapse.recheckable && isfinite(relapse.limit);
    return STATUS_OK;
}

/* The delta of an erasure, if it left one. */
static enum status
load_delta(struct kv_txn *txn, const struct version *v, struct job_erasure *e, struct fault *f)
{
    char name[REQUEST_ID_TEXT_SIZE];
    request_id_format(&e->request, name);
    const struct version_component *c = version_find_component(v, VERSION_KIND_ERASURE, name);
    if (c) {
        void *bytes;
        TRY(blob_load(txn, &c->blob, DELTA_MAX_BYTES, &bytes, &e->delta_size, f));
        e->delta = bytes;
        e->digest = c->blob;
    } else if (version_folded(v, name)) {
        e->digest = *version_folded(v, name); /* it is in the base now */
    }
    return load_relapse(txn, v, name, e, f);
}

static enum status load_erasures(struct kv_txn *txn, struct job *job, struct fault *f)
{
    const struct version *v = job->parent;
    if (v->n_erasures > JOB_MAX_ERASURES - 1)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "erasures", "the version has %zu erasures, the limit %d",
             v->n_erasures, JOB_MAX_ERASURES - 1);
    job->erasures = sysio_alloc(v->n_erasures + 1, sizeof *job->erasures);
    struct digest *digests = sysio_alloc(v->n_erasures + 1, sizeof *digests);
    job->spec.erasures = job->erasures;
    enum status st = STATUS_OK;
    size_t n_deltas = 0;
    if (!job->erasures || !digests)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "erasures", "no memory");
    for (size_t i = 0; i < v->n_erasures && st == STATUS_OK; i++) {
        struct job_erasure *e = &job->erasures[job->spec.n_erasures++];
        e->request = v->erasures[i];
        st = load_delta(txn, v, e, f);
        if (!digest_is_zero(&e->digest))
            digests[n_deltas++] = e->digest;
    }
    if (st == STATUS_OK)
        job->spec.trunk = trunk_digest(&job->spec.base, digests, n_deltas);
    sysio_free(digests);
    return st;
}

/* ---------------------------------------------------------------- classes */

static int names_class(const struct wire_forget *m, const char *name)
{
    for (size_t i = 0; i < m->n_classes; i++)
        if (strcmp(m->classes[i], name) == 0)
            return 1;
    return 0;
}

static uint32_t images_of(const struct job_set *set, int32_t label)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++)
        n += set->labels[i] == label;
    return n;
}

/* Classes of the base without images in the replay memory are kept without being looked at. */
static void mark_missing(const struct base_model *base, struct job *job)
{
    for (uint32_t k = 0; k < base->vit.classes; k++)
        if (job->classes[k].status == JOB_CLASS_LIVE &&
            images_of(&job->sets.set[JOB_SET_MEMORY_TRAIN], (int32_t)k) == 0)
            job->classes[k].status = JOB_CLASS_MISSING;
}

/* A whole lane, or everything that a stream's experts own. */
static int is_whole(const struct job_owner *o, const char *task)
{
    return task[0] != '\0' && ((version_data_is_task(o->kind) && strcmp(o->name, task) == 0) ||
                               job_owner_of_stream(o, task));
}

/* One expert alone: which classes go with it is known when the others were asked. */
static void mark_expert(struct job *job, const char *task)
{
    if (version_find_component(job->parent, VERSION_KIND_EXPERT, task))
        (void)snprintf(job->spec.erased_expert, sizeof job->spec.erased_expert, "%s", task);
}

/* Marks what a forget request names. */
static enum status mark_forget(struct job *job, struct fault *f)
{
    const struct wire_forget *m = &job->message->body.forget;
    mark_expert(job, m->task);
    for (uint32_t k = 0; k < job->spec.n_classes; k++) {
        struct job_class *c = &job->classes[k];
        const int whole = is_whole(&job->owners[c->owner], m->task);
        const int raises = names_class(m, c->name) && admit_raises(job->parent, m, c->name);
        if ((c->status == JOB_CLASS_ERASED && !raises) || !(whole || names_class(m, c->name)))
            continue;
        if (c->status == JOB_CLASS_MISSING)
            FAIL(f, STATUS_FAILED_PRECONDITION, "classes",
                 "the training data hold no images of a class to forget");
        c->status = JOB_CLASS_FORGET_NOW;
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- prototypes */

/* The base's own, or those that the first job computed and every version since carries. */
static enum status
load_prototypes(struct kv_txn *txn, const struct base_model *base, struct job *job, struct fault *f)
{
    struct job_spec *s = &job->spec;
    s->prototype_digest = base->part_digest[MODEL_FILE_PROTOTYPES];
    s->prototypes = base->prototypes;
    s->prototype_counts = base->prototype_counts;
    if (base->prototypes)
        return STATUS_OK;
    struct version *serving;
    TRY(version_get(txn, &job->serving.version, &serving, f));
    const struct version_component *c =
        version_find_component(serving, VERSION_KIND_PROTOTYPES, NULL);
    void *bytes = NULL;
    size_t size = 0;
    enum status st = STATUS_OK;
    if (c) {
        s->prototype_digest = c->blob;
        st = blob_load(txn, &c->blob, PROTOTYPES_MAX_BYTES, &bytes, &size, f);
    }
    version_free(serving);
    if (!bytes)
        return st;
    struct record_prototypes p;
    void *owned;
    st = record_prototypes_decode(bytes, size, &p, &owned, f);
    sysio_free(bytes);
    TRY(st);
    job->prototypes = owned;
    if (p.classes != base->vit.classes || p.width != base->vit.width)
        FAIL(f, STATUS_DATA_LOSS, "prototypes", "the stored prototypes are not the base's");
    s->prototypes = p.means;
    s->prototype_counts = p.counts;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- building */

/* The job's class of a label of the samples; the base's classes may be named by their numbers. */
static int32_t sample_class(const struct job *job, const char *name)
{
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        if (strcmp(job->classes[k].name, name) == 0)
            return (int32_t)k;
    return -1;
}

static enum status
load_samples(struct kv_txn *txn, const struct base_model *base, struct job *job, struct fault *f)
{
    if (job->message->body.forget.subject[0] != '\0')
        return subjects_load(txn, base, job->message->body.forget.subject, job, f);
    if (job->message->body.forget.samples[0] == '\0')
        return STATUS_OK;
    TRY(admit_samples(txn, base, job->parent, job->message->body.forget.samples, &job->samples, f));
    const struct dataset *d = job->samples;
    int32_t *map = sysio_alloc((size_t)d->n_classes + 1, sizeof *map);
    if (!map)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for %u classes", d->n_classes);
    if (base_data_map(d, base, map) < d->n_classes)
        for (uint32_t i = 0; i < d->n_classes; i++)
            map[i] = sample_class(job, d->class_names[i]);
    enum status st = base_data_load_samples(txn, d, map, &job->sets, f);
    sysio_free(map);
    if (st == STATUS_OK)
        st = base_erased_add(txn, base, job, f);
    return st;
}

/* Classes of a forget request that are no labels; one may wait in several streams. */
static uint32_t waiting_classes(const struct job *job)
{
    const struct wire_forget *m = &job->message->body.forget;
    uint32_t n = 0, streams = 0;
    for (size_t i = 0; i < m->n_classes; i++)
        n += version_find_label(job->parent, m->classes[i]) == NULL;
    for (size_t i = 0; i < job->parent->n_components; i++)
        streams += strcmp(job->parent->components[i].kind, VERSION_KIND_STREAM) == 0;
    return n * streams;
}

/* Classes that a request brings; the builder makes room for them. */
static uint32_t new_classes(const struct job *job)
{
    if (stream_job_is(job))
        return job->n_candidates;
    if (job_is_forget(job))
        return waiting_classes(job);
    return job->new_data ? job->new_data->n_classes : import_job_classes(job);
}

static enum status
build_read(const struct job_context *c, struct kv_txn *txn, struct job *job, struct fault *f)
{
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    TRY(load_parent(txn, job, f));
    TRY(load_erasures(txn, job, f));
    TRY(base_data_load(txn, c->base, test, &job->sets, f));
    TRY(change_job_open(txn, c, job, f));
    TRY(stream_job_open(txn, c, job, f));
    TRY(version_data_classes(c->base, job, new_classes(job), f));
    TRY(version_data_parts(txn, job, f));
    if (job_is_forget(job)) {
        TRY(admit_forget(txn, c, &job->message->body.forget, job->parent, NULL, f));
        TRY(stream_job_add_waiting(job, f));
        TRY(load_samples(txn, c->base, job, f));
    }
    TRY(base_erased_leave_out(txn, c->base, job, f));
    mark_missing(c->base, job);
    if (job_is_forget(job))
        TRY(mark_forget(job, f));
    TRY(change_job_plan(txn, c, job, f));
    TRY(reference_check(txn, c->base, job, f));
    return load_prototypes(txn, c->base, job, f);
}

/* Rows of TASK_TRAIN behind the last stream's have no keys. */
static enum status fill_keys(struct base_sets *sets, struct fault *f)
{
    const uint32_t n = sets->set[JOB_SET_TASK_TRAIN].n;
    if (!sets->task_keys || sets->n_task_keys == n)
        return STATUS_OK;
    uint64_t *keys = sysio_alloc(n, sizeof *keys);
    if (!keys)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u keys", n);
    memcpy(keys, sets->task_keys, sets->n_task_keys * sizeof *keys);
    sysio_free(sets->task_keys);
    sets->task_keys = keys;
    sets->n_task_keys = n;
    return STATUS_OK;
}

static void fill_spec(const struct job_context *c, struct job *job)
{
    struct job_spec *s = &job->spec;
    s->kind = (enum job_kind)job->kind;
    s->request = job->record.id;
    s->seed = job->record.seed;
    s->threads = c->threads;
    s->memory_max = (uint64_t)c->config->worker_memory_max;
    s->config = c->base->vit;
    base_model_moments(c->base, s->mean, s->std);
    s->memory_digest = job->sets.memory;
    memcpy(s->sets, job->sets.set, sizeof s->sets);
    s->task_keys = job->sets.task_keys;
    s->preprocessing = base_model_preprocessing(c->base);
    s->limits = c->config->gate;
    if (job->message->kind == WIRE_KIND_LEARN && job->message->body.learn.floor > 0.0f)
        s->limits.at[GATE_CHECK_NEW_TASK].limit = (double)job->message->body.learn.floor;
    change_job_limits(job, &s->limits);
}

enum status job_build_attempt(const struct job_context *context, struct job *job, struct fault *f)
{
    /* Options of the configuration are made for the base; a component has defaults of its own. */
    struct config plain = *context->config;
    static const struct wire_forget nothing = {0};
    const struct wire_forget *forget = job_is_forget(job) ? &job->message->body.forget : &nothing;
    job->spec.attempt = job->record.attempts + job->record.step;
    job->has_progress = 0;
    plain.n_gslora = 0;
    for (uint32_t i = 0; i < job->spec.n_tasks; i++)
        if (job->tasks[i].suppress)
            TRY(job_options(&plain, forget, job->record.step, job->tasks[i].options,
                            &job->tasks[i].n_options, f));
    return job_options(context->config, forget, job->record.step, job->spec.options,
                       &job->spec.n_options, f);
}

static enum status build(const struct job_context *c, struct job *job, struct fault *f)
{
    TRY(load_message(c->store, job, f));
    job->spec.base = c->base->digest;
    job->spec.config = c->base->vit;
    const double fraction = c->config->memory_fraction;
    TRY(base_data_draw_memory(c->store, c->base, fraction, clock_wall_us(), f));
    struct kv_txn *txn;
    TRY(store_read_begin(c->store, &txn, f));
    const enum status st = build_read(c, txn, job, f);
    store_read_end(txn);
    TRY(st);
    TRY(fill_keys(&job->sets, f));
    fill_spec(c, job);
    return job_build_attempt(c, job, f);
}

enum status job_build(const struct job_context *context,
                      const struct queue_record *record,
                      struct job *ret_job,
                      struct fault *f)
{
    memset(ret_job, 0, sizeof *ret_job);
    ret_job->record = *record;
    ret_job->keys = context->keys;
    ret_job->kind = strcmp(record->kind, JOB_TEXT_KIND_EVALUATE) == 0 ? JOB_EVALUATE
                    : strcmp(record->kind, JOB_TEXT_KIND_LEARN) == 0  ? JOB_CHANGE
                    : strcmp(record->kind, JOB_TEXT_KIND_IMPORT) == 0 ? JOB_CHANGE
                    : strcmp(record->kind, JOB_TEXT_KIND_STREAM) == 0 ? JOB_CHANGE
                                                                      : JOB_FORGET;
    const enum status st = build(context, ret_job, f);
    if (st != STATUS_OK)
        job_clear(ret_job);
    return st;
}
