/* Memory of a batch: one function lays it out, for the plan and for the arena alike. */
#include "learners/vit/vit_internal.h"

#include "daemon/base/invariant.h"

#define VIT_SHARD_ROWS 400         /* rows of a shard's products, about */
#define VIT_SHARD_MAX  16          /* images */
#define VIT_LANE_BYTES (32u << 20) /* gradient lanes together, about: they should stay in cache */
#define VIT_LANE_MAX   16

/* Either hands out memory from `arena`, or (arena NULL) only adds up. */
struct vit_taker {
    struct arena *arena;
    struct arena_plan plan;
    int failed;
};

static void *vit_take_bytes(struct vit_taker *t, size_t count, size_t size)
{
    if (!t->arena) {
        arena_plan_add(&t->plan, count, size);
        return NULL;
    }
    void *p = arena_alloc(t->arena, count, size);
    if (!p)
        t->failed = 1;
    return p;
}

static float *vit_take(struct vit_taker *t, size_t images, size_t rows, size_t cols)
{
    size_t n;
    if (!size_mul(images, rows, &n) || !size_mul(n, cols, &n))
        n = SIZE_MAX;
    return vit_take_bytes(t, n, sizeof(float));
}

uint32_t vit_shard_count(const struct vit_batch *b)
{
    return (b->n + b->shard_images - 1) / b->shard_images;
}

struct vit_shard vit_shard_of(const struct vit_batch *b, uint32_t s)
{
    size_t at = (size_t)s * b->shard_images, left = b->n - at;
    return (struct vit_shard){at, left < b->shard_images ? left : b->shard_images};
}

size_t vit_patch_of(const struct vit_batch *b, size_t i, size_t r)
{
    return b->kept ? b->kept[i * (b->d.tokens - 1) + r - 1] : r - 1;
}

size_t vit_block_rows(const struct vit_batch *b, size_t l)
{
    return l + 1 == b->d.depth ? 1 : b->d.tokens;
}

struct attention_dims vit_attention_dims(const struct vit_batch *b, size_t l)
{
    return (struct attention_dims){.n_q = vit_block_rows(b, l),
                                   .n_kv = b->d.tokens,
                                   .heads = b->d.heads,
                                   .width = b->d.width / b->d.heads,
                                   .ld = 3 * b->d.width,
                                   .ldo = b->d.width,
                                   .scale = b->c.attention_scale};
}

struct head_dims vit_head_dims(const struct vit_batch *b, size_t n)
{
    return (struct head_dims){.n = n,
                              .width = b->d.width,
                              .classes = b->d.classes,
                              .cosine = b->c.head == VIT_HEAD_COSINE,
                              .scale = b->c.head_scale};
}

/* Image i of the shard, in the batch-wide array if there is one. */
static float *vit_pick(float *saved, float *own, size_t stride, size_t at, size_t i, int keeps_i)
{
    if (saved)
        return saved + (at + i) * stride;
    return own + (keeps_i ? i * stride : 0);
}

struct vit_saved vit_saved_at(const struct vit_batch *b,
                              const struct vit_scratch *t,
                              size_t l,
                              const struct vit_shard *s,
                              size_t i)
{
    const struct vit_saved *k = &b->saved[l], *own = &t->own;
    const size_t n = b->d.tokens, c = b->d.width, r = vit_block_rows(b, l), at = s->at;
    return (struct vit_saved){
        .x = vit_pick(k->x, own->x, n * c, at, i, 1),
        .ln1_mean = vit_pick(k->ln1_mean, own->ln1_mean, n, at, i, 0),
        .ln1_rstd = vit_pick(k->ln1_rstd, own->ln1_rstd, n, at, i, 0),
        .qkv = vit_pick(k->qkv, own->qkv, n * 3 * c, at, i, 0),
        .p = vit_pick(k->p, own->p, b->d.heads * r * n, at, i, 0),
        .o = vit_pick(k->o, own->o, r * c, at, i, 0),
        .u = vit_pick(k->u, own->u, r * c, at, i, 1),
        .ln2_mean = vit_pick(k->ln2_mean, own->ln2_mean, r, at, i, 0),
        .ln2_rstd = vit_pick(k->ln2_rstd, own->ln2_rstd, r, at, i, 0),
        .z = vit_pick(k->z, own->z, r * b->d.hidden, at, i, 0),
    };
}

