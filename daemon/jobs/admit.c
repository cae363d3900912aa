#include "daemon/jobs/admit.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_fast.h"
#include "daemon/jobs/subjects.h"
#include "daemon/jobs/version_data.h"
#include "learners/data/replay.h"
#include "learners/methods/gslora/gslora.h"
#include "proto/limits.h"

/* ---------------------------------------------------------------- what is to be forgotten */

/* One scope a request: classes, or samples, or a task, or a subject. */
static enum status check_scope(const struct wire_forget *m, struct fault *f)
{
    const int samples = m->samples[0] != '\0';
    const int task = m->task[0] != '\0', subject = m->subject[0] != '\0';
    const int scopes = (m->n_classes > 0) + samples + task + subject;
    if (scopes == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes",
             "nothing to forget: name classes, a task, a subject or a data set of samples");
    if (scopes > 1)
        FAIL(f, STATUS_INVALID_ARGUMENT,
             samples ? "samples"
             : task  ? "task"
                     : "subject",
             "one request forgets either classes, or samples, or a task, or a subject");
    return STATUS_OK;
}

/* A class without a label waits in the held batches of a stream. */
static int is_of_base(const struct version_label *label)
{
    return label && strcmp(label->owner, "base") == 0;
}

/* A whole task: some class of it must be alive. */
static enum status
check_whole(const struct version *serving, const struct wire_forget *m, struct fault *f)
{
    if (m->task[0] == '\0')
        return STATUS_OK;
    int known = 0;
    if (version_find_component(serving, VERSION_KIND_STREAM, m->task) ||
        version_find_component(serving, VERSION_KIND_EXPERT, m->task))
        return STATUS_OK;
    for (size_t k = 0; k < serving->n_labels; k++) {
        const char *owner = serving->labels[k].owner, *colon = strchr(owner, ':');
        if (!colon || !(strcmp(colon + 1, m->task) == 0 || version_data_of_stream(owner, m->task)))
            continue;
        known = 1;
        if (serving->labels[k].status == VERSION_LABEL_ACTIVE)
            return STATUS_OK;
    }
    if (known)
        FAIL(f, STATUS_FAILED_PRECONDITION, "task", "task \"%.60s\" was already forgotten",
             m->task);
    FAIL(f, STATUS_NOT_FOUND, "task", "the model has learned no task called \"%.60s\"", m->task);
}

static enum status fail_exact(struct fault *f)
{
    FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
         "exact erasure needs an isolated component; this data lives in the base weights");
}

/* Owners of the named classes; a class without a label waits in a stream. */
static enum status check_fast(struct kv_txn *txn,
                              const struct version *serving,
                              const struct wire_forget *m,
                              struct fault *f)
{
    if (m->task[0] != '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "mode",
             "a task as a whole is destroyed, which is exact and fast: leave the mode out");
    for (size_t i = 0; i < m->n_classes; i++) {
        const struct version_label *label = version_find_label(serving, m->classes[i]);
        if (label && !is_of_base(label) && label->status == VERSION_LABEL_ACTIVE)
            TRY(admit_fast(txn, serving, label->owner, f));
    }
    return STATUS_OK;
}

/*
 * What was learned is isolated, so it is erased exactly, or as `fast` suppressed in its component;
 * data of the base can only be suppressed.
 */
static enum status check_mode(struct kv_txn *txn,
                              const struct version *serving,
                              const struct wire_forget *m,
                              struct fault *f)
{
    if (m->samples[0] != '\0' || m->subject[0] != '\0')
        return STATUS_OK;
    if (m->mode == WIRE_MODE_FAST)
        return check_fast(txn, serving, m, f);
    for (size_t i = 0; i < m->n_classes && m->mode == WIRE_MODE_EXACT; i++)
        if (is_of_base(version_find_label(serving, m->classes[i])))
            return fail_exact(f);
    return STATUS_OK;
}

