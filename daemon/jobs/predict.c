#include "daemon/jobs/predict.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/call_pool.h"
#include "learners/math/pool.h"
#include "proto/limits.h"

#define PREDICTOR_MAGIC 0x44455250u
/* Images of one forward pass; more would need more scratch and gain nothing on one thread. */
#define PREDICT_BATCH 8u

/* A thread's own memory; what it is laid out for is named by the version's tag and the scope. */
struct predict_scratch {
    void *pool_memory;
    struct pool *pool; /* of one thread: the caller */
    void *memory;      /* NULL: none yet */
    size_t size;
    size_t peak; /* the largest so far */
    struct arena arena;
    struct answer_forward *forward; /* NULL: laid out for nothing */
    uint64_t tag;
    uint8_t *wanted; /* [owners] */
    float *pixels;   /* [PREDICT_BATCH, channels, S, S] */
};

struct predictor {
    uint32_t magic;
    const struct base_model *base;
    uint32_t batch_max;
    atomic_ullong count;
    atomic_ullong batches;
    atomic_ullong call_us;
    atomic_ullong bucket[CORE_STATS_BUCKETS];
    atomic_ullong scratch_bytes;
    uint32_t n_threads;
    struct predict_scratch threads[CALL_POOL_MAX_THREADS];
};

static size_t image_floats(const struct vit_config *c)
{
    return (size_t)c->channels * c->image_size * c->image_size;
}

/* ---------------------------------------------------------------- predictor */

static enum status scratch_init(struct predict_scratch *s, struct fault *f)
{
    s->pool_memory = sysio_alloc(pool_plan(1), 1);
    if (!s->pool_memory)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "no memory for the predict pool");
    return pool_init(s->pool_memory, 1, &s->pool);
}

static void scratch_drop(struct predict_scratch *s)
{
    s->forward = NULL;
    if (!s->memory)
        return;
    arena_fini(&s->arena);
    (void)munmap(s->memory, s->size);
    s->memory = NULL;
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
        const enum status st = scratch_init(&p->threads[i], f);
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
        scratch_drop(&p->threads[i]);
    }
    p->magic = 0;
    sysio_free(p);
}

uint64_t predictor_count(const struct predictor *p)
{
    return atomic_load_explicit(&p->count, memory_order_relaxed);
}

uint64_t predictor_batches(const struct predictor *p)
{
    return atomic_load_explicit(&p->batches, memory_order_relaxed);
}

void predictor_note(struct predictor *p, double seconds)
{
    size_t i = 0;
    while (i + 1 < CORE_STATS_BUCKETS && seconds > core_stats_bucket(i))
        i++;
    (void)atomic_fetch_add_explicit(&p->bucket[i], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&p->call_us, (unsigned long long)(seconds * 1e6),
                                    memory_order_relaxed);
}

void predictor_stats(const struct predictor *p, struct core_stats *ret_stats)
{
    ret_stats->predict_images = predictor_count(p);
    ret_stats->predict_calls = 0;
    /* Summed up here, so that the buckets and the count always agree. */
    for (size_t i = 0; i < CORE_STATS_BUCKETS; i++) {
        ret_stats->predict_bucket[i] = atomic_load_explicit(&p->bucket[i], memory_order_relaxed);
        ret_stats->predict_calls += ret_stats->predict_bucket[i];
    }
    ret_stats->predict_seconds =
        (double)atomic_load_explicit(&p->call_us, memory_order_relaxed) / 1e6;
    ret_stats->predict_scratch_bytes =
        atomic_load_explicit(&p->scratch_bytes, memory_order_relaxed);
}

/* ---------------------------------------------------------------- workspaces */

