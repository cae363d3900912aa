#include "daemon/jobs/version_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/task_test.h"
#include "learners/methods/multilane/lane.h"

#define PART_MAX_BYTES       ((size_t)1 << 30)
#define TOMBSTONES_MAX_BYTES ((size_t)256 << 20)

static const char tombstones_magic[8] = {'L', 'T', 'O', 'M', 'B', 'S', 'T', '1'};

/* ---------------------------------------------------------------- owners */

int version_data_of_stream(const char *owner, const char *stream)
{
    const size_t kind = sizeof VERSION_KIND_EXPERT, n = strlen(stream);
    return strncmp(owner, VERSION_KIND_EXPERT ":", kind) == 0 &&
           learner_stream_length(owner + kind) == n && strncmp(owner + kind, stream, n) == 0;
}

int version_data_same_stream(const char *a, const char *b)
{
    const size_t kind = sizeof VERSION_KIND_EXPERT;
    if (strncmp(a, VERSION_KIND_EXPERT ":", kind) != 0 ||
        strncmp(b, VERSION_KIND_EXPERT ":", kind) != 0)
        return 0;
    const size_t n = learner_stream_length(a + kind);
    return n > 0 && learner_stream_length(b + kind) == n && strncmp(a + kind, b + kind, n) == 0;
}

/* Number of an owner, or -1. */
static int64_t owner_find(const struct job *job, const struct job_owner *o)
{
    for (uint32_t i = 0; i < job->spec.n_owners; i++)
        if (strcmp(job->owners[i].kind, o->kind) == 0 && strcmp(job->owners[i].name, o->name) == 0)
            return (int64_t)i;
    return -1;
}

enum status version_data_owner(const char *text, struct job_owner *o, struct fault *f)
{
    const char *colon = strchr(text, ':');
    const size_t kind = colon ? (size_t)(colon - text) : 0;
    if (kind == 0 || kind >= sizeof o->kind || strlen(colon + 1) >= sizeof o->name || !colon[1])
        FAIL(f, STATUS_DATA_LOSS, "labels", "a label's owner is malformed");
    memset(o, 0, sizeof *o);
    memcpy(o->kind, text, kind);
    (void)snprintf(o->name, sizeof o->name, "%s", colon + 1);
    return STATUS_OK;
}

/* The owner that a label of the manifest names, added if it is new. */
static enum status
owner_of_label(struct job *job, const char *text, uint32_t *ret_owner, struct fault *f)
{
    struct job_owner o;
    TRY(version_data_owner(text, &o, f));
    const int64_t known = owner_find(job, &o);
    if (known >= 0) {
        *ret_owner = (uint32_t)known;
        return STATUS_OK;
    }
    if (job->spec.n_owners == JOB_MAX_OWNERS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "owners", "the version has %d owners already",
             JOB_MAX_OWNERS);
    *ret_owner = job->spec.n_owners;
    job->owners[job->spec.n_owners++] = o;
    return STATUS_OK;
}

static enum status room_for_classes(struct job *job, size_t n, struct fault *f)
{
    job->classes = sysio_alloc(n, sizeof *job->classes);
    job->owners = sysio_alloc(JOB_MAX_OWNERS, sizeof *job->owners);
    if (!job->classes || !job->owners)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %zu classes", n);
    job->owners[0] = (struct job_owner){.kind = "base", .name = "base"};
    job->spec.n_owners = 1;
    job->spec.owners = job->owners;
    job->spec.classes = job->classes;
    return STATUS_OK;
}

/* Position of the base's erasure that took a class away; a lane's class needs none. */
static enum status
erasure_of(const struct job *job, const struct request_id *id, uint32_t *ret_index, struct fault *f)
{
    for (uint32_t i = 0; i < job->spec.n_erasures; i++)
        if (request_id_equal(&job->erasures[i].request, id)) {
            *ret_index = i;
            return STATUS_OK;
        }
    FAIL(f, STATUS_DATA_LOSS, "labels", "an erased label names an erasure without a record");
}

static enum status add_class(const struct base_model *base, struct job *job, struct fault *f)
{
    const uint32_t k = job->spec.n_classes;
    const struct version_label *label = &job->parent->labels[k];
    struct job_class *c = &job->classes[k];
    *c = (struct job_class){.status = JOB_CLASS_LIVE};
    if (snprintf(c->name, sizeof c->name, "%s", label->name) >= (int)sizeof c->name)
        FAIL(f, STATUS_DATA_LOSS, "labels", "a label is longer than %zu bytes", sizeof c->name - 1);
    if (k >= base->vit.classes)
        TRY(owner_of_label(job, label->owner, &c->owner, f));
    else if (strcmp(label->owner, "base") != 0)
        FAIL(f, STATUS_DATA_LOSS, "labels", "the version's labels are not the base's");
    if (label->status == VERSION_LABEL_FORGOTTEN) {
        c->status = JOB_CLASS_ERASED;
        TRY(erasure_of(job, &label->forgotten_by, &c->erasure, f));
    }
    job->spec.n_classes++;
    return STATUS_OK;
}