/* images: how many images x and u hold; each: how many the others hold. */
static void vit_take_attention(struct vit_taker *t,
                               const struct vit_batch *b,
                               size_t rows,
                               size_t images,
                               size_t each,
                               struct vit_saved *k)
{
    const size_t n = b->d.tokens, c = b->d.width;
    k->x = vit_take(t, images, n, c);
    k->ln1_mean = vit_take(t, each, n, 1);
    k->ln1_rstd = vit_take(t, each, n, 1);
    k->qkv = vit_take(t, each, n, 3 * c);
    k->p = vit_take(t, each, b->d.heads * rows, n);
    k->o = vit_take(t, each, rows, c);
}

static void vit_take_ffn(struct vit_taker *t,
                         const struct vit_batch *b,
                         size_t rows,
                         size_t images,
                         size_t each,
                         struct vit_saved *k)
{
    k->u = vit_take(t, images, rows, b->d.width);
    k->ln2_mean = vit_take(t, each, rows, 1);
    k->ln2_rstd = vit_take(t, each, rows, 1);
    k->z = vit_take(t, each, rows, b->d.hidden);
}

/* What a training mode keeps.  The attention of block 1 is behind every LoRA gradient. */
static void vit_take_saved(struct vit_taker *t, struct vit_batch *b)
{
    for (size_t l = 0; l < b->d.depth && b->mode != VIT_INFER; l++) {
        const size_t rows = vit_block_rows(b, l);
        if (l > 0 || b->mode == VIT_TRAIN_FULL)
            vit_take_attention(t, b, rows, b->n_max, b->n_max, &b->saved[l]);
        vit_take_ffn(t, b, rows, b->n_max, b->n_max, &b->saved[l]);
    }
    if (b->mode == VIT_TRAIN_FULL)
        b->patches = vit_take(t, b->n_max, b->d.tokens, b->d.patch_length);
    b->last = vit_take(t, b->n_max, b->d.width, 1);
    b->last_mean = vit_take(t, b->n_max, 1, 1);
    b->last_rstd = vit_take(t, b->n_max, 1, 1);
    b->embeddings = vit_take(t, b->n_max, b->d.width, 1);
    if (b->c.head == VIT_HEAD_COSINE)
        b->inverse_norms = vit_take(t, b->d.classes, 1, 1);
}

static void vit_take_backward(struct vit_taker *t, const struct vit_batch *b, struct vit_scratch *k)
{
    const size_t n = b->shard_images, rows = n * b->d.tokens;
    const struct head_dims head = vit_head_dims(b, n);
    k->grad = vit_take(t, rows, b->d.width, 1);
    k->grad_row = vit_take(t, n, b->d.width, 1);
    k->narrow = vit_take(t, rows, b->d.width, 1);
    k->norm = vit_take(t, rows, b->d.width, 1);
    k->wide = vit_take(t, rows, b->d.hidden, 1);
    k->act = vit_take(t, rows, b->d.hidden, 1);
    k->dqkv = vit_take(t, rows, 3 * b->d.width, 1);
    k->dp = vit_take(t, b->d.heads, b->d.tokens, b->d.tokens);
    if (b->mode == VIT_TRAIN_LORA)
        k->thin = vit_take(t, rows, VIT_MAX_RANK, 1);
    k->head = vit_take(t, head_scratch(&head), 1, 1);
}

static void vit_take_scratch(struct vit_taker *t, const struct vit_batch *b, struct vit_scratch *k)
{
    const size_t widest = b->d.hidden > b->d.patch_length ? b->d.hidden : b->d.patch_length;
    const size_t group = b->mode == VIT_TRAIN_FULL ? b->shard_images : 1;
    k->h = vit_take(t, group * b->d.tokens, b->d.width, 1);
    k->a = vit_take(t, group * b->d.tokens, widest, 1);
    if (b->mode != VIT_TRAIN_FULL)
        vit_take_attention(t, b, b->d.tokens, b->shard_images, 1, &k->own);
    if (b->mode == VIT_INFER)
        vit_take_ffn(t, b, b->d.tokens, b->shard_images, 1, &k->own);
    else
        vit_take_backward(t, b, k);
}

/* Gradient lanes: a power of two, so that 2^k threads share the work evenly. */
static void vit_take_lanes(struct vit_taker *t, struct vit_batch *b)
{
    const struct vit_dims *d = &b->d;
    if (b->mode == VIT_INFER)
        return;
    b->lane_floats = b->mode == VIT_TRAIN_FULL
                         ? vit_weights_floats(&b->c)
                         : d->depth * VIT_MAX_RANK * 2 * (d->width + d->hidden);
    b->lanes = VIT_LANE_MAX;
    while (b->lanes > 2 && b->lane_floats > VIT_LANE_BYTES / sizeof(float) / b->lanes)
        b->lanes /= 2;
    b->lane_memory = vit_take(t, b->lanes, b->lane_floats, 1);
}

