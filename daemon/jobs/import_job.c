#include "daemon/jobs/import_job.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_import.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/version_data.h"
#include "learners/methods/tame/tame_learner.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"

int import_job_is(const struct job *job)
{
    return strcmp(job->record.kind, JOB_TEXT_KIND_IMPORT) == 0;
}

void import_job_free(struct imported *x)
{
    if (!x)
        return;
    imported_free(x);
    sysio_free(x);
}

/* ---------------------------------------------------------------- the file */

static enum status find_place(struct kv_txn *txn, struct job *job, struct fault *f)
{
    char expert[JOB_NAME_SIZE];
    TRY(admit_import_place(txn, job->imported, job->parent, expert, f));
    return imported_join(job->imported, expert, f);
}

enum status
import_job_open(struct kv_txn *txn, const struct job_context *c, struct job *job, struct fault *f)
{
    void *bytes;
    size_t size;
    if (!import_job_is(job))
        return STATUS_OK;
    TRY(blob_load(txn, &job->record.attachment, LIMIT_IMPORT_BYTES, &bytes, &size, f));
    job->imported = sysio_alloc(1, sizeof *job->imported);
    enum status st = STATUS_NO_MEMORY;
    if (job->imported)
        st = imported_read(bytes, size, &job->message->body.import, c->base, &job->spec.trunk,
                           job->imported, f);
    if (st != STATUS_OK) {
        sysio_free(bytes);
        return st;
    }
    job->imported->owned = bytes;
    TRY(admit_import(txn, c, job->imported, job->parent, NULL, f));
    return imported_is_expert(job->imported) ? find_place(txn, job, f) : STATUS_OK;
}

uint32_t import_job_classes(const struct job *job)
{
    return job->imported ? job->imported->n_classes : 0;
}

/* ---------------------------------------------------------------- the job */

/* A copy of a record as a part that the candidate has and the parent has not. */
static enum status bring(struct job *job,
                         const char *kind,
                         const char *name,
                         const void *bytes,
                         size_t n,
                         struct fault *f)
{
    void *copy = sysio_alloc(n + 1, 1);
    if (!copy)
        FAIL(f, STATUS_NO_MEMORY, "parts", "no memory for a component of %zu bytes", n);
    memcpy(copy, bytes, n);
    struct job_part *p = &job->parts[job->spec.n_parts++];
    *p = (struct job_part){.digest = seal_hash(bytes, n), .size = n, .bytes = copy, .brought = 1};
    (void)snprintf(p->kind, sizeof p->kind, "%s", kind);
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    return STATUS_OK;
}

/* An expert becomes one of its stream in the worker: what came is only what that is made from. */
static enum status bring_expert(struct kv_txn *txn, struct job *job, struct fault *f)
{
    const struct imported *x = job->imported;
    TRY(bring(job, TAME_INCOMING_KIND, x->name, x->file.bytes, x->file.size, f));
    job->parts[job->spec.n_parts - 1].dropped = 1;
    return stream_job_import(txn, job, x->name, f);
}

static int has_router(const struct job *job)
{
    return version_find_component(job->parent, VERSION_KIND_ROUTER, "base") != NULL;
}

enum status import_job_plan(struct kv_txn *txn,
                            const struct job_context *c,
                            struct job *job,
                            int *ret_router,
                            struct fault *f)
{
    const struct imported *x = job->imported;
    const uint32_t test = (uint32_t)c->config->eval_per_class;
    char owner[JOB_OWNER_TEXT_SIZE];
    if (job->spec.n_parts > JOB_MAX_PARTS - VERSION_DATA_MORE_PARTS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "parts", "the version has %u components already",
             job->spec.n_parts);
    const char *name = imported_is_expert(x) ? x->expert : x->name;
    TRY(version_data_add_owner(job, x->file.kind, name, x->classes, x->n_classes,
                               &job->spec.learned, f));
    job->owners[job->spec.learned].several = (uint32_t)x->several;
    job_owner_text(&job->owners[job->spec.learned], owner);
    TRY(imported_is_expert(x) ? bring_expert(txn, job, f)
                              : bring(job, x->file.kind, name, x->file.bytes, x->file.size, f));
    if (x->terms)
        TRY(bring(job, VERSION_KIND_ROUTER, owner, x->terms, x->terms_size, f));
    *ret_router = x->terms != NULL && !has_router(job);
    return version_data_images(txn, c->base, test, job->spec.learned, TASK_TEST, job, f);
}