enum status
version_data_classes(const struct base_model *base, struct job *job, uint32_t more, struct fault *f)
{
    const size_t n = job->parent->n_labels;
    if (n < base->vit.classes)
        FAIL(f, STATUS_DATA_LOSS, "labels", "the version's labels are not the base's");
    if (n + more > VIT_MAX_CLASSES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "classes", "%zu classes, the limit is %d", n + more,
             VIT_MAX_CLASSES);
    TRY(room_for_classes(job, n + more, f));
    while (job->spec.n_classes < n)
        TRY(add_class(base, job, f));
    return STATUS_OK;
}

enum status version_data_add_owner(struct job *job,
                                   const char *kind,
                                   const char *name,
                                   const char *const *classes,
                                   uint32_t n_classes,
                                   uint32_t *ret_owner,
                                   struct fault *f)
{
    if (job->spec.n_owners == JOB_MAX_OWNERS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "task", "the model has %d tasks already",
             JOB_MAX_OWNERS - 1);
    struct job_owner *o = &job->owners[job->spec.n_owners];
    (void)snprintf(o->kind, sizeof o->kind, "%s", kind);
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    *ret_owner = job->spec.n_owners++;
    for (uint32_t i = 0; i < n_classes; i++) {
        struct job_class *c = &job->classes[job->spec.n_classes++];
        *c = (struct job_class){.status = JOB_CLASS_LIVE, .owner = *ret_owner, .fresh = 1};
        (void)snprintf(c->name, sizeof c->name, "%s", classes[i]);
    }
    return STATUS_OK;
}

int version_data_is_task(const char *kind)
{
    return strcmp(kind, VERSION_KIND_LANE) == 0 || strcmp(kind, VERSION_KIND_RIDGE) == 0;
}

/* ---------------------------------------------------------------- components */

/* A lane's own record says how its images are labelled, whether they are here or not. */
static void mark_several(struct job *job, const struct job_part *p)
{
    struct job_owner o = {.several = 0};
    memcpy(o.kind, p->kind, sizeof o.kind);
    memcpy(o.name, p->name, sizeof o.name);
    const int64_t owner = owner_find(job, &o);
    if (owner > 0 && strcmp(p->kind, VERSION_KIND_LANE) == 0)
        job->owners[owner].several = lane_record_several(p->bytes, p->size) == 1;
}

enum status version_data_stream_info(struct kv_txn *txn,
                                     const struct version *v,
                                     const char *stream,
                                     struct tame_learner_info *ret_info,
                                     struct fault *f)
{
    const struct version_component *c = version_find_component(v, VERSION_KIND_STREAM, stream);
    void *bytes;
    size_t size;
    if (!c)
        FAIL(f, STATUS_NOT_FOUND, "name", "no stream is called \"%.60s\"", stream);
    TRY(blob_load(txn, &c->blob, PART_MAX_BYTES, &bytes, &size, f));
    const enum status st = tame_learner_peek(bytes, size, ret_info, f);
    sysio_free(bytes);
    return st == STATUS_BAD_FORMAT ? STATUS_DATA_LOSS : st;
}

enum status version_data_record_waits(
    const void *record, size_t size, const char *class_name, int *ret_waits, struct fault *f)
{
    struct tame_learner_info info;
    TRY(tame_learner_peek(record, size, &info, f));
    *ret_waits = 0;
    for (uint32_t i = 0; i < info.n_classes && !*ret_waits; i++) {
        char name[TAME_CLASS_NAME_SIZE], expert[LEARNER_NAME_SIZE];
        TRY(tame_learner_class(record, size, i, name, expert, f));
        *ret_waits = expert[0] == '\0' && strcmp(name, class_name) == 0;
    }
    return STATUS_OK;
}

enum status version_data_waits(struct kv_txn *txn,
                               const struct version *v,
                               const char *class_name,
                               int *ret_waits,
                               struct fault *f)
{
    *ret_waits = 0;
    for (size_t i = 0; i < v->n_components && !*ret_waits; i++) {
        void *bytes;
        size_t size;
        if (strcmp(v->components[i].kind, VERSION_KIND_STREAM) != 0)
            continue;
        TRY(blob_load(txn, &v->components[i].blob, PART_MAX_BYTES, &bytes, &size, f));
        const enum status st = version_data_record_waits(bytes, size, class_name, ret_waits, f);
        sysio_free(bytes);
        TRY(st);
    }
    return STATUS_OK;
}