static uint32_t vit_shard_images(const struct vit_config *c)
{
    uint32_t n = VIT_SHARD_ROWS / vit_tokens(c);
    return n < 1 ? 1 : n > VIT_SHARD_MAX ? VIT_SHARD_MAX : n;
}

static struct vit_batch
vit_batch_make(const struct vit_config *c, enum vit_mode mode, uint32_t n_max)
{
    return (struct vit_batch){.magic = VIT_BATCH_MAGIC,
                              .mode = mode,
                              .c = *c,
                              .d = {.tokens = vit_tokens(c),
                                    .width = c->width,
                                    .hidden = c->hidden,
                                    .heads = c->heads,
                                    .classes = c->classes,
                                    .depth = c->depth,
                                    .patch_length = vit_patch_length(c)},
                              .n_max = n_max,
                              .shard_images = vit_shard_images(c)};
}

static void vit_batch_take(struct vit_taker *t, struct vit_batch *b, uint32_t threads)
{
    vit_take_saved(t, b);
    vit_take_lanes(t, b);
    b->scratch = vit_take_bytes(t, threads, sizeof *b->scratch);
    for (uint32_t i = 0; i < threads && !t->failed; i++) {
        struct vit_scratch k = {0};
        vit_take_scratch(t, b, &k);
        if (b->scratch)
            b->scratch[i] = k;
    }
}

size_t
vit_batch_plan(const struct vit_config *c, enum vit_mode mode, uint32_t n_max, uint32_t threads)
{
    struct vit_taker t = {0};
    struct vit_batch b = vit_batch_make(c, mode, n_max);
    vit_take_bytes(&t, 1, sizeof b);
    vit_batch_take(&t, &b, threads);
    size_t bytes = arena_plan_bytes(&t.plan);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

enum status vit_batch_new(const struct vit_config *c,
                          enum vit_mode mode,
                          uint32_t n_max,
                          struct pool *pool,
                          struct arena *arena,
                          struct vit_batch **ret_batch)
{
    struct vit_taker t = {.arena = arena};
    const struct arena_mark mark = arena_mark(arena);
    TRY(vit_config_check(c, NULL));
    if (n_max < 1)
        return STATUS_INVALID_ARGUMENT;
    struct vit_batch *b = vit_take_bytes(&t, 1, sizeof *b);
    if (b) {
        *b = vit_batch_make(c, mode, n_max);
        b->pool = pool;
        vit_batch_take(&t, b, pool_threads(pool));
    }
    if (t.failed) {
        arena_rewind(arena, mark);
        return STATUS_NO_MEMORY;
    }
    *ret_batch = b;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ beside the stream */

size_t vit_batch_watch_plan(const struct vit_config *c, uint32_t threads)
{
    const size_t rows = (size_t)c->depth * vit_tokens(c);
    struct arena_plan p = {0};
    if (threads < 2)
        return 0;
    arena_plan_add(&p, 1, sizeof(struct vit_aside));
    for (int i = 0; i < 2; i++)
        arena_plan_add(&p, rows * c->width, sizeof(float));
    arena_plan_add(&p, rows * 3 * c->width, sizeof(float));
    return arena_plan_bytes(&p);
}

enum status vit_batch_watch(struct vit_batch *b, struct arena *arena)
{
    INVARIANT(b->magic == VIT_BATCH_MAGIC && b->mode == VIT_INFER);
    const struct arena_mark mark = arena_mark(arena);
    const size_t floats = b->d.depth * b->d.tokens * b->d.width;
    if (pool_threads(b->pool) < 2)
        return STATUS_OK;
    struct vit_aside *a = arena_alloc_zero(arena, 1, sizeof *a);
    float *x = arena_alloc(arena, floats, sizeof *x), *xh = arena_alloc(arena, floats, sizeof *x);
    float *qkv = arena_alloc(arena, 3 * floats, sizeof *qkv);
    if (!a || !x || !xh || !qkv) {
        arena_rewind(arena, mark);
        return STATUS_NO_MEMORY;
    }
    atomic_init(&a->ready, 0);
    atomic_init(&a->shown, 0);
    atomic_init(&a->showing, 0);
    a->x = x;
    a->xh = xh;
    a->qkv = qkv;
    b->aside = a;
    return STATUS_OK;
}
