#include "daemon/jobs/admit_import.h"

#include <stdio.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/tame/tame_learner.h"
#include "proto/limits.h"

#define STREAM_MAX_BYTES ((size_t)1 << 30)

/* What closing the request may write: both records and, for the first of all, the base's terms. */
static uint64_t plan_store(const struct imported *x)
{
    return x->file.size + x->terms_size + ((uint64_t)64 << 20) + 2 * (uint64_t)LIMIT_REPORT_BYTES;
}

enum status admit_import_place(struct kv_txn *txn,
                               const struct imported *x,
                               const struct version *serving,
                               char ret_expert[JOB_NAME_SIZE],
                               struct fault *f)
{
    const struct version_component *c =
        version_find_component(serving, VERSION_KIND_STREAM, x->name);
    struct tame_learner_info info;
    char expert[LEARNER_NAME_SIZE];
    void *record;
    size_t size;
    if (!c)
        FAIL(f, STATUS_NOT_FOUND, "name",
             "no stream is called \"%s\": an expert joins one that was opened before", x->name);
    TRY(blob_load(txn, &c->blob, STREAM_MAX_BYTES, &record, &size, f));
    enum status st = tame_learner_peek(record, size, &info, f);
    if (st == STATUS_OK && info.closed)
        st = fault_set(f, STATUS_FAILED_PRECONDITION, __FILE__, __LINE__, "name",
                       "stream \"%s\" is closed", x->name);
    if (st == STATUS_OK)
        st = tame_learner_joins(record, size, x->file.bytes, x->file.size, expert, f);
    sysio_free(record);
    TRY(st);
    (void)snprintf(ret_expert, JOB_NAME_SIZE, "%s", expert);
    return STATUS_OK;
}

enum status admit_import(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct imported *x,
                         const struct version *serving,
                         struct admit_plan *ret_plan,
                         struct fault *f)
{
    char expert[JOB_NAME_SIZE];
    if (!imported_is_expert(x))
        TRY(admit_learn_name_is_free(serving, x->name, "name", f));
    for (uint32_t i = 0; i < x->n_classes; i++)
        TRY(admit_learn_label_is_free(serving, x->classes[i], "labels", f));
    if (imported_is_expert(x))
        TRY(admit_import_place(txn, x, serving, expert, f));
    TRY(admit_learn_base(txn, context->base, f));
    if (ret_plan)
        *ret_plan = (struct admit_plan){.store_bytes = plan_store(x)};
    return STATUS_OK;
}
