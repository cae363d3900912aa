#include "daemon/jobs/task_test.h"

#include <stdio.h>
#include <string.h>

struct search {
    const struct base_model *base;
    const struct job *job;
    uint32_t owner;
    char *name; /* [DATASET_NAME_SIZE] */
};

static int is_class_of(const struct search *s, const char *name)
{
    const struct job *job = s->job;
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        if (job->classes[k].owner == s->owner && strcmp(job->classes[k].name, name) == 0)
            return 1;
    return 0;
}

static enum status look_at(const struct dataset *d, void *context, struct fault *f)
{
    const struct search *s = context;
    (void)f;
    const int several = d->label_kind == DATASET_LABELS_MULTI;
    if (s->name[0] != '\0' || d->role != DATASET_TEST ||
        several != (s->job->owners[s->owner].several != 0) ||
        base_data_shape(d, s->base, NULL) != STATUS_OK)
        return STATUS_OK;
    for (uint32_t i = 0; i < d->n_classes; i++)
        if (!is_class_of(s, d->class_names[i]))
            return STATUS_OK;
    (void)snprintf(s->name, DATASET_NAME_SIZE, "%s", d->name);
    return STATUS_OK;
}

enum status task_test_find(struct kv_txn *txn,
                           const struct base_model *base,
                           const struct job *job,
                           uint32_t owner,
                           char name[DATASET_NAME_SIZE],
                           struct fault *f)
{
    struct search s = {.base = base, .job = job, .owner = owner, .name = name};
    name[0] = '\0';
    return dataset_list(txn, look_at, &s, f);
}
