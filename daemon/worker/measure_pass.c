#include "daemon/worker/measure_internal.h"

#include <math.h>
#include <string.h>

#include "daemon/worker/composite.h"

#define CHUNK 128 /* images of one forward call */

/* ---------------------------------------------------------------- memory */

int measure_is_composite(const struct worker_job *job)
{
    return job->spec.n_owners > 1;
}

int measure_is_change(const struct worker_job *job)
{
    return job->spec.kind == JOB_FORGET || job->spec.kind == JOB_CHANGE;
}

struct measure_sizes measure_sizes_of(const struct worker_job *job, const struct groups *g)
{
    const struct vit_config *v = &job->spec.config;
    return (struct measure_sizes){.n = g->n,
                                  .k = job->spec.n_classes,
                                  .k_base = v->classes,
                                  .c = v->width,
                                  .tokens = vit_tokens(v),
                                  .depth = v->depth,
                                  .pixels = images_floats(&job->images),
                                  .n_forget = measure_groups_size(g, G_FORGET)};
}

void measure_pass_plan(const struct worker_job *job, const struct groups *g, struct arena_plan *p)
{
    const struct measure_sizes z = measure_sizes_of(job, g);
    for (int i = 0; i < 2; i++)
        arena_plan_add(p, z.n + 1, sizeof(uint32_t));
    for (int i = 0; i < 5; i++)
        arena_plan_add(p, z.n * z.k, sizeof(float));
    arena_plan_add(p, z.n * z.k, 1);
    arena_plan_add(p, CHUNK * z.k_base, sizeof(float));
    arena_plan_add(p, z.n * z.c, sizeof(float));
    arena_plan_add(p, z.n * z.c * z.depth * 2, sizeof(float));
    arena_plan_add(p, CHUNK * z.pixels, sizeof(float));
    arena_plan_add(p, CHUNK * z.tokens * z.c, sizeof(float));
    arena_plan_add(p, CHUNK * z.depth * 2 * z.c, sizeof(float));
    arena_plan_add(p, 2 * CHUNK, sizeof(float *));
    arena_plan_add(p, 1, vit_batch_plan(&job->spec.config, VIT_INFER, CHUNK, job->spec.threads));
}

enum status measure_pass_new(struct measure *m, struct fault *f)
{
    struct arena *a = &m->job->arena;
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    m->groups.rows = arena_alloc(a, z.n + 1, sizeof(uint32_t));
    m->groups.classes = arena_alloc(a, z.n + 1, sizeof(uint32_t));
    const int composite = measure_is_composite(m->job);
    x->raw = composite ? arena_alloc_zero(a, z.n * z.k, sizeof(float)) : NULL;
    x->present = composite ? arena_alloc_zero(a, z.n * z.k, 1) : NULL;
    x->logits = arena_alloc_zero(a, z.n * z.k, sizeof(float));
    const int changes = measure_is_change(m->job), path = composite && m->trained;
    x->before = changes ? arena_alloc_zero(a, z.n * z.k, sizeof(float)) : NULL;
    x->path = path ? arena_alloc_zero(a, z.n_forget * z.k, sizeof(float)) : NULL;
    m->base_rows = arena_alloc(a, CHUNK * z.k_base, sizeof(float));
    const int other_base = m->trained && m->job->n_deltas > 0;
    x->base = other_base ? arena_alloc_zero(a, z.n_forget * z.k, sizeof(float)) : NULL;
    x->features = arena_alloc_zero(a, z.n * z.c, sizeof(float));
    x->blocks = arena_alloc_zero(a, z.n * z.c * z.depth * 2, sizeof(float));
    m->images = arena_alloc_zero(a, CHUNK * z.pixels, sizeof(float));
    m->prefix = arena_alloc_zero(a, CHUNK * z.tokens * z.c, sizeof(float));
    m->taps = arena_alloc_zero(a, CHUNK * z.depth * 2 * z.c, sizeof(float));
    m->image_rows = arena_alloc(a, CHUNK, sizeof(float *));
    m->prefix_rows = arena_alloc(a, CHUNK, sizeof(float *));
    if (!m->groups.rows || !x->logits || (changes && !x->before) || (other_base && !x->base) ||
        (path && !x->path) || (composite && (!x->raw || !x->present)) || !m->groups.classes ||
        !m->base_rows || !x->features || !x->blocks || !m->images || !m->prefix || !m->taps ||
        !m->image_rows || !m->prefix_rows)
        FAIL(f, STATUS_NO_MEMORY, "measure", "no room for the answers on %zu images", z.n);
    if (composite) {
        TRY(composite_new(m->job, COMPOSITE_CANDIDATE, CHUNK, &m->candidate, f));
        if (changes)
            TRY(composite_new(m->job, COMPOSITE_PARENT, CHUNK, &m->parent, f));
    }
    return vit_batch_new(&m->job->spec.config, VIT_INFER, CHUNK, m->job->pool, a, &m->batch);
}

