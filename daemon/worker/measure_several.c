#include "daemon/worker/measure_internal.h"

#include <math.h>
#include <string.h>

const char *measure_owner_name(struct measure *m, uint32_t c)
{
    char *text = arena_alloc(&m->job->arena, JOB_OWNER_TEXT_SIZE, 1);
    if (text)
        job_owner_text(&m->job->spec.owners[m->job->spec.classes[c].owner], text);
    return text ? text : "";
}

/* Bounds of an owner whose images have several labels: test images, live classes. */
static struct eval_several several_bounds(const struct worker_job *job, uint32_t owner)
{
    const struct job_set *test = &job->spec.sets[JOB_SET_TEST];
    struct eval_several x = {.learned = owner != 0 && owner == job->spec.learned};
    if (!job->spec.owners[owner].several)
        return x;
    for (uint32_t c = 0; c < job->spec.n_classes; c++)
        x.n_classes +=
            job->spec.classes[c].owner == owner && job->spec.classes[c].status == JOB_CLASS_LIVE;
    for (uint32_t i = 0; i < test->n && x.n_classes > 0; i++)
        x.n += job->spec.classes[test->labels[i]].owner == owner;
    return x;
}

void measure_several_plan(const struct worker_job *job,
                          struct arena_plan *p,
                          struct eval_inputs *in)
{
    struct eval_several *list = (struct eval_several *)(uintptr_t)in->several;
    arena_plan_add(p, job->images.n, sizeof(uint32_t));
    arena_plan_add(p, job->spec.n_owners, sizeof *list);
    in->n_several = 0;
    for (uint32_t o = 1; o < job->spec.n_owners; o++) {
        const struct eval_several x = several_bounds(job, o);
        const size_t cells = (size_t)x.n * x.n_classes;
        if (x.n == 0)
            continue;
        list[in->n_several++] = x;
        arena_plan_add(p, x.n_classes, sizeof(uint32_t));
        arena_plan_add(p, JOB_OWNER_TEXT_SIZE, 1);
        for (int i = 0; i < 2; i++)
            arena_plan_add(p, cells, 1);
        for (int i = 0; i < 3; i++)
            arena_plan_add(p, cells, sizeof(float));
    }
}

/* ---------------------------------------------------------------- scores */

/* The scores of one owner's images, gathered from the rows of retained and learned classes. */
struct gatherer {
    struct measure *m;
    uint32_t owner;
    uint32_t *place;  /* [images] 1 + place of an image, 0: not met yet */
    uint32_t *column; /* [n_classes] the owner's live classes */
    uint8_t *hot, *answered;
    float *scores, *before, *raw; /* [images met, n_classes]; before NULL: not measured */
    struct eval_several x;
};

static void gather_row(struct gatherer *g, size_t at)
{
    const struct measure *m = g->m;
    const size_t k = m->job->spec.n_classes, n = g->x.n_classes;
    const uint32_t row = m->groups.rows[at];
    if (g->place[row] > 0)
        return;
    g->place[row] = ++g->x.n;
    const size_t to = (size_t)(g->x.n - 1) * n;
    for (uint32_t c = 0; c < n; c++) {
        const uint32_t class = g->column[c];
        g->hot[to + c] = (uint8_t)worker_job_shows(m->job, row, class);
        g->answered[to + c] = m->answers.present[at * k + class];
        g->scores[to + c] = m->answers.logits[at * k + class];
        g->raw[to + c] = m->answers.raw[at * k + class];
        if (g->before)
            g->before[to + c] = m->answers.before[at * k + class];
    }
}

static void gather_group(struct gatherer *g, uint32_t group)
{
    const struct groups *rows = &g->m->groups;
    for (size_t at = rows->first[group]; at < rows->first[group + 1]; at++)
        if (g->m->job->spec.classes[rows->classes[at]].owner == g->owner)
            gather_row(g, at);
}

static enum status gather_owner(struct gatherer *g, struct fault *f)
{
    struct measure *m = g->m;
    struct arena *a = &m->job->arena;
    const struct job_spec *s = &m->job->spec;
    const size_t cells = (size_t)g->x.n * g->x.n_classes;
    uint32_t n = 0;
    g->column = arena_alloc(a, g->x.n_classes, sizeof *g->column);
    g->hot = arena_alloc(a, cells, 1);
    g->answered = arena_alloc(a, cells, 1);
    g->scores = arena_alloc(a, cells, sizeof *g->scores);
    g->raw = arena_alloc(a, cells, sizeof *g->raw);
    float *before = arena_alloc(a, cells, sizeof *before);
    if (!g->column || !g->hot || !g->answered || !g->scores || !g->raw || !before)
        FAIL(f, STATUS_NO_MEMORY, "several", "no room for images with several labels");
    g->before = m->answers.before && !g->x.learned ? before : NULL;
    for (uint32_t c = 0; c < s->n_classes; c++)
        if (s->classes[c].owner == g->owner && s->classes[c].status == JOB_CLASS_LIVE)
            g->column[n++] = c;
    memset(g->place, 0, m->job->images.n * sizeof *g->place);
    g->x.n = 0;
    gather_group(g, G_RETAIN);
    gather_group(g, G_LEARNED);
    g->x.owner = measure_owner_name(m, g->column[0]);
    g->x.classes = g->column;
    g->x.hot = g->hot;
    g->x.answered = g->answered;
    g->x.scores = g->scores;
    g->x.scores_before = g->before;
    g->x.scores_raw = g->raw;
    return STATUS_OK;
}

/* Before the rows are masked. */
enum status measure_several_fill(struct measure *m, struct eval_inputs *in, struct fault *f)
{
    struct worker_job *job = m->job;
    struct gatherer g = {.m = m};
    g.place = arena_alloc(&job->arena, job->images.n, sizeof *g.place);
    struct eval_several *list = arena_alloc(&job->arena, job->spec.n_owners, sizeof *list);
    if (!g.place || !list)
        FAIL(f, STATUS_NO_MEMORY, "several", "no room for images with several labels");
    in->several = list;
    for (g.owner = 1; g.owner < job->spec.n_owners; g.owner++) {
        g.x = several_bounds(job, g.owner);
        if (g.x.n == 0)
            continue;
        TRY(gather_owner(&g, f));
        list[in->n_several++] = g.x;
    }
    return STATUS_OK;
}

/* A row stands for one label of its image; the other ones are no wrong answers. */
void measure_several_mask(struct measure *m)
{
    const struct job_spec *s = &m->job->spec;
    const struct groups *g = &m->groups;
    struct answers *x = &m->answers;
    for (size_t at = 0; at < g->n; at++) {
        if (at >= g->first[G_REFERENCE] && at < g->first[G_REFERENCE + 1])
            continue;
        const uint32_t own = g->classes[at], owner = s->classes[own].owner;
        for (uint32_t c = s->config.classes; s->owners[owner].several && c < s->n_classes; c++) {
            if (c == own || s->classes[c].owner != owner ||
                !worker_job_shows(m->job, g->rows[at], c))
                continue;
            x->logits[at * s->n_classes + c] = x->raw[at * s->n_classes + c] = -INFINITY;
            if (x->before)
                x->before[at * s->n_classes + c] = -INFINITY;
        }
    }
}
