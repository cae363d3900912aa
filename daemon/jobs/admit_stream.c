#include "daemon/jobs/admit_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/tame/tame_learner.h"
#include "learners/methods/tame/tame_options.h"
#include "proto/limits.h"

/* What closing the request may write besides reports and the stream's own growth. */
#define STREAM_STORE_BYTES ((uint64_t)64 << 20)

const char *admit_stream_name(const struct wire_envelope *m)
{
    return m->kind == WIRE_KIND_STREAM_OPEN   ? m->body.stream_open.name
           : m->kind == WIRE_KIND_STREAM_PUSH ? m->body.stream_push.name
                                              : m->body.by_name.name;
}

/* ---------------------------------------------------------------- names */

static enum status check_form(const char *name, struct fault *f)
{
    if (name[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "the stream needs a name");
    if (strlen(name) > ADMIT_TASK_NAME_MAX || !dataset_name_is_valid(name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "name",
             "a stream's name has at most %d letters, digits, '.', '_' and '-'",
             ADMIT_TASK_NAME_MAX);
    if (learner_stream_length(name) > 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name",
             "\"%s\" ends like the name of an expert: a dot and a number", name);
    return STATUS_OK;
}

/* Owners of a stream, or a task that could be taken for one of them. */
static enum status check_owner(const char *owner, const char *name, struct fault *f)
{
    const char *colon = strchr(owner, ':');
    const size_t n = strlen(name);
    if (!colon)
        return STATUS_OK;
    const char *own = colon + 1;
    const int like_expert = learner_stream_length(own) == n && strncmp(own, name, n) == 0;
    if (strcmp(own, name) == 0 || (!version_data_of_stream(owner, name) && like_expert))
        FAIL(f, STATUS_ALREADY_EXISTS, "name", "a task called \"%.60s\" was learned already", own);
    if (like_expert)
        FAIL(f, STATUS_ALREADY_EXISTS, "name", "a stream called \"%s\" was there and was forgotten",
             name);
    return STATUS_OK;
}

static enum status check_new_name(const struct version *serving, const char *name, struct fault *f)
{
    TRY(check_form(name, f));
    if (version_find_component(serving, VERSION_KIND_STREAM, name))
        FAIL(f, STATUS_ALREADY_EXISTS, "name", "there is a stream called \"%s\" already", name);
    for (size_t k = 0; k < serving->n_labels; k++)
        TRY(check_owner(serving->labels[k].owner, name, f));
    return STATUS_OK;
}

static enum status check_open_state(struct kv_txn *txn,
                                    const struct version *serving,
                                    const char *name,
                                    int opening,
                                    struct fault *f)
{
    struct tame_learner_info info;
    TRY(check_form(name, f));
    if (!version_find_component(serving, VERSION_KIND_STREAM, name)) {
        if (opening)
            return STATUS_OK;
        FAIL(f, STATUS_NOT_FOUND, "name", "no stream is called \"%s\"", name);
    }
    TRY(version_data_stream_info(txn, serving, name, &info, f));
    if (info.closed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "name", "stream \"%s\" is closed", name);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- settings */

static enum status
check_setting(struct tame_options *o, const struct wire_option *x, struct fault *f)
{
    if (strlen(x->name) >= sizeof((struct job_option *)0)->name ||
        strlen(x->value) >= sizeof((struct job_option *)0)->value)
        FAIL(f, STATUS_INVALID_ARGUMENT, "options", "an option's name or value is too long");
    if (strcmp(x->name, "batch") == 0) {
        char *end;
        const unsigned long n = strtoul(x->value, &end, 10);
        if (end == x->value || *end != '\0' || n == 0 || n > 65536)
            FAIL(f, STATUS_INVALID_ARGUMENT, "batch", "'%.20s' is not in 1..65536", x->value);
        return STATUS_OK;
    }
    return tame_options_set(o, x->name, x->value, f);
}

static enum status check_settings(const struct wire_stream_open *m, struct fault *f)
{
    struct tame_options o;
    tame_options_default(&o);
    if (m->expert[0] != '\0' && strcmp(m->expert, "adapter") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "expert",
             "\"%.20s\": a stream that is served has experts of kind adapter", m->expert);
    if (m->n_options > JOB_MAX_OPTIONS - 3)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS - 3);
    for (size_t i = 0; i < m->n_options; i++)
        TRY(check_setting(&o, &m->options[i], f));
    if (o.mode != TAME_HARDENED)
        FAIL(f, STATUS_INVALID_ARGUMENT, "mode", "only hardened streams are served");
    if (o.kind != TAME_KIND_ADAPTER)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "only adapter experts are served");
    if (o.experts_max > TAME_LEARNER_EXPERTS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "experts_max", "%u is not in 1..%d", o.experts_max,
             TAME_LEARNER_EXPERTS);
    return tame_options_check(&o, f);
}

/* A push may choose whether the detector probes; all else is settled at open. */
static enum status check_push_options(const struct wire_stream_push *m, struct fault *f)
{
    for (size_t i = 0; i < m->n_options; i++) {
        const struct wire_option *x = &m->options[i];
        if (strcmp(x->name, "probe") != 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "options",
                 "\"%.40s\" is settled when the stream is opened; a push takes probe", x->name);
        if (strcmp(x->value, "on") != 0 && strcmp(x->value, "off") != 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "probe", "'%.20s' is not on or off", x->value);
    }
    if (m->n_options > 1)
        FAIL(f, STATUS_INVALID_ARGUMENT, "options", "probe is named twice");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- data */

static enum status
check_label(const struct version *serving, const char *stream, const char *name, struct fault *f)
{
    const struct version_label *label = version_find_label(serving, name);
    char id[REQUEST_ID_TEXT_SIZE];
    if (strlen(name) >= JOB_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "label \"%.20s...\" is longer than %d bytes", name,
             JOB_NAME_SIZE - 1);
    if (!label)
        return STATUS_OK;
    if (label->status == VERSION_LABEL_FORGOTTEN) {
        request_id_format(&label->forgotten_by, id);
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "class \"%.60s\" was forgotten by request %s and is not learned again", name, id);
    }
    if (!version_data_of_stream(label->owner, stream))
        FAIL(f, STATUS_ALREADY_EXISTS, "data", "the model has a class \"%.60s\" already (%.60s)",
             name, label->owner);
    return STATUS_OK;
}

static enum status check_labels(const struct version *serving,
                                const char *stream,
                                const struct dataset *d,
                                const uint32_t *classes,
                                struct fault *f)
{
    uint8_t *used = sysio_alloc((size_t)d->n_classes + 1, 1);
    enum status st = STATUS_OK;
    if (!used)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", d->n_classes);
    for (uint64_t i = 0; i < d->n; i++)
        used[classes[i]] = 1;
    for (uint32_t k = 0; k < d->n_classes && st == STATUS_OK; k++)
        if (used[k])
            st = check_label(serving, stream, d->class_names[k], f);
    sysio_free(used);
    return st;
}

static enum status check_set(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct dataset *d,
                             const char *stream,
                             const struct version *serving,
                             struct fault *f)
{
    const enum status fits = base_data_fits(d, base, f);
    if (fits != STATUS_OK && f)
        (void)memcpy(f->field, "data", sizeof "data");
    TRY(fits);
    if (d->n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "data set %s is empty", d->name);
    if (d->label_kind != DATASET_LABELS_CLASS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "a stream's images have one label each");
    uint32_t *classes = sysio_alloc((size_t)d->n, sizeof *classes);
    if (!classes)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the labels of %s", d->name);
    enum status st = dataset_read_classes(txn, d, classes, f);
    if (st == STATUS_OK)
        st = check_labels(serving, stream, d, classes, f);
    sysio_free(classes);
    return st;
}

static enum status check_base_data(struct kv_txn *txn, const struct base_model *b, struct fault *f)
{
    struct base_data base;
    TRY(base_data_find(txn, b, &base, f));
    const int ready = base.train && base.test;
    base_data_free(&base);
    if (!ready)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "the base's own training and test data are needed first: lethe data import NAME PATH");
    return STATUS_OK;
}

