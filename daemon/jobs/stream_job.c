#include "daemon/jobs/stream_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_stream.h"
#include "daemon/jobs/change_job.h"
#include "daemon/jobs/stream_data.h"
#include "daemon/jobs/version_data.h"

#define LEARNER_STREAM   "tame"
#define STREAM_MAX_BYTES ((size_t)1 << 30)

int stream_job_is(const struct job *job)
{
    return strcmp(job->record.kind, JOB_TEXT_KIND_STREAM) == 0;
}

int stream_job_probes(const struct job *job)
{
    return stream_job_is(job) && job->message->kind == WIRE_KIND_STREAM_PUSH &&
           job->message->body.stream_push.probe;
}

/* ---------------------------------------------------------------- new classes */

static enum status add_candidate(struct job *job, const char *name, struct fault *f)
{
    if (version_find_label(job->parent, name))
        return STATUS_OK;
    for (uint32_t i = 0; i < job->n_candidates; i++)
        if (strcmp(job->candidates[i], name) == 0)
            return STATUS_OK;
    if (strlen(name) >= JOB_NAME_SIZE)
        FAIL(f, STATUS_DATA_LOSS, "classes", "a class of the stream has a name that is too long");
    (void)snprintf(job->candidates[job->n_candidates++], JOB_NAME_SIZE, "%s", name);
    return STATUS_OK;
}

/* Classes that the stream has seen and no expert has learned: they wait in held batches. */
static enum status
add_waiting(struct job *job, const void *record, size_t size, uint32_t n, struct fault *f)
{
    for (uint32_t i = 0; i < n; i++) {
        char name[TAME_CLASS_NAME_SIZE], expert[LEARNER_NAME_SIZE];
        TRY(tame_learner_class(record, size, i, name, expert, f));
        TRY(add_candidate(job, name, f));
    }
    return STATUS_OK;
}

static enum status add_pushed(struct kv_txn *txn, struct job *job, struct fault *f)
{
    const struct dataset *d = job->new_data;
    uint32_t *labels = sysio_alloc((size_t)d->n + 1, sizeof *labels);
    uint8_t *used = sysio_alloc((size_t)d->n_classes + 1, 1);
    enum status st = STATUS_NO_MEMORY;
    if (labels && used)
        st = dataset_read_classes(txn, d, labels, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for the labels of %s",
                        d->name);
    for (uint64_t i = 0; i < d->n && st == STATUS_OK; i++)
        used[labels[i]] = 1;
    for (uint32_t k = 0; k < d->n_classes && st == STATUS_OK; k++)
        if (used[k])
            st = add_candidate(job, d->class_names[k], f);
    sysio_free(labels);
    sysio_free(used);
    return st;
}

static enum status candidates_room(struct job *job, size_t n, struct fault *f)
{
    job->candidates = sysio_alloc(n + 1, sizeof *job->candidates);
    if (!job->candidates)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %zu classes", n);
    return STATUS_OK;
}

static enum status read_candidates(struct kv_txn *txn, struct job *job, struct fault *f)
{
    const struct version_component *c =
        version_find_component(job->parent, VERSION_KIND_STREAM, job->stream);
    struct tame_learner_info info;
    void *record;
    size_t size;
    TRY(blob_load(txn, &c->blob, STREAM_MAX_BYTES, &record, &size, f));
    enum status st = tame_learner_peek(record, size, &info, f);
    if (st == STATUS_OK)
        st = candidates_room(
            job, (size_t)info.n_classes + (job->new_data ? job->new_data->n_classes : 0), f);
    if (st == STATUS_OK)
        st = add_waiting(job, record, size, info.n_classes, f);
    sysio_free(record);
    TRY(st);
    return job->new_data ? add_pushed(txn, job, f) : STATUS_OK;
}

enum status
stream_job_open(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    if (!stream_job_is(job))
        return STATUS_OK;
    TRY(admit_stream(txn, c, job->message, job->parent, 0, NULL, f));
    job->stream = admit_stream_name(job->message);
    if (job->message->kind == WIRE_KIND_STREAM_PUSH)
        TRY(dataset_get(txn, job->message->body.stream_push.data, DATASET_TRAIN, &job->new_data,
                        f));
    return job->message->kind == WIRE_KIND_STREAM_OPEN ? STATUS_OK : read_candidates(txn, job, f);
}