enum status version_data_parts(struct kv_txn *txn, struct job *job, struct fault *f)
{
    const struct version *v = job->parent;
    job->parts = sysio_alloc(v->n_components + VERSION_DATA_MORE_PARTS, sizeof *job->parts);
    if (!job->parts)
        FAIL(f, STATUS_NO_MEMORY, "parts", "no memory for the version's components");
    job->spec.parts = job->parts;
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        if (!job_kind_answers(c->kind) && strcmp(c->kind, VERSION_KIND_STREAM) != 0)
            continue;
        if (job->spec.n_parts == JOB_MAX_PARTS)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "parts", "the version has %d components already",
                 JOB_MAX_PARTS);
        struct job_part *p = &job->parts[job->spec.n_parts];
        void *bytes;
        TRY(blob_load(txn, &c->blob, PART_MAX_BYTES, &bytes, &p->size, f));
        p->bytes = bytes;
        p->digest = c->blob;
        (void)snprintf(p->kind, sizeof p->kind, "%s", c->kind);
        (void)snprintf(p->name, sizeof p->name, "%s", c->name);
        p->imported = version_data_is_imported(v, c->kind, c->name);
        mark_several(job, p);
        job->spec.n_parts++;
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- images */

enum status version_data_tombstones(struct kv_txn *txn,
                                    const struct version *v,
                                    const char *task,
                                    struct digest **ret_keys,
                                    size_t *ret_n,
                                    struct fault *f)
{
    const struct version_component *c = version_find_component(v, VERSION_KIND_TOMBSTONES, task);
    void *bytes;
    size_t size;
    *ret_keys = NULL;
    *ret_n = 0;
    if (!c)
        return STATUS_OK;
    TRY(blob_load(txn, &c->blob, TOMBSTONES_MAX_BYTES, &bytes, &size, f));
    struct byte_reader r = byte_reader_make(bytes, size);
    char magic[8];
    get_bytes(&r, magic, sizeof magic);
    const uint32_t n = get_u32(&r);
    enum status st = STATUS_OK;
    if (r.failed || memcmp(magic, tombstones_magic, sizeof magic) != 0 ||
        size - r.used != (size_t)n * DIGEST_SIZE)
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "tombstones",
                       "the list of erased samples is damaged");
    struct digest *keys = st == STATUS_OK ? sysio_alloc((size_t)n + 1, sizeof *keys) : NULL;
    if (st == STATUS_OK && !keys)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "tombstones", "no memory");
    for (uint32_t i = 0; i < n && keys; i++)
        get_bytes(&r, keys[i].b, DIGEST_SIZE);
    sysio_free(bytes);
    *ret_keys = keys;
    *ret_n = keys ? n : 0;
    return st;
}

/* Old and new keys, each once, ascending. */
static enum status merge_keys(const struct digest *old,
                              size_t n_old,
                              const struct digest *keys,
                              size_t n,
                              struct job_tombstones *t,
                              struct fault *f)
{
    struct digest *all = sysio_alloc(n_old + n + 1, sizeof *all);
    if (!all)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for %zu erased samples", n + n_old);
    memcpy(all, keys, n * sizeof *all);
    if (n_old > 0)
        memcpy(all + n, old, n_old * sizeof *all);
    qsort(all, n + n_old, sizeof *all, task_data_compare);
    t->keys = all;
    for (size_t i = 0; i < n + n_old; i++)
        if (t->n == 0 || !digest_equal(&all[t->n - 1], &all[i]))
            all[t->n++] = all[i];
    return STATUS_OK;
}

static enum status tombstones_room(struct job *job, struct fault *f)
{
    if (!job->tombstones)
        job->tombstones = sysio_alloc(JOB_MAX_OWNERS + 1, sizeof *job->tombstones);
    if (!job->tombstones || job->n_tombstones > JOB_MAX_OWNERS)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for the erased samples");
    return STATUS_OK;
}

/* The entry of a task, an empty one at the end if it has none. */
static struct job_tombstones *tombstones_of(struct job *job, const char *task)
{
    size_t i = 0;
    while (i < job->n_tombstones && strcmp(job->tombstones[i].task, task) != 0)
        i++;
    return &job->tombstones[i];
}

enum status version_data_erase(struct kv_txn *txn,
                               struct job *job,
                               const char *task,
                               const struct digest *keys,
                               size_t n,
                               struct fault *f)
{
    struct digest *old;
    size_t n_old;
    TRY(tombstones_room(job, f));
    struct job_tombstones all = {.n = 0}, *t = tombstones_of(job, task);
    (void)snprintf(all.task, sizeof all.task, "%s", task);
    /* What was erased before, by earlier requests and by this one: a task may have many data sets.
     */
    TRY(version_data_erased(txn, job, task, &old, &n_old, f));
    const enum status st = merge_keys(old, n_old, keys, n, &all, f);
    sysio_free(old);
    TRY(st);
    if (t == job->tombstones + job->n_tombstones)
        job->n_tombstones++;
    else
        sysio_free(t->keys);
    *t = all;
    return STATUS_OK;
}

