#include "daemon/jobs/admit_import.h"

#include "daemon/jobs/admit_learn.h"
#include "proto/limits.h"

/* What closing the request may write: both records and, for the first of all, the base's terms. */
static uint64_t plan_store(const struct imported *x)
{
    return x->file.size + x->terms_size + ((uint64_t)64 << 20) + 2 * (uint64_t)LIMIT_REPORT_BYTES;
}

enum status admit_import(struct kv_txn *txn,
                         const struct job_context *context,
                         const struct imported *x,
                         const struct version *serving,
                         struct admit_plan *ret_plan,
                         struct fault *f)
{
    TRY(admit_learn_name_is_free(serving, x->name, "name", f));
    for (uint32_t i = 0; i < x->n_classes; i++)
        TRY(admit_learn_label_is_free(serving, x->classes[i], "labels", f));
    TRY(admit_learn_base(txn, context->base, f));
    if (ret_plan)
        *ret_plan = (struct admit_plan){.store_bytes = plan_store(x)};
    return STATUS_OK;
}
