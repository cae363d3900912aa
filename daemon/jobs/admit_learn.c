#include "daemon/jobs/admit_learn.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/multilane/lane_options.h"
#include "proto/limits.h"

/* Classes with fewer images cannot be split into training, validation and test. */
#define LEARN_MIN_IMAGES 10
/* What closing the request may write besides the report: a lane and its router terms. */
#define LEARN_STORE_BYTES ((uint64_t)64 << 20)

/* ---------------------------------------------------------------- the request itself */

static enum status
check_task(const struct wire_learn *m, const struct version *serving, struct fault *f)
{
    const size_t kind = strlen(VERSION_KIND_LANE);
    if (m->task[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "task", "the task needs a name");
    if (strlen(m->task) > ADMIT_TASK_NAME_MAX || !dataset_name_is_valid(m->task))
        FAIL(f, STATUS_INVALID_ARGUMENT, "task",
             "a task's name has at most %d letters, digits, '.', '_' and '-'", ADMIT_TASK_NAME_MAX);
    for (size_t k = 0; k < serving->n_labels; k++) {
        const char *owner = serving->labels[k].owner;
        if (strncmp(owner, VERSION_KIND_LANE, kind) == 0 && owner[kind] == ':' &&
            strcmp(owner + kind + 1, m->task) == 0)
            FAIL(f, STATUS_ALREADY_EXISTS, "task", "a task called \"%s\" was learned already",
                 m->task);
    }
    return STATUS_OK;
}

static enum status check_settings(const struct wire_learn *m, struct fault *f)
{
    struct lane_options o;
    if (m->method[0] != '\0' && strcmp(m->method, "lane") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "method",
             "\"%.30s\" makes no lane: leave it out or say lane", m->method);
    if (!(m->floor >= 0.0f && m->floor <= 1.0f))
        FAIL(f, STATUS_INVALID_ARGUMENT, "floor", "must be an accuracy from 0 to 1");
    if (m->n_options > JOB_MAX_OPTIONS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS);
    lane_options_default(&o);
    for (size_t i = 0; i < m->n_options; i++)
        TRY(lane_options_set(&o, m->options[i].name, m->options[i].value, f));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- data */

static enum status
check_labels(const struct dataset *d, const struct version *serving, struct fault *f)
{
    for (uint32_t i = 0; i < d->n_classes; i++) {
        const char *name = d->class_names[i];
        const struct version_label *label = version_find_label(serving, name);
        char id[REQUEST_ID_TEXT_SIZE];
        if (strlen(name) >= JOB_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "data", "label \"%.20s...\" is longer than %d bytes",
                 name, JOB_NAME_SIZE - 1);
        if (!label)
            continue;
        if (label->status == VERSION_LABEL_ACTIVE)
            FAIL(f, STATUS_ALREADY_EXISTS, "data",
                 "the model has a class \"%.60s\" already (%.60s)", name, label->owner);
        request_id_format(&label->forgotten_by, id);
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "class \"%.60s\" was forgotten by request %s and is not learned again", name, id);
    }
    return STATUS_OK;
}

static enum status check_counts(const struct dataset *d, const uint32_t *classes, struct fault *f)
{
    uint32_t *counts = sysio_alloc((size_t)d->n_classes + 1, sizeof *counts);
    if (!counts)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", d->n_classes);
    for (uint64_t i = 0; i < d->n; i++)
        counts[classes[i]]++;
    uint32_t small = 0;
    while (small < d->n_classes && counts[small] >= LEARN_MIN_IMAGES)
        small++;
    const uint32_t n = small < d->n_classes ? counts[small] : 0;
    sysio_free(counts);
    if (small < d->n_classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data",
             "class \"%.60s\" has %u images, at least %d are needed", d->class_names[small], n,
             LEARN_MIN_IMAGES);
    return STATUS_OK;
}

static enum status check_images(struct kv_txn *txn, const struct dataset *d, struct fault *f)
{
    if (d->n_classes < 2)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "a task needs at least two classes");
    uint32_t *classes = sysio_alloc((size_t)d->n + 1, sizeof *classes);
    if (!classes)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the labels of %s", d->name);
    enum status st = dataset_read_classes(txn, d, classes, f);
    if (st == STATUS_OK)
        st = check_counts(d, classes, f);
    sysio_free(classes);
    return st;
}

static enum status check_set(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct dataset *d,
                             const struct version *serving,
                             struct fault *f)
{
    const enum status fits = base_data_fits(d, base, f);
    if (fits != STATUS_OK && f)
        (void)memcpy(f->field, "data", sizeof "data");
    TRY(fits);
    TRY(check_images(txn, d, f));
    return check_labels(d, serving, f);
}

static enum status check_data(struct kv_txn *txn,
                              const struct job_context *c,
                              const struct wire_learn *m,
                              const struct version *serving,
                              struct fault *f)
{
    struct dataset *d;
    struct base_data base;
    TRY(base_data_find(txn, c->base, &base, f));
    const int ready = base.train && base.test;
    base_data_free(&base);
    if (!ready)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "the base's own training and test data are needed first: lethe data import NAME PATH");
    const enum status st = dataset_get(txn, m->data, DATASET_TRAIN, &d, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "data", "no data set of role train is called \"%.60s\"", m->data);
    TRY(st);
    const enum status checked = check_set(txn, c->base, d, serving, f);
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