/* The same for samples, whose owner is known by their labels. */
static enum status check_sample_mode(struct kv_txn *txn,
                                     const struct version *serving,
                                     const struct wire_forget *m,
                                     const struct version_label *label,
                                     struct fault *f)
{
    const int of_base = !label || is_of_base(label);
    if (m->mode == WIRE_MODE_EXACT && of_base)
        return fail_exact(f);
    if (m->mode == WIRE_MODE_FAST && !of_base)
        return admit_fast(txn, serving, label->owner, f);
    return STATUS_OK;
}

static enum status check_label(const struct version *serving, const char *name, struct fault *f)
{
    const struct version_label *label = version_find_label(serving, name);
    if (!label)
        FAIL(f, STATUS_NOT_FOUND, "classes", "the model has no class \"%.80s\"", name);
    if (label->status == VERSION_LABEL_FORGOTTEN) {
        char id[REQUEST_ID_TEXT_SIZE];
        request_id_format(&label->forgotten_by, id);
        FAIL(f, STATUS_FAILED_PRECONDITION, "classes",
             "class \"%.60s\" was already forgotten by request %s", name, id);
    }
    return STATUS_OK;
}

int admit_raises(const struct version *serving, const struct wire_forget *m, const char *name)
{
    const struct version_label *label = version_find_label(serving, name);
    return m->mode == WIRE_MODE_EXACT && label && label->status == VERSION_LABEL_FORGOTTEN &&
           admit_fast_is_suppressed(serving, label->owner);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A lane that came as a file cannot be made again without some of its data: all of it, or none. */
static enum status
check_imported(const struct version *serving, const struct wire_forget *m, struct fault *f)
{
    for (size_t i = 0; i < m->n_classes; i++) {
        const struct version_label *label = version_find_label(serving, m->classes[i]);
        if (!label || !version_data_owner_is_imported(serving, label->owner))
            continue;
        for (size_t k = 0; k < serving->n_labels; k++) {
            const struct version_label *other = &serving->labels[k];
            int named =
                strcmp(other->owner, label->owner) != 0 || other->status != VERSION_LABEL_ACTIVE;
            for (size_t j = 0; j < m->n_classes && !named; j++)
                named = strcmp(m->classes[j], other->name) == 0;
            if (!named)
                FAIL(f, STATUS_FAILED_PRECONDITION, "classes",
                     "class \"%.60s\" belongs to %.60s, which came as a file: without its data it "
                     "can only be forgotten as a whole, with --task",
                     label->name, label->owner);
        }
    }
    return STATUS_OK;
}

static enum status check_twice(const struct wire_forget *m, struct fault *f)
{
    const char **sorted = sysio_alloc(m->n_classes + 1, sizeof *sorted);
    if (!sorted)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %zu classes", m->n_classes);
    for (size_t i = 0; i < m->n_classes; i++)
        sorted[i] = m->classes[i];
    qsort(sorted, m->n_classes, sizeof *sorted, compare_texts);
    const char *twice = NULL;
    for (size_t i = 1; i < m->n_classes && !twice; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            twice = sorted[i];
    sysio_free(sorted);
    if (twice)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "class \"%.80s\" is named twice", twice);
    return STATUS_OK;
}

static uint32_t count_live(const struct version *serving)
{
    uint32_t live = 0;
    for (size_t k = 0; k < serving->n_labels; k++)
        live +=
            serving->labels[k].status == VERSION_LABEL_ACTIVE && is_of_base(&serving->labels[k]);
    return live;
}

/* A label of the version, or a class that a stream has seen and no expert has learned yet. */
static enum status check_class(struct kv_txn *txn,
                               const struct version *serving,
                               const struct wire_forget *m,
                               const char *name,
                               struct fault *f)
{
    int waits = 0;
    if (admit_raises(serving, m, name))
        return STATUS_OK;
    if (!version_find_label(serving, name))
        TRY(version_data_waits(txn, serving, name, &waits, f));
    return waits ? STATUS_OK : check_label(serving, name, f);
}

static enum status check_classes(struct kv_txn *txn,
                                 const struct version *serving,
                                 const struct wire_forget *m,
                                 struct fault *f)
{
    for (size_t i = 0; i < m->n_classes; i++)
        TRY(check_class(txn, serving, m, m->classes[i], f));
    TRY(check_twice(m, f));
    TRY(check_imported(serving, m, f));
    const uint32_t live = count_live(serving);
    uint32_t named = 0;
    for (size_t i = 0; i < m->n_classes; i++)
        named += is_of_base(version_find_label(serving, m->classes[i])) ? 1 : 0;
    if (named > 0 && named >= live)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes",
             "these are all %u classes that are left: at least one must stay", live);
    return STATUS_OK;
}