/* ---------------------------------------------------------------- images */

/* What the parent says of a stream, and its erased samples. */
struct stream {
    const struct version_component *component;
    struct digest *tombstones;
    size_t n_tombstones;
    uint32_t *tested; /* [classes] */
};

static void stream_fini(struct stream *s)
{
    sysio_free(s->tombstones);
    sysio_free(s->tested);
}

static enum status stream_init(struct kv_txn *txn,
                               const struct job *job,
                               const struct version_component *c,
                               struct stream *s,
                               struct fault *f)
{
    *s = (struct stream){.component = c};
    TRY(version_data_erased(txn, job, c->name, &s->tombstones, &s->n_tombstones, f));
    s->tested = sysio_alloc((size_t)job->spec.n_classes + 1, sizeof *s->tested);
    if (s->tested)
        return STATUS_OK;
    stream_fini(s);
    FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", job->spec.n_classes);
}

static struct stream_rows
rows_of(const struct job_context *c, const struct job *job, const struct stream *s)
{
    return (struct stream_rows){.stream = s->component->name,
                                .seed = s->component->seed,
                                .keys = job->keys,
                                .classes = job->classes,
                                .n_classes = job->spec.n_classes,
                                .owners = job->owners,
                                .tombstones = {s->tombstones, s->n_tombstones},
                                .test_per_class = (uint32_t)c->config->eval_per_class,
                                .tested = s->tested};
}

/* Images of everything that was pushed so far, but not of the data set that is pushed now. */
static enum status append_known(struct kv_txn *txn,
                                const struct job_context *c,
                                struct job *job,
                                const struct stream *s,
                                enum stream_use use,
                                struct fault *f)
{
    const struct stream_rows rows = rows_of(c, job, s);
    const struct version_component *k = s->component;
    for (size_t i = 0; i < k->n_lineage; i++) {
        const char *name = k->lineage[i].name;
        const int now = job->new_data && job->stream && strcmp(job->stream, k->name) == 0 &&
                        strcmp(name, job->new_data->name) == 0;
        if (strcmp(k->lineage[i].kind, "dataset") == 0 && !now)
            TRY(stream_data_append(txn, c->base, name, use, &rows, &job->sets, NULL, NULL, f));
    }
    return STATUS_OK;
}

static enum status append_stream(struct kv_txn *txn,
                                 const struct job_context *c,
                                 struct job *job,
                                 const struct version_component *k,
                                 enum stream_use use,
                                 struct fault *f)
{
    struct stream s;
    TRY(stream_init(txn, job, k, &s, f));
    const enum status st = append_known(txn, c, job, &s, use, f);
    stream_fini(&s);
    return st;
}