/* Empty memory of at least `size` bytes; what was there is gone. */
static enum status scratch_grow(struct predict_scratch *s, size_t size, struct fault *f)
{
    s->forward = NULL;
    if (s->memory && s->size >= size) {
        arena_rewind(&s->arena, (struct arena_mark){0});
        return STATUS_OK;
    }
    scratch_drop(s);
    void *memory = size < SIZE_MAX ? sysio_mmap(size, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                   : MAP_FAILED;
    if (memory == MAP_FAILED)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "no memory for %zu bytes of scratch", size);
    s->memory = memory;
    s->size = size;
    arena_init(&s->arena, memory, size);
    return STATUS_OK;
}

static enum status scratch_lay_out(struct predictor *p,
                                   struct predict_scratch *s,
                                   const struct served *served,
                                   const uint8_t *wanted,
                                   struct fault *f)
{
    const struct answer_owner *owners;
    const uint32_t n_owners = answer_owners(served->answer, &owners);
    const struct answer_wish wish = {.wanted = wanted, .n_max = p->batch_max};
    const size_t pixels = image_floats(&p->base->vit) * p->batch_max;
    struct arena_plan plan = {0};
    arena_plan_add(&plan, answer_forward_plan(served->answer, &wish, 1), 1);
    arena_plan_add(&plan, pixels, sizeof *s->pixels);
    arena_plan_add(&plan, n_owners, 1);
    TRY(scratch_grow(s, arena_plan_bytes(&plan), f));
    if (s->size > s->peak) {
        (void)atomic_fetch_add_explicit(&p->scratch_bytes, s->size - s->peak, memory_order_relaxed);
        s->peak = s->size;
    }
    s->pixels = arena_alloc(&s->arena, pixels, sizeof *s->pixels);
    s->wanted = arena_alloc(&s->arena, n_owners, 1);
    if (!s->pixels || !s->wanted)
        FAIL(f, STATUS_NO_MEMORY, "predict_threads", "the scratch plan was too small");
    memcpy(s->wanted, wanted, n_owners);
    const struct learner_tools tools = {.pool = s->pool, .arena = &s->arena};
    return answer_forward_new(served->answer, &wish, &tools, &s->forward, f);
}

/* The tag makes sure that a workspace never outlives the version whose models it points to. */
static enum status scratch_bind(struct predictor *p,
                                struct predict_scratch *s,
                                const struct served *served,
                                const uint8_t *wanted,
                                struct fault *f)
{
    const struct answer_owner *owners;
    const uint32_t n_owners = answer_owners(served->answer, &owners);
    if (s->forward && s->tag == served->tag && memcmp(s->wanted, wanted, n_owners) == 0)
        return STATUS_OK;
    s->tag = served->tag;
    const enum status st = scratch_lay_out(p, s, served, wanted, f);
    if (st != STATUS_OK)
        s->forward = NULL;
    return st;
}

/* ---------------------------------------------------------------- checks */

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
    TRY(check_shape(c, m, f));
    if (m->decision[0] != '\0' && strcmp(m->decision, "routed") != 0 &&
        strcmp(m->decision, "raw") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "decision", "must be routed or raw");
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

/* ---------------------------------------------------------------- what is asked */

/* Columns of the scope: how many, how many are live, how many are of several an image. */
struct scope_sizes {
    uint32_t columns, live, several;
};

static struct scope_sizes measure_scope(const struct served *s, const uint8_t *wanted)
{
    const struct answer_owner *owners;
    const struct answer_label *labels;
    struct scope_sizes z = {0};
    (void)answer_owners(s->answer, &owners);
    (void)answer_labels(s->answer, &labels);
    for (uint32_t k = 0; k < s->n_labels; k++) {
        if (!wanted[labels[k].owner])
            continue;
        z.columns++;
        z.live += s->live[k];
        z.several += s->live[k] && owners[labels[k].owner].several;
    }
    return z;
}