static enum status check_due(const struct wire_forget *m, struct fault *f)
{
    if (m->due_at != 0 && m->due_at < clock_wall_us())
        FAIL(f, STATUS_INVALID_ARGUMENT, "due_at", "the due date has passed");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- samples */

struct sample_search {
    const char *name;
    unsigned roles; /* bit of each role in which a set of that name exists */
};

static enum status note_role(const struct dataset *d, void *context, struct fault *f)
{
    (void)f;
    struct sample_search *s = context;
    if (strcmp(d->name, s->name) == 0)
        s->roles |= 1u << d->role;
    return STATUS_OK;
}

/* A set imported as probe is meant for this; otherwise the name must mean one set. */
static enum status
choose_role(const struct sample_search *s, enum dataset_role *ret_role, struct fault *f)
{
    if (s->roles == 0)
        FAIL(f, STATUS_NOT_FOUND, "samples", "no data set is called \"%.60s\"", s->name);
    const int single = (s->roles & (s->roles - 1)) == 0;
    if (!single && !(s->roles & 1u << DATASET_PROBE))
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
             "\"%.60s\" is imported in several roles: import the samples as probe", s->name);
    enum dataset_role role = DATASET_PROBE;
    while (single && !(s->roles & 1u << role))
        role--;
    *ret_role = role;
    return STATUS_OK;
}

/* All classes of the samples belong to the base, or all to one and the same task. */
static enum status
check_sample_labels(const struct version *serving, const struct dataset *d, struct fault *f)
{
    const char *owner = NULL;
    for (uint32_t i = 0; i < d->n_classes; i++) {
        const struct version_label *label = version_find_label(serving, d->class_names[i]);
        if (!label)
            FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
                 "class \"%.60s\" of the data set is not one of the model's", d->class_names[i]);
        TRY(check_label(serving, label->name, f));
        if (owner && strcmp(owner, label->owner) != 0 &&
            !version_data_same_stream(owner, label->owner))
            FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
                 "the samples belong to %.40s and to %.40s: one request each", owner, label->owner);
        owner = label->owner;
    }
    if (owner && version_data_owner_is_imported(serving, owner))
        FAIL(f, STATUS_FAILED_PRECONDITION, "samples",
             "%.60s came as a file: without its data it can only be forgotten as a whole", owner);
    return STATUS_OK;
}

static enum status check_base_labels(const struct base_model *base,
                                     const struct version *serving,
                                     const struct dataset *d,
                                     int *ret_all,
                                     struct fault *f)
{
    int32_t *map = sysio_alloc((size_t)d->n_classes + 1, sizeof *map);
    if (!map)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for %u classes", d->n_classes);
    enum status st = STATUS_OK;
    *ret_all = base_data_map(d, base, map) == d->n_classes;
    for (uint32_t i = 0; i < d->n_classes && *ret_all && st == STATUS_OK; i++)
        st = check_label(serving, base->labels[map[i]], f);
    sysio_free(map);
    return st;
}

/* Several labels an image: each has one, so that all of it belongs to somebody. */
static enum status check_several(struct kv_txn *txn, const struct dataset *d, struct fault *f)
{
    uint8_t *hot = sysio_alloc((size_t)dataset_label_bytes(d) + 1, 1);
    if (!hot)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for the labels of %s", d->name);
    const enum status st = dataset_read_multi(txn, d, hot, f);
    uint64_t bare = 0;
    while (st == STATUS_OK && bare < d->n && memchr(hot + bare * d->n_classes, 1, d->n_classes))
        bare++;
    sysio_free(hot);
    TRY(st);
    if (bare < d->n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples", "image %llu of %s has no label",
             (unsigned long long)bare, d->name);
    return STATUS_OK;
}

