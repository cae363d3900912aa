#include "daemon/jobs/commit_stream.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/imported.h"
#include "daemon/jobs/stream_job.h"
#include "daemon/jobs/version_data.h"

/* ---------------------------------------------------------------- components */

/* The stream that a component belongs to, as the length of its name within *ret_name; 0: none. */
static size_t stream_of(const struct job_made *m, const char **ret_name)
{
    const size_t prefix = sizeof VERSION_KIND_EXPERT;
    *ret_name = m->name;
    if (strcmp(m->kind, VERSION_KIND_STREAM) == 0)
        return strlen(m->name);
    if (strcmp(m->kind, VERSION_KIND_EXPERT) == 0)
        return learner_stream_length(m->name);
    if (strcmp(m->kind, VERSION_KIND_ROUTER) != 0 ||
        strncmp(m->name, VERSION_KIND_EXPERT ":", prefix) != 0)
        return 0;
    *ret_name = m->name + prefix;
    return learner_stream_length(*ret_name);
}

int commit_stream_is(const struct job_made *m)
{
    const char *name;
    return stream_of(m, &name) > 0;
}

size_t commit_stream_datasets(const struct job *job)
{
    size_t most = 0;
    for (size_t i = 0; i < job->parent->n_components; i++) {
        const struct version_component *c = &job->parent->components[i];
        if (strcmp(c->kind, VERSION_KIND_STREAM) == 0 && c->n_lineage > most)
            most = c->n_lineage;
    }
    return most;
}

static const struct version_component *
stream_before(const struct job *job, const char *name, size_t n)
{
    for (size_t i = 0; i < job->parent->n_components; i++) {
        const struct version_component *c = &job->parent->components[i];
        if (strcmp(c->kind, VERSION_KIND_STREAM) == 0 && strlen(c->name) == n &&
            strncmp(c->name, name, n) == 0)
            return c;
    }
    return NULL;
}

/* Whether batches of earlier pushes waited for a decision. */
static int had_held(const struct job *job, const struct version_component *stream)
{
    struct tame_learner_info info;
    for (uint32_t i = 0; stream && i < job->spec.n_parts; i++) {
        const struct job_part *p = &job->parts[i];
        if (strcmp(p->kind, VERSION_KIND_STREAM) == 0 && strcmp(p->name, stream->name) == 0)
            return tame_learner_peek(p->bytes, p->size, &info, NULL) == STATUS_OK && info.held > 0;
    }
    return 0;
}

/*
 * The data sets that a component had before, but not the one that is pushed now; its files, if they
 * are its own and not those of its stream.
 */
static size_t copy_lineage(const struct job *job,
                           const struct version_component *from,
                           int own,
                           struct version_lineage *rows)
{
    const struct dataset *now = job->new_data;
    size_t n = 0;
    for (size_t i = 0; from && i < from->n_lineage; i++) {
        const struct version_lineage *l = &from->lineage[i];
        if ((own && strcmp(l->kind, VERSION_SOURCE_FILE) == 0) ||
            (strcmp(l->kind, "dataset") == 0 && !(now && strcmp(l->name, now->name) == 0)))
            rows[n++] = *l;
    }
    return n;
}

/* Terms of which a part came as a file, over a trunk that has moved: that part cannot be counted
 * again. */
static int is_carried(const struct job *job, const struct job_made *m)
{
    return job->kind == JOB_FORGET && strcmp(m->kind, VERSION_KIND_ROUTER) == 0 &&
           version_data_is_imported(job->parent, m->kind, m->name);
}

/*
 * A stream descends from all that was pushed to it, an expert from what was pushed since it was
 * made; batches that were held then may come from any push before.  What came as a file is in both.
 */
static size_t fill_lineage(const struct job *job,
                           const struct job_made *m,
                           const struct version_component *stream,
                           struct version_lineage *rows)
{
    const struct dataset *now = job->new_data;
    const struct imported *file = job->imported;
    const struct version_component *own = version_find_component(job->parent, m->kind, m->name);
    const struct version_component *from = own;
    size_t n = 0;
    rows[n++] = (struct version_lineage){"version", "parent", job->parent_digest};
    if (!from && !file && had_held(job, stream))
        from = stream;
    n += copy_lineage(job, from, own != NULL, rows + n);
    if (now)
        rows[n++] = (struct version_lineage){"dataset", now->name, now->digest};
    if (file)
        rows[n++] = (struct version_lineage){VERSION_SOURCE_FILE, file->file.name, file->digest};
    if (is_carried(job, m))
        rows[n++] = (struct version_lineage){"trunk", "carried-over", job->spec.trunk};
    return n;
}

/* Seed and first request stay with a component of a stream for as long as it lives. */
void commit_stream_fill(const struct job *job,
                        const struct job_made *m,
                        struct version_lineage *rows,
                        struct version_component *c)
{
    const char *name;
    const size_t n = stream_of(m, &name);
    const struct version_component *stream = stream_before(job, name, n);
    const struct version_component *own = version_find_component(job->parent, m->kind, m->name);
    if (strcmp(m->kind, VERSION_KIND_ROUTER) != 0) {
        c->seed = own ? own->seed : stream ? stream->seed : job->record.seed;
        if (!own && job->imported)
            c->seed = job->imported->file.seed;
        c->request = own ? own->request : job->record.id;
    }
    c->lineage = rows;
    c->n_lineage = fill_lineage(job, m, stream, rows);
}

/* ---------------------------------------------------------------- labels */

enum status commit_stream_owner(const struct job *job,
                                const struct job_result *r,
                                uint32_t k,
                                char ret_owner[JOB_OWNER_TEXT_SIZE],
                                int *ret_gone,
                                struct fault *f)
{
    const struct job_owner *o = &job->owners[job->classes[k].owner];
    struct job_owner after = {.kind = VERSION_KIND_EXPERT};
    char stream[JOB_NAME_SIZE];
    *ret_gone = 0;
    job_owner_text(o, ret_owner);
    const int is_stream = strcmp(o->kind, VERSION_KIND_STREAM) == 0;
    if ((!is_stream && strcmp(o->kind, VERSION_KIND_EXPERT) != 0) ||
        job->classes[k].status != JOB_CLASS_LIVE)
        return STATUS_OK;
    const size_t n = is_stream ? strlen(o->name) : learner_stream_length(o->name);
    (void)snprintf(stream, sizeof stream, "%.*s", (int)n, o->name);
    TRY(stream_job_owner(job, r, stream, job->classes[k].name, after.name, f));
    *ret_gone = after.name[0] == '\0';
    if (!*ret_gone)
        job_owner_text(&after, ret_owner);
    return STATUS_OK;
}
