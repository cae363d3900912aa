#include "learners/methods/multilane/feature_cache.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define FEATURE_MAGIC 0x46454154u
#define FEATURE_NONE  UINT32_MAX
#define FEATURE_PARTS 3 /* Xh, K, V */

/* Where the features of one image of a fetch come from and go to. */
struct feature_item {
    float *features; /* [L, 3, N, C] */
    float *inputs;   /* [L, N, C] of the image's slot; NULL: not kept in this form */
};

struct feature_cache {
    uint32_t magic;
    struct vit_config c;
    const struct vit_weights *w;
    const struct image_table *images;
    struct pool *pool;
    struct vit_batch *batch;
    size_t block; /* N C */
    int whole;
    uint32_t n_max, capacity, kept;
    uint64_t computed;
    uint32_t *slot_of; /* [n_images] */
    float *slots;      /* [capacity] of features or of inputs */
    float *work;       /* [n_max] features, where the slots do not hold them */
    float *pixels;     /* [n_max] images */
    float *qkv;        /* [threads, N, 3C] */
    float *stats;      /* [threads, 2 N] */
    /* the fetch at hand */
    struct feature_item *items;      /* [n_max] */
    struct feature_item *to_compute; /* [n_max] in the order of the stream's images */
    struct feature_item *to_repeat;  /* [n_max] from kept inputs */
    const float **inputs;            /* [n_max] of the stream */
};

/* ------------------------------------------------------------------ memory */

size_t feature_cache_image_bytes(const struct vit_config *c)
{
    return (size_t)c->depth * FEATURE_PARTS * vit_tokens(c) * c->width * sizeof(float);
}

/* What the sizes mean: the form that is kept, and how many images. */
static void feature_shape(struct feature_cache *x, const struct feature_cache_sizes *s)
{
    const size_t image = feature_cache_image_bytes(&x->c);
    const size_t fit = s->budget_bytes / image;
    x->n_max = s->n_max;
    x->block = (size_t)vit_tokens(&x->c) * x->c.width;
    x->whole = fit >= s->n_kept;
    const size_t most = x->whole ? fit : s->budget_bytes / (image / FEATURE_PARTS);
    x->capacity = most < s->n_kept ? (uint32_t)most : s->n_kept;
}

static size_t feature_slot_floats(const struct feature_cache *x)
{
    return x->c.depth * x->block * (x->whole ? FEATURE_PARTS : 1);
}

/* Either hands out memory from `arena`, or (arena NULL) only adds up. */
struct feature_taker {
    struct arena *arena;
    struct arena_plan plan;
    int failed;
};

static void *feature_take(struct feature_taker *t, size_t a, size_t b, size_t size)
{
    size_t n;
    if (!size_mul(a, b, &n))
        n = SIZE_MAX;
    if (!t->arena) {
        arena_plan_add(&t->plan, n, size);
        return NULL;
    }
    void *p = arena_alloc(t->arena, n, size);
    if (!p)
        t->failed = 1;
    return p;
}

static void feature_take_all(struct feature_taker *t,
                             struct feature_cache *x,
                             const struct feature_cache_sizes *s,
                             uint32_t threads)
{
    const size_t image = (size_t)x->c.channels * x->c.image_size * x->c.image_size;
    x->slot_of = feature_take(t, s->n_images, 1, sizeof *x->slot_of);
    x->slots = feature_take(t, x->capacity, feature_slot_floats(x), sizeof(float));
    x->work = feature_take(t, x->n_max, x->c.depth * x->block * FEATURE_PARTS, sizeof(float));
    x->pixels = feature_take(t, x->n_max, image, sizeof(float));
    x->qkv = feature_take(t, threads, 3 * x->block, sizeof(float));
    x->stats = feature_take(t, threads, 2 * (size_t)vit_tokens(&x->c), sizeof(float));
    x->items = feature_take(t, x->n_max, 1, sizeof *x->items);
    x->to_compute = feature_take(t, x->n_max, 1, sizeof *x->to_compute);
    x->to_repeat = feature_take(t, x->n_max, 1, sizeof *x->to_repeat);
    x->inputs = feature_take(t, x->n_max, 1, sizeof *x->inputs);
}

size_t feature_cache_plan(const struct vit_config *c,
                          const struct feature_cache_sizes *sizes,
                          uint32_t threads)
{
    struct feature_taker t = {0};
    struct feature_cache x = {.c = *c};
    feature_shape(&x, sizes);
    arena_plan_add(&t.plan, 1, sizeof x);
    feature_take_all(&t, &x, sizes, threads);
    const size_t own = arena_plan_bytes(&t.plan),
                 batch = vit_batch_plan(c, VIT_INFER, sizes->n_max, threads);
    return own > SIZE_MAX / 2 || batch > SIZE_MAX / 2 ? SIZE_MAX : own + batch;
}

