#include "daemon/worker/composite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/worker/worker_train.h"
#include "learners/answer/answer.h"

#define COMPOSITE_CHUNK 64

struct composite {
    struct worker_job *job;
    size_t claimed, claimed_scratch; /* of the job's memory */
    struct learner_part *parts;      /* borrowed bytes */
    uint32_t n_parts;
    struct learner_trunk trunk;
    void *memory, *scratch;
    struct arena arena;
    struct answer *answer;
    struct answer_forward *forward;
    uint32_t *class_of; /* [columns] class of the job */
    uint8_t *live;      /* [labels of the answer] its class is live */
    double *p;          /* [columns] */
    uint8_t *present;   /* [columns] */
};

/* ---------------------------------------------------------------- parts */

static struct learner_part part_of(const char *kind, const char *name, const void *bytes, size_t n)
{
    return (struct learner_part){.kind = kind, .name = name, .bytes = bytes, .size = n};
}

static int same(const struct job_part *p, const struct job_made *m)
{
    return strcmp(p->kind, m->kind) == 0 && strcmp(p->name, m->name) == 0;
}

static int belongs(const struct job_part *p, enum composite_side side)
{
    return side == COMPOSITE_PARENT ? !p->brought : !p->dropped;
}

/* The parent's components, each replaced by what the job made of it, then the new ones. */
static uint32_t
list_parts(const struct worker_job *job, enum composite_side side, struct learner_part *parts)
{
    const struct job_spec *s = &job->spec;
    uint8_t used[JOB_MAX_MADE] = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_parts; i++) {
        const struct job_part *p = &s->parts[i];
        struct learner_part chosen = part_of(p->kind, p->name, p->bytes, p->size);
        if (!job_kind_answers(p->kind))
            continue;
        for (uint32_t k = 0; k < job->n_made && side == COMPOSITE_CANDIDATE; k++) {
            if (!same(p, &job->made[k]))
                continue;
            used[k] = 1;
            chosen = part_of(p->kind, p->name, job->made[k].bytes, job->made[k].size);
        }
        if (belongs(p, side) && !(side == COMPOSITE_CANDIDATE && chosen.size == 0))
            parts[n++] = chosen;
    }
    for (uint32_t k = 0; k < job->n_made && side == COMPOSITE_CANDIDATE; k++) {
        const struct job_made *m = &job->made[k];
        if (!used[k] && m->size > 0 && job_kind_answers(m->kind))
            parts[n++] = part_of(m->kind, m->name, m->bytes, m->size);
    }
    return n;
}

/* ---------------------------------------------------------------- columns */

/* Whether an expert ("expert:STREAM.K") is of the stream that owner o stands for. */
static int of_same_stream(const struct job_owner *o, const char *expert)
{
    static const char KIND[] = "expert:";
    char stream[JOB_NAME_SIZE];
    if (strncmp(expert, KIND, sizeof KIND - 1) != 0)
        return 0;
    expert += sizeof KIND - 1;
    (void)snprintf(stream, sizeof stream, "%.*s", (int)learner_stream_length(expert), expert);
    return stream[0] != '\0' && job_owner_of_stream(o, stream);
}

/* The job's class behind an owner's label, or -1.  Experts of one stream may share a class. */
static int64_t class_find(const struct job_spec *s, const char *owner, const char *label)
{
    char text[JOB_OWNER_TEXT_SIZE];
    for (uint32_t k = 0; k < s->n_classes; k++) {
        const struct job_owner *o = &s->owners[s->classes[k].owner];
        if (strcmp(s->classes[k].name, label) != 0)
            continue;
        job_owner_text(o, text);
        if (strcmp(text, owner) == 0 || of_same_stream(o, owner))
            return (int64_t)k;
    }
    return -1;
}

