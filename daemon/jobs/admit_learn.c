#include "daemon/jobs/admit_learn.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/multilane/lane_options.h"
#include "learners/methods/ridge/ridge_options.h"
#include "proto/limits.h"

/* Classes with fewer images cannot be split into training, validation and test. */
#define LEARN_MIN_IMAGES 10
/* What closing the request may write besides the report: a lane and its router terms. */
#define LEARN_STORE_BYTES ((uint64_t)64 << 20)

/* ---------------------------------------------------------------- the request itself */

enum status admit_learn_name(const char *name, const char *field, struct fault *f)
{
    if (name[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "the task needs a name");
    if (strlen(name) > ADMIT_TASK_NAME_MAX || !dataset_name_is_valid(name))
        FAIL(f, STATUS_INVALID_ARGUMENT, field,
             "a task's name has at most %d letters, digits, '.', '_' and '-'", ADMIT_TASK_NAME_MAX);
    return STATUS_OK;
}

/* The name behind the colon of an owner's text; of "expert:STREAM.1" that of the stream. */
static int is_owner_of(const char *owner, const char *name)
{
    const char *colon = strchr(owner, ':');
    return colon && (strcmp(colon + 1, name) == 0 || version_data_of_stream(owner, name));
}

/* A task must not be taken for a stream, or for an expert of one. */
static enum status
check_streams(const char *task, const char *field, const struct version *serving, struct fault *f)
{
    const size_t stream = learner_stream_length(task);
    for (size_t i = 0; i < serving->n_components; i++) {
        const struct version_component *c = &serving->components[i];
        if (strcmp(c->kind, VERSION_KIND_STREAM) == 0 &&
            (strcmp(c->name, task) == 0 ||
             (stream > 0 && strlen(c->name) == stream && strncmp(c->name, task, stream) == 0)))
            FAIL(f, STATUS_ALREADY_EXISTS, field, "there is a stream called \"%.60s\"", c->name);
    }
    return STATUS_OK;
}

enum status admit_learn_name_is_free(const struct version *serving,
                                     const char *name,
                                     const char *field,
                                     struct fault *f)
{
    const struct version_label *forgotten = NULL;
    TRY(check_streams(name, field, serving, f));
    for (size_t k = 0; k < serving->n_labels; k++) {
        if (!is_owner_of(serving->labels[k].owner, name))
            continue;
        if (serving->labels[k].status == VERSION_LABEL_ACTIVE)
            FAIL(f, STATUS_ALREADY_EXISTS, field, "a task called \"%s\" was learned already", name);
        forgotten = &serving->labels[k];
    }
    if (!forgotten)
        return STATUS_OK;
    char id[REQUEST_ID_TEXT_SIZE];
    request_id_format(&forgotten->forgotten_by, id);
    FAIL(f, STATUS_ALREADY_EXISTS, field,
         "a task called \"%s\" was learned and forgotten (request %s): names are not used again",
         name, id);
}

static enum status
check_task(const struct wire_learn *m, const struct version *serving, struct fault *f)
{
    TRY(admit_learn_name(m->task, "task", f));
    return admit_learn_name_is_free(serving, m->task, "task", f);
}

int admit_learn_is_ridge(const struct wire_learn *m)
{
    return strcmp(m->method, VERSION_KIND_RIDGE) == 0;
}

static enum status check_options(const struct wire_learn *m, struct fault *f)
{
    struct lane_options lane;
    struct ridge_options ridge;
    lane_options_default(&lane);
    ridge_options_default(&ridge);
    for (size_t i = 0; i < m->n_options; i++) {
        const struct wire_option *o = &m->options[i];
        TRY(admit_learn_is_ridge(m) ? ridge_options_set(&ridge, o->name, o->value, f)
                                    : lane_options_set(&lane, o->name, o->value, f));
    }
    struct ridge_options here;
    ridge_options_default(&here);
    if (!ridge_options_same_features(&ridge, &here))
        FAIL(f, STATUS_INVALID_ARGUMENT, "options",
             "tasks of the closed form read the router's features: those options stay as they are");
    return ridge_options_check(&ridge, f);
}

static enum status check_settings(const struct wire_learn *m, struct fault *f)
{
    if (m->method[0] != '\0' && strcmp(m->method, "lane") != 0 && !admit_learn_is_ridge(m))
        FAIL(f, STATUS_INVALID_ARGUMENT, "method", "\"%.30s\" is none: lane (default) or ridge",
             m->method);
    if (!(m->floor >= 0.0f && m->floor <= 1.0f))
        FAIL(f, STATUS_INVALID_ARGUMENT, "floor", "must be an accuracy from 0 to 1");
    if (m->n_options > JOB_MAX_OPTIONS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS);
    return check_options(m, f);
}

/* ---------------------------------------------------------------- data */

enum status admit_learn_label_is_free(const struct version *serving,
                                      const char *name,
                                      const char *field,
                                      struct fault *f)
{
    const struct version_label *label = version_find_label(serving, name);
    char id[REQUEST_ID_TEXT_SIZE];
    if (strlen(name) >= JOB_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "label \"%.20s...\" is longer than %d bytes", name,
             JOB_NAME_SIZE - 1);
    if (!label)
        return STATUS_OK;
    if (label->status == VERSION_LABEL_ACTIVE)
        FAIL(f, STATUS_ALREADY_EXISTS, field, "the model has a class \"%.60s\" already (%.60s)",
             name, label->owner);
    request_id_format(&label->forgotten_by, id);
    FAIL(f, STATUS_FAILED_PRECONDITION, field,
         "class \"%.60s\" was forgotten by request %s and is not learned again", name, id);
}

static enum status
check_labels(const struct dataset *d, const struct version *serving, struct fault *f)
{
    for (uint32_t i = 0; i < d->n_classes; i++)
        TRY(admit_learn_label_is_free(serving, d->class_names[i], "data", f));
    return STATUS_OK;
}

/* Images of each class, and the first image that has none. */
struct tally {
    uint32_t *counts; /* [classes] */
    uint64_t bare;    /* its number, or n */
};

static enum status
tally_single(struct kv_txn *txn, const struct dataset *d, struct tally *t, struct fault *f)
{
    uint32_t *classes = sysio_alloc((size_t)d->n + 1, sizeof *classes);
    if (!classes)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the labels of %s", d->name);
    const enum status st = dataset_read_classes(txn, d, classes, f);
    for (uint64_t i = 0; i < d->n && st == STATUS_OK; i++)
        t->counts[classes[i]]++;
    sysio_free(classes);
    return st;
}

static enum status
tally_several(struct kv_txn *txn, const struct dataset *d, struct tally *t, struct fault *f)
{
    uint8_t *hot = sysio_alloc((size_t)dataset_label_bytes(d) + 1, 1);
    if (!hot)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the labels of %s", d->name);
    const enum status st = dataset_read_multi(txn, d, hot, f);
    for (uint64_t i = 0; i < d->n && st == STATUS_OK; i++) {
        uint32_t labels = 0;
        for (uint32_t k = 0; k < d->n_classes; k++) {
            t->counts[k] += hot[i * d->n_classes + k];
            labels += hot[i * d->n_classes + k];
        }
        if (labels == 0 && t->bare == d->n)
            t->bare = i;
    }
    sysio_free(hot);
    return st;
}

static enum status check_tally(const struct dataset *d, const struct tally *t, struct fault *f)
{
    if (t->bare < d->n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data",
             "image %llu has no label: a task learns from images that show one of its classes",
             (unsigned long long)t->bare);
    for (uint32_t i = 0; i < d->n_classes; i++)
        if (t->counts[i] < LEARN_MIN_IMAGES)
            FAIL(f, STATUS_INVALID_ARGUMENT, "data",
                 "class \"%.60s\" has %u images, at least %d are needed", d->class_names[i],
                 t->counts[i], LEARN_MIN_IMAGES);
    return STATUS_OK;
}

static enum status check_images(struct kv_txn *txn, const struct dataset *d, struct fault *f)
{
    if (d->n_classes < 2)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "a task needs at least two classes");
    struct tally t = {.counts = sysio_alloc((size_t)d->n_classes + 1, sizeof *t.counts),
                      .bare = d->n};
    if (!t.counts)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", d->n_classes);
    enum status st = d->label_kind == DATASET_LABELS_MULTI ? tally_several(txn, d, &t, f)
                                                           : tally_single(txn, d, &t, f);
    if (st == STATUS_OK)
        st = check_tally(d, &t, f);
    sysio_free(t.counts);
    return st;
}