/* ---------------------------------------------------------------- forward passes */

static void chunk_load(struct measure *m, uint32_t at, uint32_t n)
{
    const size_t pixels = images_floats(&m->job->images);
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    const size_t row = m->first == z.depth ? z.c : z.tokens * z.c;
    for (uint32_t i = 0; i < n; i++) {
        images_load(&m->job->images, m->groups.rows[at + i], m->images + i * pixels);
        m->image_rows[i] = m->images + i * pixels;
        m->prefix_rows[i] = m->prefix + i * row;
    }
}

/* [n, L, 2, C] of the chunk into [L * 2][n_total, C], from block `first` (counted from 0) on. */
static void chunk_keep_taps(struct measure *m, uint32_t at, uint32_t n, uint32_t first)
{
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    for (uint32_t i = 0; i < n; i++) {
        for (size_t b = (size_t)first * 2; b < z.depth * 2; b++)
            memcpy(m->answers.blocks + (b * z.n + at + i) * z.c,
                   m->taps + (i * z.depth * 2 + b) * z.c, z.c * sizeof(float));
    }
}

/* Both versions as a whole: other components may have changed in every block. */
static void chunk_run_composite(struct measure *m, uint32_t at, uint32_t n)
{
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    chunk_load(m, at, n);
    const struct composite_output now = {.served = x->logits + at * z.k,
                                         .raw = x->raw + at * z.k,
                                         .present = x->present + at * z.k,
                                         .embeddings = x->features + at * z.c,
                                         .taps = m->taps};
    composite_run(m->candidate, n, m->image_rows, &now);
    chunk_keep_taps(m, at, n, 0);
    if (!m->parent)
        return;
    const struct composite_output then = {.served = x->before + at * z.k};
    composite_run(m->parent, n, m->image_rows, &then);
}

static void chunk_run(struct measure *m, uint32_t at, uint32_t n)
{
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    struct answers *x = &m->answers;
    const struct vit_input from_pixels = {.n = n, .images = m->image_rows};
    struct vit_output out = {
        .embeddings = x->features + at * z.c, .logits = x->logits + at * z.k, .taps = m->taps};
    chunk_load(m, at, n);
    if (x->before) {
        out.logits = x->before + at * z.k;
        out.prefix = m->first <= z.depth ? m->prefix : NULL;
        out.prefix_block = m->first;
    }
    vit_forward(m->batch, &m->job->parent, &from_pixels, &out);
    chunk_keep_taps(m, at, n, 0);
    if (x->before && m->first <= z.depth) {
        /* What enters the blocks up to `first` is the same in both models. */
        const struct vit_input from_prefix = {.n = n, .first = m->first, .prefix = m->prefix_rows};
        const struct vit_output tail = {
            .embeddings = x->features + at * z.c, .logits = x->logits + at * z.k, .taps = m->taps};
        vit_forward(m->batch, &m->job->candidate, &from_prefix, &tail);
        chunk_keep_taps(m, at, n, m->first);
    } else if (x->before) {
        memcpy(x->logits + at * z.k, x->before + at * z.k, n * z.k * sizeof(float));
    }
}

/* D_f through the base head alone, into rows of all classes; the others' do not exist there. */
static void run_on_forget(struct measure *m, const struct vit_weights *w, float *to)
{
    const struct measure_sizes z = measure_sizes_of(m->job, &m->groups);
    for (uint32_t at = 0; to && at < z.n_forget; at += CHUNK) {
        const uint32_t n = z.n_forget - at < CHUNK ? (uint32_t)(z.n_forget - at) : CHUNK;
        chunk_load(m, at, n);
        const struct vit_input in = {.n = n, .images = m->image_rows};
        const struct vit_output out = {.logits = m->base_rows};
        vit_forward(m->batch, w, &in, &out);
        for (size_t i = 0; i < n; i++) {
            float *row = to + (at + i) * z.k;
            memcpy(row, m->base_rows + i * z.k_base, z.k_base * sizeof *row);
            for (size_t k = z.k_base; k < z.k; k++)
                row[k] = -INFINITY;
        }
    }
}

void measure_pass_run(struct measure *m)
{
    const uint32_t total = m->groups.n;
    for (uint32_t at = 0; at < total; at += CHUNK) {
        const uint32_t n = total - at < CHUNK ? total - at : CHUNK;
        if (m->candidate)
            chunk_run_composite(m, at, n);
        else
            chunk_run(m, at, n);
        worker_job_tell(m->job, "evaluate", at / CHUNK + 1, (total + CHUNK - 1) / CHUNK + 1);
    }
    run_on_forget(m, &m->job->base, m->answers.base);
    run_on_forget(m, &m->job->candidate, m->answers.path);
}