enum status feature_cache_new(const struct vit_config *c,
                              const struct vit_weights *w,
                              const struct image_table *images,
                              const struct feature_cache_sizes *sizes,
                              struct pool *pool,
                              struct arena *arena,
                              struct feature_cache **ret_cache)
{
    const struct arena_mark mark = arena_mark(arena);
    struct feature_taker t = {.arena = arena};
    struct feature_cache *x = arena_alloc_zero(arena, 1, sizeof *x);
    enum status s = x ? STATUS_OK : STATUS_NO_MEMORY;
    if (x) {
        x->c = *c;
        x->w = w;
        x->images = images;
        x->pool = pool;
        feature_shape(x, sizes);
        feature_take_all(&t, x, sizes, pool_threads(pool));
        s = t.failed ? STATUS_NO_MEMORY
                     : vit_batch_new(c, VIT_INFER, sizes->n_max, pool, arena, &x->batch);
    }
    if (s != STATUS_OK) {
        arena_rewind(arena, mark);
        return s;
    }
    memset(x->slot_of, 0xff, sizes->n_images * sizeof *x->slot_of);
    x->magic = FEATURE_MAGIC;
    *ret_cache = x;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ computing */

static float *
feature_part(const struct feature_cache *x, const struct feature_item *m, size_t l, size_t part)
{
    return m->features + (l * FEATURE_PARTS + part) * x->block;
}

static void
feature_copy_rows(const struct feature_cache *x, const float *from, size_t ld, float *to)
{
    const size_t c = x->c.width;
    for (size_t at = 0; at < x->block; at += c, from += ld)
        memcpy(to + at, from, c * sizeof *to);
}

static void feature_observe(void *context, const struct vit_observed *o)
{
    const struct feature_cache *x = context;
    const struct feature_item *m = &x->to_compute[o->image];
    memcpy(feature_part(x, m, o->block, 0), o->xh, x->block * sizeof(float));
    feature_copy_rows(x, o->k, o->ld, feature_part(x, m, o->block, 1));
    feature_copy_rows(x, o->v, o->ld, feature_part(x, m, o->block, 2));
    if (m->inputs)
        memcpy(m->inputs + o->block * x->block, o->x, x->block * sizeof(float));
}

/* Item i of to_repeat: its features from its kept block inputs. */
static void feature_repeat(void *context, uint32_t i, uint32_t thread)
{
    const struct feature_cache *x = context;
    const struct feature_item *m = &x->to_repeat[i];
    const size_t c = x->c.width;
    float *qkv = x->qkv + thread * 3 * x->block;
    float *stats = x->stats + thread * 2 * (size_t)vit_tokens(&x->c);
    for (uint32_t l = 0; l < x->c.depth; l++) {
        vit_observe_again(&x->c, x->w, l, m->inputs + l * x->block, feature_part(x, m, l, 0), qkv,
                          stats);
        feature_copy_rows(x, qkv + c, 3 * c, feature_part(x, m, l, 1));
        feature_copy_rows(x, qkv + 2 * c, 3 * c, feature_part(x, m, l, 2));
    }
}

static void feature_load(const struct feature_cache *x,
                         uint32_t image,
                         const struct feature_change *change,
                         float *to)
{
    if (change)
        augment_load(&change->options, x->images, &change->root, change->epoch, image, to);
    else
        images_load(x->images, image, to);
}

/* The slot of an image, a fresh one if it has none and there is room; sets *ret_fresh. */
static float *feature_slot(struct feature_cache *x, uint32_t image, int *ret_fresh)
{
    uint32_t *slot = &x->slot_of[image];
    *ret_fresh = *slot == FEATURE_NONE;
    if (*ret_fresh) {
        if (x->kept == x->capacity)
            return NULL;
        *slot = x->kept++;
    }
    return x->slots + *slot * feature_slot_floats(x);
}

/* Decides for item i; returns 1 if the stream must run for it, 2 if kept inputs are at hand. */
static int feature_place(struct feature_cache *x, uint32_t image, int keep, uint32_t i)
{
    int fresh = 1;
    float *slot = keep ? feature_slot(x, image, &fresh) : NULL;
    struct feature_item *m = &x->items[i];
    *m = (struct feature_item){.features = x->work + i * x->c.depth * x->block * FEATURE_PARTS};
    if (slot && x->whole)
        m->features = slot;
    else
        m->inputs = slot;
    return fresh ? 1 : x->whole ? 0 : 2;
}

static void feature_view(const struct feature_cache *x, uint32_t n, struct pathway_features *ret)
{
    for (uint32_t l = 0; l < x->c.depth; l++)
        for (uint32_t i = 0; i < n; i++)
            ret[l * n + i] = (struct pathway_features){
                .xh = feature_part(x, &x->items[i], l, 0),
                .k = feature_part(x, &x->items[i], l, 1),
                .v = feature_part(x, &x->items[i], l, 2),
                .ld = x->c.width,
            };
}

void feature_cache_fetch(struct feature_cache *x,
                         const uint32_t *list,
                         uint32_t n,
                         const struct feature_change *change,
                         struct pathway_features *ret_features)
{
    INVARIANT(x->magic == FEATURE_MAGIC && n <= x->n_max);
    const size_t image = (size_t)x->c.channels * x->c.image_size * x->c.image_size;
    uint32_t n_compute = 0, n_repeat = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int what = feature_place(x, list[i], change == NULL, i);
        if (what == 1) {
            float *pixels = x->pixels + n_compute * image;
            feature_load(x, list[i], change, pixels);
            x->inputs[n_compute] = pixels;
            x->to_compute[n_compute++] = x->items[i];
        } else if (what == 2) {
            x->to_repeat[n_repeat++] = x->items[i];
        }
    }
    if (n_compute > 0) {
        const struct vit_input in = {.n = n_compute, .images = x->inputs};
        vit_forward(x->batch, x->w, &in,
                    &(struct vit_output){.observer = feature_observe, .observer_context = x});
    }
    pool_run(x->pool, feature_repeat, x, n_repeat);
    x->computed += n_compute;
    feature_view(x, n, ret_features);
}

struct feature_cache_counts feature_cache_counts(const struct feature_cache *x)
{
    return (struct feature_cache_counts){x->kept, x->capacity, x->whole, x->computed};
}
