#include "daemon/jobs/predict.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/call_pool.h"
#include "learners/math/pool.h"
#include "proto/limits.h"

#define PREDICTOR_MAGIC 0x44455250u
/* Images of one forward pass; more would need more scratch and gain nothing on one thread. */
#define PREDICT_BATCH 8u

struct predict_scratch {
    void *pool_memory;
    struct pool *pool; /* of one thread: the caller */
    void *memory;
    struct arena arena;
    struct vit_batch *batch;
    float *pixels; /* [PREDICT_BATCH, channels, S, S] */
};

struct predictor {
    uint32_t magic;
    const struct base_model *base;
    uint32_t batch_max;
    atomic_ullong count;
    uint32_t n_threads;
    struct predict_scratch threads[CALL_POOL_MAX_THREADS];
};

/* ---------------------------------------------------------------- scratch */

static size_t image_floats(const struct vit_config *c)
{
    return (size_t)c->channels * c->image_size * c->image_size;
}

static enum status
scratch_new(struct predict_scratch *s, const struct vit_config *c, uint32_t n_max, struct fault *f)
{
    struct arena_plan plan = {0};
    arena_plan_add(&plan, vit_batch_plan(c, VIT_INFER, n_max, 1), 1);
    arena_plan_add(&plan, image_floats(c) * n_max, sizeof(float));
    const size_t size = arena_plan_bytes(&plan);
    s->pool_memory = sysio_alloc(pool_plan(1), 1);
    s->memory = sysio_alloc(size, 1);
    if (!s->pool_memory || !s->memory)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "no memory for %zu bytes of scratch", size);
    arena_init(&s->arena, s->memory, size);
    TRY(pool_init(s->pool_memory, 1, &s->pool));
    TRY(vit_batch_new(c, VIT_INFER, n_max, s->pool, &s->arena, &s->batch));
    s->pixels = arena_alloc(&s->arena, image_floats(c) * n_max, sizeof(float));
    if (!s->pixels)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "the scratch plan was too small");
    return STATUS_OK;
}

enum status predictor_new(const struct base_model *base,
                          uint32_t n_threads,
                          uint32_t batch_max,
                          struct predictor **ret_predictor,
                          struct fault *f)
{
    INVARIANT(n_threads >= 1 && n_threads <= CALL_POOL_MAX_THREADS);
    struct predictor *p = sysio_alloc(1, sizeof *p);
    if (!p)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "no memory for the predict pool");
    p->magic = PREDICTOR_MAGIC;
    p->base = base;
    p->batch_max = batch_max < PREDICT_BATCH ? batch_max : PREDICT_BATCH;
    p->n_threads = n_threads;
    for (uint32_t i = 0; i < n_threads; i++) {
        const enum status st = scratch_new(&p->threads[i], &base->vit, p->batch_max, f);
        if (st != STATUS_OK) {
            predictor_free(p);
            return st;
        }
    }
    *ret_predictor = p;
    return STATUS_OK;
}

void predictor_free(struct predictor *p)
{
    if (!p)
        return;
    INVARIANT(p->magic == PREDICTOR_MAGIC);
    for (uint32_t i = 0; i < p->n_threads; i++) {
        pool_fini(p->threads[i].pool);
        sysio_free(p->threads[i].pool_memory);
        sysio_free(p->threads[i].memory);
    }
    p->magic = 0;
    sysio_free(p);
}

uint64_t predictor_count(const struct predictor *p)
{
    return atomic_load_explicit(&p->count, memory_order_relaxed);
}

/* ---------------------------------------------------------------- checks */

static enum status check_scope(const struct wire_predict *m, struct fault *f)
{
    const char *scope = m->scope;
    if (scope[0] != '\0' && strcmp(scope, "base") != 0 && strcmp(scope, "all") != 0) {
        if (strcmp(scope, "lanes") == 0)
            FAIL(f, STATUS_NOT_FOUND, "scope", "this model has no lanes");
        if (strncmp(scope, "stream:", 7) == 0)
            FAIL(f, STATUS_NOT_FOUND, "scope", "there is no stream of that name");
        FAIL(f, STATUS_INVALID_ARGUMENT, "scope", "must be base, lanes, stream:NAME or all");
    }
    const char *d = m->decision;
    if (d[0] != '\0' && strcmp(d, "routed") != 0 && strcmp(d, "raw") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "decision", "must be routed or raw");
    return STATUS_OK;
}

static enum status
check_shape(const struct vit_config *c, const struct wire_predict *m, struct fault *f)
{
    if (m->height != c->image_size || m->width != c->image_size)
        FAIL(f, STATUS_INVALID_ARGUMENT, m->height != c->image_size ? "height" : "width",
             "images are %ux%u, the model takes %ux%u", m->height, m->width, c->image_size,
             c->image_size);
    if (m->channels != c->channels)
        FAIL(f, STATUS_INVALID_ARGUMENT, "channels", "images have %u channels, the model takes %u",
             m->channels, c->channels);
    return STATUS_OK;
}