/* The set that measures the task, if there is one: its images must be labelled in the same way. */
static enum status check_test(struct kv_txn *txn,
                              const struct base_model *base,
                              const struct dataset *d,
                              struct fault *f)
{
    struct dataset *test;
    const enum status found = dataset_get(txn, d->name, DATASET_TEST, &test, NULL);
    if (found == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (found != STATUS_OK)
        FAIL(f, found, "data", "the test set of %s cannot be read", d->name);
    const int same = test->label_kind == d->label_kind;
    const enum status fits = base_data_shape(test, base, f);
    datasets_free(test);
    TRY(fits);
    if (!same)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data",
             "of the training and the test set %.40s one has several labels an image", d->name);
    return STATUS_OK;
}

static enum status check_set(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct dataset *d,
                             const struct version *serving,
                             struct fault *f)
{
    enum status fits = base_data_shape(d, base, f);
    if (fits == STATUS_OK)
        fits = check_test(txn, base, d, f);
    if (fits != STATUS_OK && f)
        (void)memcpy(f->field, "data", sizeof "data");
    TRY(fits);
    TRY(check_images(txn, d, f));
    return check_labels(d, serving, f);
}

enum status admit_learn_base(struct kv_txn *txn, const struct base_model *base, struct fault *f)
{
    struct base_data data;
    TRY(base_data_find(txn, base, &data, f));
    const int ready = data.train && data.test;
    base_data_free(&data);
    if (!ready)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "the base's own training and test data are needed first: lethe data import NAME PATH");
    return STATUS_OK;
}

static enum status check_data(struct kv_txn *txn,
                              const struct job_context *c,
                              const struct wire_learn *m,
                              const struct version *serving,
                              struct fault *f)
{
    struct dataset *d;
    TRY(admit_learn_base(txn, c->base, f));
    const enum status st = dataset_get(txn, m->data, DATASET_TRAIN, &d, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "data", "no data set of role train is called \"%.60s\"", m->data);
    TRY(st);
    enum status checked = check_set(txn, c->base, d, serving, f);
    if (checked == STATUS_OK && admit_learn_is_ridge(m) && d->label_kind == DATASET_LABELS_MULTI)
        checked = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "method",
                            "the closed form learns one label an image: leave the method out");
    datasets_free(d);
    return checked;
}

enum status admit_learn(struct kv_txn *txn,
                        const struct job_context *context,
                        const struct wire_learn *m,
                        const struct version *serving,
                        struct admit_plan *ret_plan,
                        struct fault *f)
{
    TRY(check_task(m, serving, f));
    TRY(check_settings(m, f));
    TRY(check_data(txn, context, m, serving, f));
    if (ret_plan)
        *ret_plan = (struct admit_plan){.store_bytes = LEARN_STORE_BYTES + 2 * LIMIT_REPORT_BYTES};
    return STATUS_OK;
}