/* A stream that is still to be opened says nothing yet: then the job asks again. */
static enum status check_batch(struct kv_txn *txn,
                               const struct wire_stream_push *m,
                               const struct version *serving,
                               struct fault *f)
{
    struct tame_learner_info info = {.batch_max = 65536};
    if (version_find_component(serving, VERSION_KIND_STREAM, m->name))
        TRY(version_data_stream_info(txn, serving, m->name, &info, f));
    if (m->batch > info.batch_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch",
             "%u images; stream \"%s\" takes at most %u a batch (batch_max)", m->batch, m->name,
             info.batch_max);
    return STATUS_OK;
}

static enum status check_push(struct kv_txn *txn,
                              const struct job_context *c,
                              const struct wire_stream_push *m,
                              const struct version *serving,
                              struct fault *f)
{
    struct dataset *d;
    TRY(check_push_options(m, f));
    TRY(check_batch(txn, m, serving, f));
    const enum status st = dataset_get(txn, m->data, DATASET_TRAIN, &d, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "data", "no data set of role train is called \"%.60s\"", m->data);
    TRY(st);
    const enum status checked = check_set(txn, c->base, d, m->name, serving, f);
    datasets_free(d);
    return checked;
}

/* ---------------------------------------------------------------- all of it */

static enum status check(struct kv_txn *txn,
                         const struct job_context *c,
                         const struct wire_envelope *m,
                         const struct version *serving,
                         int opening,
                         struct fault *f)
{
    const char *name = admit_stream_name(m);
    if (m->kind == WIRE_KIND_STREAM_OPEN) {
        TRY(check_new_name(serving, name, f));
        TRY(check_settings(&m->body.stream_open, f));
        return check_base_data(txn, c->base, f);
    }
    TRY(check_open_state(txn, serving, name, opening, f));
    TRY(check_base_data(txn, c->base, f));
    return m->kind == WIRE_KIND_STREAM_PUSH ? check_push(txn, c, &m->body.stream_push, serving, f)
                                            : STATUS_OK;
}

enum status admit_stream(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct wire_envelope *m,
                         const struct version *serving,
                         int opening,
                         struct admit_plan *ret_plan,
                         struct fault *f)
{
    TRY(check(txn, context, m, serving, opening, f));
    const struct version_component *c =
        version_find_component(serving, VERSION_KIND_STREAM, admit_stream_name(m));
    if (ret_plan)
        *ret_plan = (struct admit_plan){.store_bytes = STREAM_STORE_BYTES +
                                                       2 * (uint64_t)LIMIT_REPORT_BYTES +
                                                       (c ? 2 * c->bytes : 0)};
    return STATUS_OK;
}
