#include "daemon/jobs/admit_fast.h"

#include <string.h>

#include "daemon/jobs/version_data.h"

static enum status fail_kind(const struct job_owner *o, struct fault *f)
{
    if (strcmp(o->kind, VERSION_KIND_RIDGE) == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
             "%.40s is a closed form, which is solved without the data as fast: leave the mode out",
             o->name);
    FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
         "%.40s belongs to a stream, whose detector and selector rest on the same data: experts "
         "are trained again without them; leave the mode out or say exact",
         o->name);
}

static enum status
check_labels(struct kv_txn *txn, const struct version *v, const struct job_owner *o, struct fault *f)
{
    struct dataset *d;
    const char *source = version_data_dataset(v, o->kind, o->name);
    if (!source || dataset_get(txn, source, DATASET_TRAIN, &d, NULL) != STATUS_OK)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
             "the data of %.40s are gone, with which fast would keep its other classes: forget it "
             "as a whole, with --task",
             o->name);
    const int several = d->label_kind == DATASET_LABELS_MULTI;
    datasets_free(d);
    if (several)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
             "the images of %.40s have several labels, for which there is no fast mode: leave the "
             "mode out or say exact",
             o->name);
    return STATUS_OK;
}

enum status
admit_fast(struct kv_txn *txn, const struct version *v, const char *owner, struct fault *f)
{
    struct job_owner o;
    TRY(version_data_owner(owner, &o, f));
    if (strcmp(o.kind, VERSION_KIND_LANE) != 0)
        return fail_kind(&o, f);
    return check_labels(txn, v, &o, f);
}

int admit_fast_is_suppressed(const struct version *v, const char *owner)
{
    struct job_owner o;
    if (version_data_owner(owner, &o, NULL) != STATUS_OK)
        return 0;
    const struct version_component *c = version_find_component(v, o.kind, o.name);
    for (size_t i = 0; c && i < c->n_lineage; i++)
        if (strcmp(c->lineage[i].kind, VERSION_SOURCE_COMPONENT) == 0)
            return 1;
    return 0;
}