/* Samples are labelled as the data that their task was learned from: a row's key says how. */
static enum status check_labelling(struct kv_txn *txn,
                                   const struct version *serving,
                                   const struct dataset *d,
                                   struct fault *f)
{
    const char *owner = version_find_label(serving, d->class_names[0])->owner;
    const char *colon = strchr(owner, ':');
    char kind[JOB_KIND_SIZE] = "";
    struct dataset *learned;
    if (colon && colon - owner < (ptrdiff_t)sizeof kind)
        memcpy(kind, owner, (size_t)(colon - owner));
    const char *source = colon ? version_data_dataset(serving, kind, colon + 1) : NULL;
    if (!source || dataset_get(txn, source, DATASET_TRAIN, &learned, NULL) != STATUS_OK)
        return STATUS_OK; /* the job finds out that they are gone */
    const int same = learned->label_kind == d->label_kind;
    datasets_free(learned);
    if (!same)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples",
             "data set %.40s and the data of %.40s: one has several labels an image, one has not",
             d->name, owner);
    return STATUS_OK;
}

static enum status check_samples(struct kv_txn *txn,
                                 const struct base_model *base,
                                 const struct version *serving,
                                 const struct dataset *d,
                                 struct fault *f)
{
    TRY(base_data_shape(d, base, f));
    if (d->n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "samples", "data set %s is empty", d->name);
    int base_knows_all = 0;
    TRY(check_base_labels(base, serving, d, &base_knows_all, f));
    if (base_knows_all)
        return base_data_fits(d, base, f);
    TRY(check_sample_labels(serving, d, f));
    TRY(check_labelling(txn, serving, d, f));
    return d->label_kind == DATASET_LABELS_MULTI ? check_several(txn, d, f) : STATUS_OK;
}