/* Number of the first value that is NaN or infinite, or n. */
static size_t first_odd(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, bytes + i * sizeof x, sizeof x);
        if (!isfinite(x))
            return i;
    }
    return n;
}

enum status predict_check(const struct base_model *base,
                          const struct wire_predict *m,
                          const struct predict_frames *frames,
                          struct fault *f)
{
    const struct vit_config *c = &base->vit;
    if (m->images == 0 || m->images > LIMIT_PREDICT_IMAGES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%u images, a call takes 1 to %u", m->images,
             LIMIT_PREDICT_IMAGES);
    if (frames->n != m->images)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%u images, %u frames", m->images, frames->n);
    TRY(check_scope(m, f));
    TRY(check_shape(c, m, f));
    const size_t n = image_floats(c);
    const size_t want = m->pixel == WIRE_PIXEL_F32 ? n * sizeof(float) : n;
    for (uint32_t i = 0; i < frames->n; i++) {
        if (frames->size[i] != want)
            FAIL(f, STATUS_INVALID_ARGUMENT, "pixel",
                 "image %u has %zu bytes, its size and type ask for %zu", i, frames->size[i], want);
        const size_t odd = m->pixel == WIRE_PIXEL_F32 ? first_odd(frames->at[i], n) : n;
        if (odd < n)
            FAIL(f, STATUS_INVALID_ARGUMENT, "pixel", "image %u: value %zu is NaN or infinite", i,
                 odd);
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- computation */

/* u8 [H,W,C] to normalised float [C,H,W]. */
static void load_u8(const struct base_model *base, const uint8_t *from, float *to)
{
    const size_t area = (size_t)base->vit.image_size * base->vit.image_size;
    const size_t channels = base->vit.channels;
    for (size_t i = 0; i < area; i++)
        for (size_t c = 0; c < channels; c++)
            to[c * area + i] = base->scale[c] * (float)from[i * channels + c] + base->shift[c];
}

enum status predict_logits(struct predictor *p,
                           uint32_t thread,
                           const struct served *s,
                           const struct wire_predict *m,
                           const struct predict_frames *frames,
                           float *logits,
                           struct fault *f)
{
    INVARIANT(p->magic == PREDICTOR_MAGIC && thread < p->n_threads);
    struct predict_scratch *scratch = &p->threads[thread];
    const size_t n_floats = image_floats(&p->base->vit);
    for (uint32_t from = 0; from < frames->n; from += p->batch_max) {
        const uint32_t left = frames->n - from;
        const uint32_t n = left < p->batch_max ? left : p->batch_max;
        const float *images[PREDICT_BATCH];
        for (uint32_t i = 0; i < n; i++) {
            float *to = scratch->pixels + i * n_floats;
            if (m->pixel == WIRE_PIXEL_F32)
                memcpy(to, frames->at[from + i], n_floats * sizeof *to);
            else
                load_u8(p->base, frames->at[from + i], to);
            images[i] = to;
        }
        const struct vit_input in = {.n = n, .images = images};
        const struct vit_output out = {.logits = logits + (size_t)from * s->n_classes};
        vit_forward(scratch->batch, &s->weights, &in, &out);
    }
    const size_t total = (size_t)frames->n * s->n_classes;
    if (first_odd((const uint8_t *)logits, total) < total)
        FAIL(f, STATUS_INVALID_ARGUMENT, "pixel", "the pixels are too large: the model overflows");
    (void)atomic_fetch_add_explicit(&p->count, frames->n, memory_order_relaxed);
    return STATUS_OK;
}

/* Softmax over the live labels in double, one row for each of them. */
static uint32_t
live_softmax(const struct served *s, const float *logits, struct predict_score *rows)
{
    double top = -HUGE_VAL, sum = 0.0;
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->n_classes; k++)
        if (s->live[k] && (double)logits[k] > top)
            top = (double)logits[k];
    for (uint32_t k = 0; k < s->n_classes; k++) {
        if (!s->live[k])
            continue;
        rows[n] = (struct predict_score){.p = exp((double)logits[k] - top), .label = k};
        sum += rows[n].p;
        n++;
    }
    for (uint32_t i = 0; i < n; i++)
        rows[i].p /= sum;
    return n;
}

static int compare_scores(const void *a, const void *b)
{
    const struct predict_score *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

uint32_t predict_rank(const struct served *s,
                      const float *logits,
                      uint32_t top,
                      struct predict_score *scratch,
                      struct wire_scored_label *items)
{
    const uint32_t live = live_softmax(s, logits, scratch);
    const uint32_t n = top < live ? top : live;
    qsort(scratch, live, sizeof *scratch, compare_scores);
    for (uint32_t i = 0; i < n; i++) {
        const struct version_label *label = &s->manifest->labels[scratch[i].label];
        items[i] = (struct wire_scored_label){
            .label = label->name, .owner = label->owner, .p = (float)scratch[i].p};
    }
    return n;
}