static enum status fill_columns(const struct served *s,
                                const uint8_t *wanted,
                                struct arena *arena,
                                struct predict_choice *choice,
                                struct fault *f)
{
    const struct answer_label *labels;
    uint32_t *columns = arena_alloc(arena, choice->n_columns, sizeof *columns), n = 0;
    if (!columns)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "scope", "no memory for %u labels", choice->n_columns);
    (void)answer_labels(s->answer, &labels);
    for (uint32_t k = 0; k < s->n_labels; k++)
        if (wanted[labels[k].owner])
            columns[n++] = k;
    choice->columns = columns;
    return STATUS_OK;
}

enum status predict_choose(const struct served *s,
                           const struct wire_predict *m,
                           struct arena *arena,
                           struct predict_choice *ret_choice,
                           struct fault *f)
{
    const struct answer_owner *owners;
    const uint32_t n_owners = answer_owners(s->answer, &owners);
    uint8_t *wanted = arena_alloc(arena, n_owners, 1);
    if (!wanted)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "scope", "no memory for %u owners", n_owners);
    TRY(answer_scope(s->answer, m->scope, wanted, f));
    const struct scope_sizes z = measure_scope(s, wanted);
    if (z.live == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "scope", "every label of this scope is forgotten");
    struct predict_choice c = {.wanted = wanted,
                               .decision =
                                   strcmp(m->decision, "raw") == 0 ? ANSWER_RAW : ANSWER_ROUTED,
                               .n_columns = z.columns,
                               .top = m->top > 0      ? m->top
                                      : z.several > 0 ? z.several
                                                      : 1,
                               .present = m->top == 0};
    if (c.top > z.live)
        c.top = z.live;
    TRY(fill_columns(s, wanted, arena, &c, f));
    *ret_choice = c;
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

/* One column of a ranking. */
struct column_score {
    double p;
    uint32_t column;
};

/* One call on its way; lists in the call's arena. */
struct predict_call {
    const struct served *s;
    const struct predict_choice *choice;
    const struct wire_predict *m;
    const struct predict_frames *frames;
    struct predict_scratch *scratch;
    double *p;                        /* [columns] */
    uint8_t *present;                 /* [columns] */
    struct column_score *order;       /* [columns] */
    struct wire_scored_label *labels; /* [n, top] */
    float *logits;                    /* [n, columns]; NULL: not asked for */
    struct wire_prediction *items;    /* [n] */
};

static enum status call_init(struct predict_call *c, struct arena *arena, struct fault *f)
{
    const size_t n = c->frames->n, columns = c->choice->n_columns;
    c->p = arena_alloc(arena, columns, sizeof *c->p);
    c->present = arena_alloc(arena, columns, sizeof *c->present);
    c->order = arena_alloc(arena, columns, sizeof *c->order);
    c->labels = arena_alloc(arena, n * c->choice->top, sizeof *c->labels);
    c->logits = c->m->logits ? arena_alloc(arena, n * columns, sizeof *c->logits) : NULL;
    if (!c->p || !c->present || !c->order || !c->labels || (c->m->logits && !c->logits))
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "top", "the answer is too large");
    return STATUS_OK;
}

static int compare_scores(const void *a, const void *b)
{
    const struct column_score *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return (x->column > y->column) - (x->column < y->column);
}

/* Live columns of an image, most probable first; returns how many of them the answer has. */
static uint32_t
rank_columns(struct predict_call *c, enum answer_decision decision, const float *row)
{
    uint32_t n = 0, present = 0;
    answer_probabilities(c->scratch->forward, decision, row, c->s->live, c->p, c->present);
    for (uint32_t k = 0; k < c->choice->n_columns; k++) {
        if (!c->s->live[c->choice->columns[k]])
            continue;
        c->order[n++] = (struct column_score){c->p[k], k};
        present += c->present[k];
    }
    qsort(c->order, n, sizeof *c->order, compare_scores);
    if (!c->choice->present)
        return n < c->choice->top ? n : c->choice->top;
    if (present == 0)
        return 1;
    present = 0;
    for (uint32_t i = 0; i < n; i++)
        if (c->present[c->order[i].column])
            c->order[present++] = c->order[i];
    return present;
}

