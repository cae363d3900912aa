#include "learners/methods/gslora/prototype_means.h"

#include <string.h>

#define MEANS_CHUNK 64 /* images of one pass */

size_t prototype_means_plan(const struct vit_config *c, uint32_t threads)
{
    const size_t pixels = (size_t)c->channels * c->image_size * c->image_size;
    const size_t widest = c->width > c->classes ? c->width : c->classes;
    const size_t batch = vit_batch_plan(c, VIT_INFER, MEANS_CHUNK, threads);
    struct arena_plan p = {0};
    arena_plan_add(&p, batch, 1);
    arena_plan_add(&p, MEANS_CHUNK * pixels, sizeof(float));
    arena_plan_add(&p, MEANS_CHUNK * widest, sizeof(float));
    arena_plan_add(&p, c->classes * widest, sizeof(double));
    return arena_plan_bytes(&p);
}

/* What one computation works with. */
struct means {
    const struct prototype_means_job *job;
    struct vit_batch *batch;
    size_t width;  /* P */
    float *pixels; /* [MEANS_CHUNK, channels, S, S] */
    float *rows;   /* [MEANS_CHUNK, P] */
    double *sums;  /* [K, P] */
};

static enum status
means_new(struct means *m, struct pool *pool, struct arena *arena, struct fault *f)
{
    const struct vit_config *c = m->job->config;
    TRY(vit_batch_new(c, VIT_INFER, MEANS_CHUNK, pool, arena, &m->batch));
    m->width = m->job->space == GSLORA_PROTO_LOGITS ? c->classes : c->width;
    m->pixels = arena_alloc(arena, MEANS_CHUNK * images_floats(m->job->images), sizeof(float));
    m->rows = arena_alloc(arena, MEANS_CHUNK * m->width, sizeof(float));
    m->sums = arena_alloc_zero(arena, c->classes * m->width, sizeof(double));
    if (!m->pixels || !m->rows || !m->sums)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "the memory given is smaller than planned");
    return STATUS_OK;
}

static void means_add(struct means *m, const uint32_t *list, uint32_t n, uint64_t *counts)
{
    const struct image_table *images = m->job->images;
    const size_t floats = images_floats(images);
    const float *inputs[MEANS_CHUNK];
    for (uint32_t i = 0; i < n; i++) {
        images_load(images, list[i], m->pixels + i * floats);
        inputs[i] = m->pixels + i * floats;
    }
    const struct vit_input in = {.n = n, .images = inputs};
    struct vit_output out = {0};
    if (m->job->space == GSLORA_PROTO_LOGITS)
        out.logits = m->rows;
    else
        out.embeddings = m->rows;
    vit_forward(m->batch, m->job->weights, &in, &out);
    for (uint32_t i = 0; i < n; i++) {
        const size_t label = (size_t)images->labels[list[i]];
        counts[label]++;
        for (size_t j = 0; j < m->width; j++)
            m->sums[label * m->width + j] += (double)m->rows[i * m->width + j];
    }
}

enum status prototype_means_compute(const struct prototype_means_job *job,
                                    struct pool *pool,
                                    struct arena *arena,
                                    float *means,
                                    uint64_t *counts,
                                    struct fault *f)
{
    const struct vit_config *c = job->config;
    const struct image_shape shape = {c->image_size, c->channels, c->classes};
    TRY(images_check(job->images, &shape, f));
    TRY(images_check_list(job->images, job->list, job->n, "prototypes", f));
    const struct arena_mark mark = arena_mark(arena);
    struct means m = {.job = job};
    const enum status s = means_new(&m, pool, arena, f);
    if (s == STATUS_OK) {
        memset(counts, 0, c->classes * sizeof *counts);
        for (uint32_t at = 0; at < job->n; at += MEANS_CHUNK) {
            const uint32_t left = job->n - at;
            means_add(&m, job->list + at, left < MEANS_CHUNK ? left : MEANS_CHUNK, counts);
        }
        for (size_t i = 0; i < c->classes * m.width; i++) {
            const uint64_t count = counts[i / m.width];
            means[i] = count ? (float)(m.sums[i] / (double)count) : 0.0f;
        }
    }
    arena_rewind(arena, mark);
    return s;
}