uint8_t *version_data_encode_tombstones(const struct job_tombstones *t, size_t *ret_size)
{
    const size_t size = sizeof tombstones_magic + 4 + t->n * DIGEST_SIZE;
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        return NULL;
    struct byte_writer w = byte_writer_make(bytes, size);
    put_bytes(&w, tombstones_magic, sizeof tombstones_magic);
    put_u32(&w, (uint32_t)t->n);
    for (size_t i = 0; i < t->n; i++)
        put_bytes(&w, t->keys[i].b, DIGEST_SIZE);
    *ret_size = size;
    return bytes;
}

const struct job_tombstones *version_data_erasing(const struct job *job, const char *task)
{
    for (size_t i = 0; i < job->n_tombstones; i++)
        if (strcmp(job->tombstones[i].task, task) == 0)
            return &job->tombstones[i];
    return NULL;
}

enum status version_data_erased(struct kv_txn *txn,
                                const struct job *job,
                                const char *task,
                                struct digest **ret_keys,
                                size_t *ret_n,
                                struct fault *f)
{
    const struct job_tombstones *t = version_data_erasing(job, task);
    if (!t)
        return version_data_tombstones(txn, job->parent, task, ret_keys, ret_n, f);
    *ret_n = t->n;
    *ret_keys = sysio_alloc(t->n + 1, sizeof **ret_keys);
    if (!*ret_keys)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for the erased samples");
    memcpy(*ret_keys, t->keys, t->n * sizeof **ret_keys);
    return STATUS_OK;
}

const char *version_data_dataset(const struct version *v, const char *kind, const char *name)
{
    const struct version_component *c = version_find_component(v, kind, name);
    for (size_t i = 0; c && i < c->n_lineage; i++)
        if (strcmp(c->lineage[i].kind, "dataset") == 0)
            return c->lineage[i].name;
    return NULL;
}

const char *version_data_source(const struct job *job, uint32_t owner)
{
    const struct job_owner *o = &job->owners[owner];
    if (owner != 0 && owner == job->spec.learned && job->new_data)
        return job->message->body.learn.data;
    return version_data_dataset(job->parent, o->kind, o->name);
}

int version_data_is_imported(const struct version *v, const char *kind, const char *name)
{
    const struct version_component *c = version_find_component(v, kind, name);
    for (size_t i = 0; c && i < c->n_lineage; i++)
        if (strcmp(c->lineage[i].kind, VERSION_SOURCE_FILE) == 0)
            return 1;
    return 0;
}

int version_data_owner_is_imported(const struct version *v, const char *owner)
{
    struct job_owner o;
    return version_data_owner(owner, &o, NULL) == STATUS_OK &&
           version_data_is_imported(v, o.kind, o.name);
}

/* Where an owner's images come from; "" for test images that nobody has. */
static enum status source_of(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct job *job,
                             uint32_t owner,
                             int train,
                             char name[DATASET_NAME_SIZE],
                             struct fault *f)
{
    const struct job_owner *o = &job->owners[owner];
    const char *source = version_data_source(job, owner);
    const int imported = (job->imported && owner == job->spec.learned) ||
                         version_data_is_imported(job->parent, o->kind, o->name);
    (void)snprintf(name, DATASET_NAME_SIZE, "%s", source ? source : "");
    if (source)
        return STATUS_OK;
    if (!train && imported)
        return task_test_find(txn, base, job, owner, name, f);
    if (train && imported)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "%s came as a file: the data it was trained on are not here", o->name);
    if (train)
        FAIL(f, STATUS_DATA_LOSS, "lineage", "%s does not say which data it was trained on",
             o->name);
    return STATUS_OK;
}

enum status version_data_images(struct kv_txn *txn,
                                const struct base_model *base,
                                uint32_t test_per_class,
                                uint32_t owner,
                                enum task_use use,
                                struct job *job,
                                struct fault *f)
{
    struct digest *keys;
    size_t n;
    char source[DATASET_NAME_SIZE];
    TRY(source_of(txn, base, job, owner, use != TASK_TEST, source, f));
    if (source[0] == '\0')
        return STATUS_OK;
    TRY(version_data_erased(txn, job, job->owners[owner].name, &keys, &n, f));
    int several;
    const struct task_rows rows = {.dataset = source,
                                   .keys = job->keys,
                                   .classes = job->classes,
                                   .n_classes = job->spec.n_classes,
                                   .owner = owner,
                                   .tombstones = {keys, n},
                                   .test_per_class = test_per_class,
                                   .use = use};
    const enum status st = task_data_append(txn, base, &rows, &job->sets, &several, f);
    sysio_free(keys);
    if (st == STATUS_OK)
        job->owners[owner].several = (uint32_t)several;
    return st;
}
