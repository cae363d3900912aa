#include "daemon/worker/carry.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/methods/ridge/ridge_terms.h"

static const struct job_part *terms_of(const struct job_spec *s, const struct job_task *task)
{
    for (uint32_t i = 0; i < s->n_parts; i++)
        if (strcmp(s->parts[i].kind, "router") == 0 && strcmp(s->parts[i].name, task->name) == 0)
            return &s->parts[i];
    return NULL;
}

static enum status
keep(struct worker_job *job, const struct job_part *part, struct ridge_terms *t, struct fault *f)
{
    if (job->n_made == JOB_MAX_MADE)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "parts", "one request makes at most %d components",
             JOB_MAX_MADE);
    const size_t size = ridge_terms_encoded_size(t);
    void *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "parts", "no memory for terms of %zu bytes", size);
    ridge_terms_encode(t, bytes, size);
    struct job_made *m = &job->made[job->n_made++];
    *m = (struct job_made){.bytes = bytes, .size = size};
    memcpy(m->kind, part->kind, sizeof m->kind);
    memcpy(m->name, part->name, sizeof m->name);
    return STATUS_OK;
}

enum status carry_terms(struct worker_job *job,
                        const struct job_task *task,
                        const struct learner_trunk *trunk,
                        struct fault *f)
{
    const struct job_part *part = terms_of(&job->spec, task);
    struct ridge_terms t;
    struct arena arena;
    if (!part)
        FAIL(f, STATUS_INTERNAL, "tasks", "terms to carry over are not there");
    const size_t plan = ridge_terms_decode_plan(part->bytes, part->size);
    TRY(worker_job_claim(job, plan, "router terms", f));
    void *memory = sysio_alloc(plan + 1, 1);
    enum status st = STATUS_NO_MEMORY;
    if (memory) {
        arena_init(&arena, memory, plan);
        st = ridge_terms_decode(part->bytes, part->size, &arena, &t, f);
        if (st == STATUS_OK) {
            t.origin.state = trunk->state;
            st = keep(job, part, &t, f);
        }
        arena_fini(&arena);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, "parts", "no memory to read router terms");
    }
    sysio_free(memory);
    worker_job_release(job, plan);
    return st;
}