static enum status map_columns(struct composite *c, struct fault *f)
{
    const struct answer_columns *columns = answer_forward_columns(c->forward);
    const struct answer_owner *owners;
    const struct answer_label *labels;
    (void)answer_owners(c->answer, &owners);
    const uint32_t n_labels = answer_labels(c->answer, &labels);
    c->class_of = sysio_alloc((size_t)columns->n + 1, sizeof *c->class_of);
    c->live = sysio_alloc((size_t)n_labels + 1, sizeof *c->live);
    c->p = sysio_alloc((size_t)columns->n + 1, sizeof *c->p);
    c->present = sysio_alloc((size_t)columns->n + 1, sizeof *c->present);
    if (!c->class_of || !c->live || !c->p || !c->present)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for the columns");
    for (uint32_t i = 0; i < columns->n; i++) {
        const struct answer_label *l = &labels[columns->labels[i]];
        const int64_t k = class_find(&c->job->spec, owners[l->owner].name, l->name);
        if (k < 0)
            FAIL(f, STATUS_DATA_LOSS, "labels",
                 "a component answers \"%.60s\", the version does not", l->name);
        c->class_of[i] = (uint32_t)k;
        c->live[columns->labels[i]] = c->job->spec.classes[k].status == JOB_CLASS_LIVE;
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- making */

void composite_free(struct composite *c)
{
    if (!c)
        return;
    if (c->memory)
        arena_fini(&c->arena);
    worker_job_release(c->job, c->claimed + c->claimed_scratch);
    sysio_free(c->parts);
    sysio_free(c->memory);
    sysio_free(c->scratch);
    sysio_free(c->class_of);
    sysio_free(c->live);
    sysio_free(c->p);
    sysio_free(c->present);
    sysio_free(c);
}

static enum status
make_answer(struct composite *c, const struct answer_parts *p, struct pool *pool, struct fault *f)
{
    size_t scratch_size;
    const size_t size = answer_plan(p, c->job->spec.threads, &scratch_size);
    TRY(worker_job_claim(c->job, size, "answering", f));
    c->claimed = size;
    TRY(worker_job_claim(c->job, scratch_size, "answering", f));
    c->claimed_scratch = scratch_size;
    c->memory = sysio_alloc(size + 1, 1);
    c->scratch = sysio_alloc(scratch_size + 1, 1);
    if (!c->memory || !c->scratch)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for the version's components");
    struct arena scratch;
    arena_init(&c->arena, c->memory, size);
    arena_init(&scratch, c->scratch, scratch_size);
    const struct learner_tools tools = {.pool = pool, .arena = &c->arena};
    const enum status st = answer_new(p, &tools, &scratch, &c->answer, f);
    arena_fini(&scratch);
    return st;
}

/* The scratch of making it becomes the workspace of the runs. */
static enum status
make_forward(struct composite *c, uint32_t n_max, int features, struct pool *pool, struct fault *f)
{
    const struct answer_wish wish = {.n_max = n_max, .features = features};
    const size_t size = answer_forward_plan(c->answer, &wish, c->job->spec.threads);
    sysio_free(c->scratch);
    c->scratch = NULL;
    worker_job_release(c->job, c->claimed_scratch);
    c->claimed_scratch = 0;
    TRY(worker_job_claim(c->job, size, "answering", f));
    c->claimed_scratch = size;
    c->scratch = sysio_alloc(size + 1, 1);
    if (!c->scratch)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %zu MiB", size >> 20);
    struct arena arena;
    arena_init(&arena, c->scratch, size);
    const struct learner_tools tools = {.pool = pool, .arena = &arena};
    return answer_forward_new(c->answer, &wish, &tools, &c->forward, f);
}

static enum status composite_make(struct worker_job *job,
                                  const struct learner_trunk *trunk,
                                  uint32_t n_max,
                                  int features,
                                  struct composite *c,
                                  struct fault *f)
{
    c->trunk = *trunk;
    const struct answer_parts p = {.trunk = c->trunk, .parts = c->parts, .n_parts = c->n_parts};
    TRY(make_answer(c, &p, job->pool, f));
    TRY(make_forward(c, n_max, features, job->pool, f));
    return map_columns(c, f);
}

enum status composite_new(struct worker_job *job,
                          enum composite_side side,
                          uint32_t n_max,
                          struct composite **ret_composite,
                          struct fault *f)
{
    struct composite *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for a version");
    c->job = job;
    c->parts = sysio_alloc((size_t)job->spec.n_parts + job->n_made + 1, sizeof *c->parts);
    enum status st = STATUS_NO_MEMORY;
    struct learner_trunk trunk = worker_trunk(job);
    if (side == COMPOSITE_CANDIDATE) {
        trunk.weights = &job->candidate;
        trunk.state = job->candidate_trunk;
    }
    if (c->parts) {
        c->n_parts = list_parts(job, side, c->parts);
        st = composite_make(job, &trunk, n_max, 1, c, f);
    }
    if (st != STATUS_OK) {
        composite_free(c);
        return st;
    }
    *ret_composite = c;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- running */

static void scatter(const struct composite *c, uint32_t n, const float *from, float *to)
{
    const uint32_t width = answer_forward_columns(c->forward)->n, classes = c->job->spec.n_classes;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < classes; k++)
            to[i * classes + k] = -INFINITY;
        for (uint32_t j = 0; j < width; j++) {
            float *x = &to[i * classes + c->class_of[j]];
            *x = from[i * width + j] > *x ? from[i * width + j] : *x;
        }
    }
}

/* Experts of one stream may share a class: it is answered if one of them answers it. */
static void mark_present(struct composite *c, uint32_t n, const float *routed, uint8_t *to)
{
    const uint32_t width = answer_forward_columns(c->forward)->n, classes = c->job->spec.n_classes;
    memset(to, 0, (size_t)n * classes);
    for (size_t i = 0; i < n; i++) {
        answer_probabilities(c->forward, ANSWER_ROUTED, routed + i * width, c->live, c->p,
                             c->present);
        for (uint32_t j = 0; j < width; j++)
            to[i * classes + c->class_of[j]] |= c->present[j];
    }
}

void composite_run(struct composite *c,
                   uint32_t n,
                   const float *const *images,
                   const struct composite_output *out)
{
    const struct vit_config *v = &c->job->spec.config;
    struct answer_scores s;
    answer_run(c->forward, n, images, &s);
    if (out->served)
        scatter(c, n, s.routed, out->served);
    if (out->raw)
        scatter(c, n, s.raw, out->raw);
    if (out->present)
        mark_present(c, n, s.routed, out->present);
    if (out->embeddings)
        memcpy(out->embeddings, s.embeddings, (size_t)n * v->width * sizeof(float));
    if (out->taps)
        memcpy(out->taps, s.taps, (size_t)n * v->depth * 2 * v->width * sizeof(float));
}

/* ---------------------------------------------------------------- one part alone */

/* Labels of rows, and those of them that were answered right. */
struct part_count {
    uint32_t labels, right;
};

/* Labels of a row that rank above every column of the part's own that the row does not show. */
static void
count_row(const struct composite *c, const float *row, uint32_t image, struct part_count *x)
{
    const uint32_t width = answer_forward_columns(c->forward)->n;
    const uint32_t first = c->job->spec.config.classes;
    uint32_t best = width;
    for (uint32_t j = first; j < width; j++)
        if (!worker_job_shows(c->job, image, c->class_of[j]) &&
            (best == width || row[j] > row[best]))
            best = j;
    for (uint32_t j = first; j < width; j++) {
        if (!worker_job_shows(c->job, image, c->class_of[j]))
            continue;
        x->labels++;
        /* of equal columns the first one answers */
        x->right += best == width || row[j] > row[best] || (row[j] >= row[best] && j < best);
    }
}

static enum status part_run(struct composite *c,
                            const uint32_t *rows,
                            uint32_t n_rows,
                            double *ret_accuracy,
                            struct fault *f)
{
    const size_t pixels = images_floats(&c->job->images);
    float *memory = sysio_alloc(COMPOSITE_CHUNK * pixels, sizeof *memory);
    const float *images[COMPOSITE_CHUNK];
    struct part_count count = {0};
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %d images", COMPOSITE_CHUNK);
    for (uint32_t at = 0; at < n_rows; at += COMPOSITE_CHUNK) {
        const uint32_t n = n_rows - at < COMPOSITE_CHUNK ? n_rows - at : COMPOSITE_CHUNK;
        struct answer_scores s;
        for (uint32_t i = 0; i < n; i++) {
            images_load(&c->job->images, rows[at + i], memory + i * pixels);
            images[i] = memory + i * pixels;
        }
        answer_run(c->forward, n, images, &s);
        for (uint32_t i = 0; i < n; i++)
            count_row(c, s.raw + (size_t)i * answer_forward_columns(c->forward)->n, rows[at + i],
                      &count);
    }
    sysio_free(memory);
    *ret_accuracy = count.labels ? (double)count.right / count.labels : 0;
    return STATUS_OK;
}

enum status composite_part_accuracy(struct worker_job *job,
                                    const struct learner_trunk *trunk,
                                    const struct job_part *part,
                                    const uint32_t *rows,
                                    uint32_t n_rows,
                                    double *ret_accuracy,
                                    struct fault *f)
{
    struct composite *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for a component");
    c->job = job;
    c->parts = sysio_alloc(1, sizeof *c->parts);
    enum status st = STATUS_NO_MEMORY;
    if (c->parts) {
        c->parts[0] = part_of(part->kind, part->name, part->bytes, part->size);
        c->n_parts = 1;
        st = composite_make(job, trunk, COMPOSITE_CHUNK, 0, c, f);
    }
    if (st == STATUS_OK)
        st = part_run(c, rows, n_rows, ret_accuracy, f);
    composite_free(c);
    return st;
}