static void fill_item(struct predict_call *c,
                      uint32_t image,
                      enum answer_decision decision,
                      const float *row,
                      const float *logits)
{
    const size_t columns = c->choice->n_columns;
    struct wire_scored_label *labels = c->labels + (size_t)image * c->choice->top;
    struct wire_prediction *item = &c->items[image];
    const struct answer_owner *owners;
    const struct answer_label *table;
    (void)answer_owners(c->s->answer, &owners);
    (void)answer_labels(c->s->answer, &table);
    const uint32_t n = rank_columns(c, decision, row);
    INVARIANT(n >= 1 && n <= c->choice->top);
    for (uint32_t i = 0; i < n; i++) {
        const struct answer_label *label = &table[c->choice->columns[c->order[i].column]];
        labels[i] = (struct wire_scored_label){
            .label = label->name, .owner = owners[label->owner].name, .p = (float)c->order[i].p};
    }
    *item = (struct wire_prediction){.labels = labels, .n_labels = n, .expert = labels[0].owner};
    if (!c->logits)
        return;
    float *to = c->logits + image * columns;
    memcpy(to, logits, columns * sizeof *to);
    item->logits = to;
    item->n_logits = columns;
}

static void load_images(struct predict_call *c, uint32_t from, uint32_t n, const float **images)
{
    const size_t n_floats = image_floats(&c->s->base->vit);
    for (uint32_t i = 0; i < n; i++) {
        float *to = c->scratch->pixels + i * n_floats;
        if (c->m->pixel == WIRE_PIXEL_F32)
            memcpy(to, c->frames->at[from + i], n_floats * sizeof *to);
        else
            load_u8(c->s->base, c->frames->at[from + i], to);
        images[i] = to;
    }
}

static enum status run_batch(struct predict_call *c, uint32_t from, uint32_t n, struct fault *f)
{
    const float *images[PREDICT_BATCH];
    const size_t columns = c->choice->n_columns, total = n * columns;
    struct answer_scores a;
    load_images(c, from, n, images);
    answer_run(c->scratch->forward, n, images, &a);
    if (first_odd((const uint8_t *)a.raw, total) < total ||
        first_odd((const uint8_t *)a.routed, total) < total)
        FAIL(f, STATUS_INVALID_ARGUMENT, "pixel", "the pixels are too large: the model overflows");
    const int raw = c->choice->decision == ANSWER_RAW;
    for (uint32_t i = 0; i < n; i++)
        fill_item(c, from + i, raw ? ANSWER_RAW : a.decision,
                  (raw ? a.raw : a.routed) + i * columns, a.raw + i * columns);
    return STATUS_OK;
}

enum status predict_run(struct predictor *p,
                        uint32_t thread,
                        const struct served *s,
                        const struct predict_choice *choice,
                        const struct wire_predict *m,
                        const struct predict_frames *frames,
                        struct arena *arena,
                        struct wire_prediction *items,
                        struct fault *f)
{
    INVARIANT(p->magic == PREDICTOR_MAGIC && thread < p->n_threads);
    struct predict_call c = {.s = s,
                             .choice = choice,
                             .m = m,
                             .frames = frames,
                             .scratch = &p->threads[thread],
                             .items = items};
    TRY(call_init(&c, arena, f));
    TRY(scratch_bind(p, c.scratch, s, choice->wanted, f));
    for (uint32_t from = 0; from < frames->n; from += p->batch_max) {
        const uint32_t left = frames->n - from;
        TRY(run_batch(&c, from, left < p->batch_max ? left : p->batch_max, f));
        (void)atomic_fetch_add_explicit(&p->batches, 1, memory_order_relaxed);
    }
    (void)atomic_fetch_add_explicit(&p->count, frames->n, memory_order_relaxed);
    return STATUS_OK;
}