enum status admit_samples(struct kv_txn *txn,
                          const struct base_model *base,
                          const struct version *serving,
                          const char *name,
                          struct dataset **ret_dataset,
                          struct fault *f)
{
    struct sample_search search = {.name = name};
    enum dataset_role role = DATASET_PROBE;
    struct dataset *d;
    TRY(dataset_list(txn, note_role, &search, f));
    TRY(choose_role(&search, &role, f));
    TRY(dataset_get(txn, name, role, &d, f));
    const enum status st = check_samples(txn, base, serving, d, f);
    if (st != STATUS_OK) {
        datasets_free(d);
        return st;
    }
    *ret_dataset = d;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- plan */

/* How many images a job of this request would work on. */
struct plan_sizes {
    uint32_t retain_train, retain_valid;
    uint32_t forget_train, forget_valid;
};

static struct plan_sizes plan_sizes_of(const struct job_context *c,
                                       const struct dataset *train,
                                       const struct wire_forget *m,
                                       uint32_t n_samples)
{
    const uint32_t k = c->base->vit.classes, named = (uint32_t)m->n_classes;
    const double share = c->config->memory_fraction * (double)train->n;
    const uint32_t n_train = (uint32_t)ceil(share) + train->n_classes;
    const uint32_t n_valid = replay_valid_share(n_train) + train->n_classes;
    struct plan_sizes s = {.retain_train = n_train, .retain_valid = n_valid};
    s.forget_train = n_samples > 0 ? n_samples : (n_train / k + 1) * named;
    s.forget_valid = n_samples > 0 ? n_samples : (n_valid / k + 1) * named;
    return s;
}

/*
 * The method plans a whole problem; only the counts matter to it, so one list of numbers and one of
 * zero labels stand for all lists.
 */
static enum status plan_method(const struct job_context *c,
                               const struct gslora_options *o,
                               const struct plan_sizes *s,
                               uint64_t *ret_bytes,
                               struct fault *f)
{
    const uint32_t n = s->retain_train + s->retain_valid + s->forget_train + s->forget_valid;
    uint32_t *rows = sysio_alloc(n, sizeof *rows);
    int32_t *labels = sysio_alloc(n, sizeof *labels);
    size_t bytes = SIZE_MAX;
    if (rows && labels) {
        for (uint32_t i = 0; i < n; i++)
            rows[i] = i;
        const struct gslora_problem p = {.config = c->base->vit,
                                         .images = {.pixels = (const uint8_t *)labels,
                                                    .labels = labels,
                                                    .n = n,
                                                    .size = c->base->vit.image_size,
                                                    .channels = c->base->vit.channels,
                                                    .scale = {1.0f, 1.0f, 1.0f}},
                                         .retain = {rows, rows, s->retain_train, s->retain_valid},
                                         .forget = {rows, rows, s->forget_train, s->forget_valid}};
        bytes = gslora_plan(&p, o, c->threads);
    }
    sysio_free(rows);
    sysio_free(labels);
    if (bytes == SIZE_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max", "the job's memory plan overflows");
    *ret_bytes = bytes;
    return STATUS_OK;
}

static enum status plan_memory(const struct job_context *c,
                               const struct dataset *train,
                               const struct wire_forget *m,
                               uint32_t n_samples,
                               uint64_t *ret_bytes,
                               struct fault *f)
{
    struct gslora_options o;
    struct job_option options[JOB_MAX_OPTIONS];
    uint32_t n_options;
    TRY(job_options(c->config, m, 0, options, &n_options, f));
    gslora_options_default(&o);
    for (uint32_t i = 0; i < n_options; i++)
        TRY(gslora_options_set(&o, options[i].name, options[i].value, f));
    const struct plan_sizes sizes = plan_sizes_of(c, train, m, n_samples);
    return plan_method(c, &o, &sizes, ret_bytes, f);
}

/* A delta with every group awake, its report and records, and the manifest. */
static uint64_t plan_store(const struct job_context *c, const struct version *serving)
{
    struct gslora_options o;
    gslora_options_default(&o);
    const struct vit_config *v = &c->base->vit;
    const uint64_t group = delta_group_floats(v->width, v->hidden, o.rank) * sizeof(float);
    const uint64_t prototypes = (uint64_t)v->classes * (v->width * sizeof(float) + 8);
    return group * v->depth + prototypes + 2 * (uint64_t)LIMIT_REPORT_BYTES +
           (serving->n_components + 8) * 512 + serving->n_labels * 256;
}

/* Whether the base itself is to forget; what only a task learned costs no training of the base. */
static int asks_base(const struct version *serving, const struct wire_forget *m, uint32_t n_samples)
{
    for (size_t i = 0; i < m->n_classes; i++)
        if (is_of_base(version_find_label(serving, m->classes[i])))
            return 1;
    return n_samples > 0;
}

static enum status make_plan(const struct job_context *c,
                             const struct dataset *train,
                             const struct wire_forget *m,
                             const struct version *serving,
                             uint32_t n_samples,
                             struct admit_plan *ret_plan,
                             struct fault *f)
{
    struct admit_plan plan = {.store_bytes = plan_store(c, serving)};
    if (asks_base(serving, m, n_samples))
        TRY(plan_memory(c, train, m, n_samples, &plan.memory_bytes, f));
    const uint64_t limit = (uint64_t)c->config->worker_memory_max;
    if (plan.memory_bytes > limit)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max",
             "the job plans %llu MiB, the limit is %llu MiB",
             (unsigned long long)(plan.memory_bytes >> 20), (unsigned long long)(limit >> 20));
    *ret_plan = plan;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- a subject */

static enum status check_subject(struct kv_txn *txn,
                                 const struct base_model *base,
                                 const struct version *serving,
                                 const struct wire_forget *m,
                                 uint32_t *ret_base,
                                 struct fault *f)
{
    struct subjects_count n;
    TRY(subjects_find(txn, base, serving, m->subject, &n, f));
    if (n.base + n.others == 0 && n.erased > 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "subject",
             "everything of that subject was already forgotten");
    if (n.base + n.others == 0)
        FAIL(f, STATUS_NOT_FOUND, "subject", "no data that the model learned carry that subject");
    if (m->mode == WIRE_MODE_EXACT && n.base > 0)
        return fail_exact(f);
    *ret_base = n.base;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the whole check */

static enum status check_data(struct kv_txn *txn,
                              const struct base_model *base,
                              struct base_data *ret_data,
                              struct fault *f)
{
    TRY(base_data_find(txn, base, ret_data, f));
    if (ret_data->train)
        return STATUS_OK;
    base_data_free(ret_data);
    FAIL(f, STATUS_FAILED_PRECONDITION, "data",
         "no training data of the base yet: lethe data import NAME PATH --role train");
}

static enum status check_all(struct kv_txn *txn,
                             const struct job_context *c,
                             const struct wire_forget *m,
                             const struct version *serving,
                             uint32_t *ret_samples,
                             struct fault *f)
{
    struct job_option options[JOB_MAX_OPTIONS];
    uint32_t n_options;
    TRY(check_scope(m, f));
    TRY(check_whole(serving, m, f));
    TRY(check_mode(txn, serving, m, f));
    TRY(check_classes(txn, serving, m, f));
    TRY(job_options(c->config, m, 0, options, &n_options, f));
    *ret_samples = 0;
    if (m->subject[0] != '\0')
        return check_subject(txn, c->base, serving, m, ret_samples, f);
    if (m->samples[0] == '\0')
        return STATUS_OK;
    struct dataset *d;
    TRY(admit_samples(txn, c->base, serving, m->samples, &d, f));
    const struct version_label *label = version_find_label(serving, d->class_names[0]);
    const enum status st = check_sample_mode(txn, serving, m, label, f);
    *ret_samples = (uint32_t)d->n;
    datasets_free(d);
    return st;
}

enum status admit_forget(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct wire_forget *m,
                         const struct version *serving,
                         struct admit_plan *ret_plan,
                         struct fault *f)
{
    uint32_t n_samples;
    struct base_data data;
    TRY(check_all(txn, context, m, serving, &n_samples, f));
    TRY(check_data(txn, context->base, &data, f));
    enum status st = STATUS_OK;
    if (ret_plan)
        st = check_due(m, f);
    if (ret_plan && st == STATUS_OK)
        st = make_plan(context, data.train, m, serving, n_samples, ret_plan, f);
    base_data_free(&data);
    return st;
}

/* ---------------------------------------------------------------- names and scopes */

static int is_number(const char *text)
{
    const size_t n = strlen(text);
    return n > 0 && n < 8 && strspn(text, "0123456789") == n;
}

enum status
admit_resolve(struct kv_txn *txn, const char *text, struct digest *ret_digest, struct fault *f)
{
    if (text[0] == '\0' || strcmp(text, "serving") == 0) {
        struct serving s;
        TRY(serving_get(txn, &s, f));
        *ret_digest = s.version;
        return STATUS_OK;
    }
    enum status st;
    if (is_number(text))
        st = version_by_number(txn, strtoull(text, NULL, 10), ret_digest, f);
    else if (strlen(text) < 8)
        FAIL(f, STATUS_INVALID_ARGUMENT, "version",
             "\"%.20s\": a number, \"serving\", a digest or 8 and more digits of it", text);
    else
        st = version_resolve(txn, text, ret_digest, f);
    if (st != STATUS_OK && f)
        (void)memcpy(f->field, "version", sizeof "version");
    return st;
}

int admit_same_scope(const struct wire_forget *a, const struct wire_forget *b)
{
    if (a->n_classes != b->n_classes || a->dry_run != b->dry_run ||
        strcmp(a->samples, b->samples) != 0 || strcmp(a->task, b->task) != 0 ||
        strcmp(a->subject, b->subject) != 0)
        return 0;
    for (size_t i = 0; i < a->n_classes; i++) {
        int found = 0;
        for (size_t j = 0; j < b->n_classes && !found; j++)
            found = strcmp(a->classes[i], b->classes[j]) == 0;
        if (!found)
            return 0;
    }
    return 1;
}