enum status stream_job_test(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            const char *except,
                            struct fault *f)
{
    for (size_t i = 0; i < job->parent->n_components; i++) {
        const struct version_component *k = &job->parent->components[i];
        if (strcmp(k->kind, VERSION_KIND_STREAM) == 0 && !(except && strcmp(k->name, except) == 0))
            TRY(append_stream(txn, c, job, k, STREAM_TEST, f));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- tasks */

static enum status add_task(
    struct job *job, const char *stream, const char *action, struct job_task **ret, struct fault *f)
{
    uint32_t owner = 0;
    while (owner < job->spec.n_owners && !job_owner_of_stream(&job->owners[owner], stream))
        owner++;
    if (owner == job->spec.n_owners) /* a stream without experts */
        TRY(version_data_add_owner(job, VERSION_KIND_STREAM, stream, NULL, 0, &owner, f));
    struct job_task *t = change_job_task(job, LEARNER_STREAM, owner);
    const struct version_component *k =
        version_find_component(job->parent, VERSION_KIND_STREAM, stream);
    (void)snprintf(t->name, sizeof t->name, "%s", stream);
    if (k)
        t->seed = k->seed;
    *ret = t;
    return change_job_option(t, "action", action, f);
}

static enum status plan_open(struct job *job, struct fault *f)
{
    const struct wire_stream_open *m = &job->message->body.stream_open;
    struct job_task *t;
    TRY(add_task(job, m->name, "open", &t, f));
    if (m->run > 0) {
        char run[24];
        (void)snprintf(run, sizeof run, "%u", m->run);
        TRY(change_job_option(t, "n_run", run, f));
    }
    for (size_t i = 0; i < m->n_options; i++)
        TRY(change_job_option(t, m->options[i].name, m->options[i].value, f));
    return STATUS_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Erased samples as the stream's learner knows them, ascending, behind those of other streams. */
static enum status name_erased(struct job *job,
                               struct job_task *t,
                               const struct version_component *k,
                               const struct digest *keys,
                               size_t n,
                               struct fault *f)
{
    const uint32_t before = job->spec.n_erased_keys;
    uint64_t *list = n < UINT32_MAX - before ? sysio_alloc(before + n + 1, sizeof *list) : NULL;
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for %zu erased samples", n);
    if (before > 0)
        memcpy(list, job->erased_keys, before * sizeof *list);
    uint64_t *own = list + before;
    for (size_t i = 0; i < n; i++)
        own[i] = stream_data_key(k->name, k->seed, &keys[i]);
    qsort(own, n, sizeof *own, compare_keys);
    t->erased_first = before;
    for (size_t i = 0; i < n; i++)
        if (t->n_erased == 0 || own[t->n_erased - 1] != own[i])
            own[t->n_erased++] = own[i];
    sysio_free(job->erased_keys);
    job->erased_keys = list;
    job->spec.erased_keys = list;
    job->spec.n_erased_keys = before + t->n_erased;
    return STATUS_OK;
}

enum status
stream_job_import(struct kv_txn *txn, struct job *job, const char *stream, struct fault *f)
{
    const struct version_component *k =
        version_find_component(job->parent, VERSION_KIND_STREAM, stream);
    struct job_task *t;
    struct digest *erased;
    size_t n;
    TRY(add_task(job, stream, "import", &t, f));
    TRY(version_data_erased(txn, job, stream, &erased, &n, f));
    const enum status st = name_erased(job, t, k, erased, n, f);
    sysio_free(erased);
    return st;
}

static enum status push_images(struct kv_txn *txn,
                               const struct job_context *c,
                               struct job *job,
                               const struct stream *s,
                               struct job_task *t,
                               struct fault *f)
{
    const struct stream_rows rows = rows_of(c, job, s);
    TRY(stream_data_append(txn, c->base, job->new_data->name, STREAM_PUSH, &rows, &job->sets,
                           &t->first, &t->n, f));
    if (t->n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "no image of %s is left to be learned: all of them test", job->new_data->name);
    return name_erased(job, t, s->component, s->tombstones, s->n_tombstones, f);
}

/* Images of the stream: those that are pushed, and all others, of which the terms are made. */
static enum status stream_images(struct kv_txn *txn,
                                 const struct job_context *c,
                                 struct job *job,
                                 struct job_task *t,
                                 struct fault *f)
{
    struct stream s;
    const int probes = stream_job_probes(job);
    const struct version_component *k =
        version_find_component(job->parent, VERSION_KIND_STREAM, job->stream);
    TRY(stream_init(txn, job, k, &s, f));
    enum status st = append_known(txn, c, job, &s, probes ? STREAM_TEST : STREAM_TRAIN, f);
    if (st == STATUS_OK && job->new_data)
        st = push_images(txn, c, job, &s, t, f);
    stream_fini(&s);
    return st;
}

static enum status add_owner(struct job *job, struct fault *f)
{
    const char **names = sysio_alloc((size_t)job->n_candidates + 1, sizeof *names);
    uint32_t owner;
    if (!names)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u classes", job->n_candidates);
    for (uint32_t i = 0; i < job->n_candidates; i++)
        names[i] = job->candidates[i];
    const enum status st = version_data_add_owner(job, VERSION_KIND_STREAM, job->stream, names,
                                                  job->n_candidates, &owner, f);
    sysio_free(names);
    return st;
}

static enum status
push_options(const struct wire_stream_push *m, struct job_task *t, struct fault *f)
{
    if (m->batch > 0) {
        char batch[24];
        (void)snprintf(batch, sizeof batch, "%u", m->batch);
        TRY(change_job_option(t, "batch", batch, f));
    }
    for (size_t i = 0; i < m->n_options; i++)
        TRY(change_job_option(t, m->options[i].name, m->options[i].value, f));
    return STATUS_OK;
}

enum status
stream_job_plan(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    struct job_task *t;
    const int push = job->message->kind == WIRE_KIND_STREAM_PUSH;
    if (job->message->kind == WIRE_KIND_STREAM_OPEN)
        return plan_open(job, f);
    TRY(stream_job_test(txn, c, job, job->stream, f));
    TRY(add_owner(job, f));
    TRY(add_task(job, job->stream, push ? "push" : "close", &t, f));
    if (push)
        TRY(push_options(&job->message->body.stream_push, t, f));
    TRY(stream_images(txn, c, job, t, f));
    job->spec.unmeasured = (uint32_t)stream_job_probes(job);
    return job->spec.unmeasured ? STATUS_OK : change_job_base_terms(job, f);
}

/* ---------------------------------------------------------------- erasures */

/* Classes that the request names and that wait in this stream: names [n], borrowed. */
static enum status list_waiting(const struct job *job,
                                const struct job_part *p,
                                const char **names,
                                uint32_t *n,
                                struct fault *f)
{
    const struct wire_forget *m = &job->message->body.forget;
    *n = 0;
    for (size_t i = 0; i < m->n_classes; i++) {
        int waits = 0;
        if (!version_find_label(job->parent, m->classes[i]))
            TRY(version_data_record_waits(p->bytes, p->size, m->classes[i], &waits, f));
        if (waits)
            names[(*n)++] = m->classes[i];
    }
    return STATUS_OK;
}

enum status stream_job_add_waiting(struct job *job, struct fault *f)
{
    const char **names = sysio_alloc(job->message->body.forget.n_classes + 1, sizeof *names);
    enum status st = STATUS_OK;
    if (!names)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for the classes to forget");
    for (uint32_t i = 0; i < job->spec.n_parts && st == STATUS_OK; i++) {
        const struct job_part *p = &job->parts[i];
        uint32_t n = 0, owner;
        if (strcmp(p->kind, VERSION_KIND_STREAM) != 0)
            continue;
        st = list_waiting(job, p, names, &n, f);
        if (st == STATUS_OK && n > 0)
            st = version_data_add_owner(job, VERSION_KIND_STREAM, p->name, names, n, &owner, f);
    }
    sysio_free(names);
    return st;
}

enum status stream_job_erase_samples(struct kv_txn *txn,
                                     struct job *job,
                                     const struct job_owner *owner,
                                     struct fault *f)
{
    char stream[JOB_NAME_SIZE];
    struct digest *keys;
    size_t known = 0;
    (void)snprintf(stream, sizeof stream, "%.*s", (int)learner_stream_length(owner->name),
                   owner->name);
    const struct version_component *k =
        version_find_component(job->parent, VERSION_KIND_STREAM, stream);
    if (!k)
        FAIL(f, STATUS_DATA_LOSS, "labels", "%s has labels but no stream", owner->name);
    TRY(task_data_keys(job->keys, txn, job->samples, &keys, f));
    const size_t n = (size_t)job->samples->n;
    enum status st = STATUS_OK;
    for (size_t i = 0; i < k->n_lineage && known == 0 && st == STATUS_OK; i++)
        if (strcmp(k->lineage[i].kind, "dataset") == 0)
            st = change_job_known(job->keys, txn, k->lineage[i].name, keys, n, &known, f);
    if (st == STATUS_OK && known == 0)
        st = fault_set(f, STATUS_NOT_FOUND, __FILE__, __LINE__, "samples",
                       "none of these samples was ever pushed to stream %s", stream);
    if (st == STATUS_OK)
        st = version_data_erase(txn, job, k->name, keys, n, f);
    sysio_free(keys);
    return st;
}

/* Something of the stream is to be forgotten: a class, samples, or one expert. */
static int loses(const struct job *job, const char *stream)
{
    const struct job_owner expert = {.kind = VERSION_KIND_EXPERT};
    struct job_owner erased = expert;
    memcpy(erased.name, job->spec.erased_expert, sizeof erased.name);
    if (erased.name[0] != '\0' && job_owner_of_stream(&erased, stream))
        return 1;
    if (version_data_erasing(job, stream))
        return 1;
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        if (job->classes[k].status == JOB_CLASS_FORGET_NOW &&
            job_owner_of_stream(&job->owners[job->classes[k].owner], stream))
            return 1;
    return 0;
}

static int ends(const struct job *job, const char *stream)
{
    return strcmp(job->message->body.forget.task, stream) == 0;
}

/* Stream, experts and their router terms disappear. */
static void drop_stream(struct job *job, const char *stream)
{
    const size_t kind = sizeof VERSION_KIND_EXPERT;
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        struct job_part *p = &job->parts[i];
        struct job_owner o = {0};
        const int terms = strcmp(p->kind, VERSION_KIND_ROUTER) == 0 &&
                          strncmp(p->name, VERSION_KIND_EXPERT ":", kind) == 0;
        (void)snprintf(o.kind, sizeof o.kind, "%s", terms ? VERSION_KIND_EXPERT : p->kind);
        (void)snprintf(o.name, sizeof o.name, "%s", p->name + (terms ? kind : 0));
        p->dropped |= job_owner_of_stream(&o, stream);
    }
}

static enum status forget_of(struct kv_txn *txn,
                             const struct job_context *c,
                             struct job *job,
                             const struct version_component *k,
                             int on_base,
                             struct fault *f)
{
    const int hit = loses(job, k->name);
    struct job_task *t;
    if (ends(job, k->name)) {
        TRY(append_stream(txn, c, job, k, STREAM_TEST, f));
        drop_stream(job, k->name);
        return STATUS_OK;
    }
    TRY(append_stream(txn, c, job, k, hit || on_base ? STREAM_TRAIN : STREAM_TEST, f));
    if (hit) {
        const struct job_tombstones *erased = version_data_erasing(job, k->name);
        TRY(add_task(job, k->name, "erase", &t, f));
        if (erased)
            TRY(name_erased(job, t, k, erased->keys, erased->n, f));
    }
    if (on_base)
        TRY(add_task(job, k->name, "refit", &t, f));
    return STATUS_OK;
}

enum status stream_job_forget(
    struct kv_txn *txn, const struct job_context *c, struct job *job, int on_base, struct fault *f)
{
    for (size_t i = 0; i < job->parent->n_components; i++) {
        const struct version_component *k = &job->parent->components[i];
        if (strcmp(k->kind, VERSION_KIND_STREAM) == 0)
            TRY(forget_of(txn, c, job, k, on_base, f));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- owners afterwards */

static enum status search_owner(const void *record,
                                size_t size,
                                const char *label,
                                char ret_expert[JOB_NAME_SIZE],
                                struct fault *f)
{
    struct tame_learner_info info;
    TRY(tame_learner_peek(record, size, &info, f));
    for (uint32_t i = 0; i < info.n_classes; i++) {
        char name[TAME_CLASS_NAME_SIZE], expert[LEARNER_NAME_SIZE];
        TRY(tame_learner_class(record, size, i, name, expert, f));
        if (strcmp(name, label) == 0) {
            (void)snprintf(ret_expert, JOB_NAME_SIZE, "%s", expert);
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

enum status stream_job_owner(const struct job *job,
                             const struct job_result *result,
                             const char *stream,
                             const char *label,
                             char ret_expert[JOB_NAME_SIZE],
                             struct fault *f)
{
    ret_expert[0] = '\0';
    for (uint32_t i = result->n_made; i-- > 0;) {
        const struct job_made *m = &result->made[i];
        if (strcmp(m->kind, VERSION_KIND_STREAM) == 0 && strcmp(m->name, stream) == 0)
            return search_owner(m->bytes, m->size, label, ret_expert, f);
    }
    for (uint32_t i = 0; i < job->spec.n_parts; i++) {
        const struct job_part *p = &job->parts[i];
        if (strcmp(p->kind, VERSION_KIND_STREAM) == 0 && strcmp(p->name, stream) == 0 &&
            !p->dropped)
            return search_owner(p->bytes, p->size, label, ret_expert, f);
    }
    return STATUS_OK;
}
