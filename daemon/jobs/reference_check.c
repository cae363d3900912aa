#include "daemon/jobs/reference_check.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "proto/seal/hash.h"

/* Classes of the reference data set. */
struct check {
    struct kv_txn *txn;
    struct job *job;
    const struct dataset *reference;
    const struct task_key_list *pictures;
    uint8_t *taught; /* [classes] */
};

/* An owner beside the base answers a class of this name. */
static int is_answered(const struct job *job, const char *name)
{
    for (uint32_t k = 0; k < job->spec.n_classes; k++)
        if (job->classes[k].owner != 0 && strcmp(job->classes[k].name, name) == 0)
            return 1;
    return 0;
}

/* Both lists ascend by pixels. */
static void mark_common(struct check *c, const struct task_key_list *learned)
{
    const struct task_key_list *own = c->pictures;
    for (uint32_t i = 0, k = 0; i < own->n && k < learned->n;) {
        const int order =
            memcmp(own->pictures[i].pixels.b, learned->pictures[k].pixels.b, DIGEST_SIZE);
        if (order == 0)
            c->taught[own->pictures[i].class] = 1;
        if (order <= 0)
            i++;
        else
            k++;
    }
}

static enum status check_owner(struct check *c, uint32_t owner, struct fault *f)
{
    const struct task_key_list *learned;
    struct dataset *d;
    const char *source = version_data_source(c->job, owner);
    if (!source || dataset_get(c->txn, source, DATASET_TRAIN, &d, NULL) != STATUS_OK)
        return STATUS_OK; /* nothing is left that could be compared */
    const enum status st = task_keys_get(c->job->keys, c->txn, d, &learned, f);
    datasets_free(d);
    TRY(st);
    mark_common(c, learned);
    task_keys_put(c->job->keys, learned);
    return STATUS_OK;
}

static enum status mark_taught(struct check *c, struct fault *f)
{
    for (uint32_t i = 0; i < c->reference->n_classes; i++)
        c->taught[i] = (uint8_t)is_answered(c->job, c->reference->class_names[i]);
    TRY(task_keys_get(c->job->keys, c->txn, c->reference, &c->pictures, f));
    enum status st = STATUS_OK;
    for (uint32_t owner = 1; owner < c->job->spec.n_owners && st == STATUS_OK; owner++)
        st = check_owner(c, owner, f);
    task_keys_put(c->job->keys, c->pictures);
    return st;
}

/* Keeps the rows of other classes, in their order, and numbers these from 0. */
static enum status drop_taught(struct check *c, struct fault *f)
{
    struct job_set *set = &c->job->sets.set[JOB_SET_REFERENCE];
    uint8_t *pixels = (uint8_t *)(uintptr_t)set->pixels;
    int32_t *labels = (int32_t *)(uintptr_t)set->labels;
    const size_t bytes = (size_t)dataset_row_bytes(c->reference);
    int32_t *number = sysio_alloc((size_t)c->reference->n_classes + 1, sizeof *number);
    int32_t left = 0;
    uint32_t n = 0;
    if (!number)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the classes of %s", c->reference->name);
    for (uint32_t i = 0; i < c->reference->n_classes; i++)
        number[i] = c->taught[i] ? -1 : left++;
    for (uint32_t i = 0; i < set->n; i++) {
        if (number[labels[i]] < 0)
            continue;
        memmove(pixels + n * bytes, pixels + i * bytes, bytes);
        labels[n++] = number[labels[i]];
    }
    sysio_free(number);
    set->n = n;
    c->job->spec.reference_taught = c->reference->n_classes - (uint32_t)left;
    return STATUS_OK;
}

/* What is left is another set than the one that was loaded. */
static void rename_set(struct check *c)
{
    struct job_set *set = &c->job->sets.set[JOB_SET_REFERENCE];
    struct seal_hasher h;
    if (c->job->spec.reference_taught == 0)
        return;
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    seal_hash_update(&h, c->taught, c->reference->n_classes);
    set->digest = seal_hash_final(&h);
}

static enum status check_set(struct check *c, struct fault *f)
{
    c->taught = sysio_alloc((size_t)c->reference->n_classes + 1, 1);
    if (!c->taught)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the classes of %s", c->reference->name);
    enum status st = mark_taught(c, f);
    if (st == STATUS_OK)
        st = drop_taught(c, f);
    if (st == STATUS_OK)
        rename_set(c);
    sysio_free(c->taught);
    return st;
}

enum status
reference_check(struct kv_txn *txn, const struct base_model *base, struct job *job, struct fault *f)
{
    struct base_data data;
    if (job->sets.set[JOB_SET_REFERENCE].n == 0 || job->spec.n_owners < 2)
        return STATUS_OK;
    TRY(base_data_find(txn, base, &data, f));
    struct check c = {.txn = txn, .job = job, .reference = data.reference};
    const enum status st = data.reference ? check_set(&c, f) : STATUS_OK;
    base_data_free(&data);
    return st;
}
