#include "learners/vit/vit_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/elementwise.h"
#include "learners/nn/gelu.h"
#include "learners/nn/linear.h"
#include "learners/nn/patch_embed.h"

#include <sched.h>
#include <string.h>

/* One call of vit_forward, as its work items see it. */
struct vit_forward_pass {
    struct vit_batch *b;
    const struct vit_weights *w;
    const struct vit_input *in;
    const struct vit_output *out;
    int prefix_only;
    int observed_only; /* nothing after the last block's keys and values is asked for */
    int aside;         /* the observer works on a thread of its own */
};

/* The attention input of an image (a group of them) in one block. */
struct vit_rows {
    float *x, *xh; /* [N, C] */
    float *qkv;    /* [N, 3C] */
};

/* A work item: a shard on a thread, taken `group` images at a time. */
struct vit_forward_item {
    const struct vit_forward_pass *pass;
    struct vit_scratch *t;
    struct vit_shard s;
    size_t group;
    uint32_t thread;
};

/*
 * The patch vectors of image i, [N - 1, length].  Where they are kept for the backward pass a zero
 * row for the class token goes before them.
 */
static const float *vit_patches(const struct vit_forward_item *m, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const size_t length = b->d.patch_length, at = m->s.at + i;
    const struct patch_dims pd = {b->c.image_size, b->c.channels, b->c.patch_size,
                                  b->c.patch_channels_last};
    if (!b->patches) {
        patch_gather(&pd, m->pass->in->images[at], m->t->a);
        return m->t->a;
    }
    float *rows = b->patches + at * b->d.tokens * length;
    memset(rows, 0, length * sizeof *rows);
    if (!b->kept) {
        patch_gather(&pd, m->pass->in->images[at], rows + length);
        return rows + length;
    }
    patch_gather(&pd, m->pass->in->images[at], m->t->a);
    for (size_t r = 1; r < b->d.tokens; r++)
        memcpy(rows + r * length, m->t->a + vit_patch_of(b, at, r) * length, length * sizeof *rows);
    return rows + length;
}

/* X0 = [class token; patches W^T + b] + positions. */
static void vit_embed(const struct vit_forward_item *m, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_weights *w = m->pass->w;
    const size_t c = b->d.width, length = b->d.patch_length, rest = b->d.tokens - 1;
    float *x = vit_saved_at(b, m->t, 0, &m->s, i).x;
    const float *patches = vit_patches(m, i);
    memcpy(x, w->cls, c * sizeof *x);
    if (b->c.class_position)
        elementwise_add(x, w->pos, c);
    if (!b->kept)
        elementwise_add_row(x + c, w->pos + c, w->patch_b, rest, c);
    for (size_t r = 1; r <= rest && b->kept; r++)
        elementwise_add_row(x + r * c, w->pos + (1 + vit_patch_of(b, m->s.at + i, r)) * c,
                            w->patch_b, 1, c);
    const struct linear_dims d = {rest, length, c, length, c};
    linear_forward_add(&d, patches, w->patch_w, x + c);
}

static void vit_load_prefix(const struct vit_forward_item *m, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const size_t l = m->pass->in->first - 1;
    memcpy(vit_saved_at(b, m->t, l, &m->s, i).u, m->pass->in->prefix[m->s.at + i],
           vit_block_rows(b, l) * b->d.width * sizeof(float));
}

/*
 * Queries, keys and values of `group` images of n tokens; with `last` (the last block) the query of
 * the class rows only.
 */
static void vit_project_qkv(const struct vit_block *k,
                            const struct linear_dims *all,
                            size_t group,
                            int last,
                            const float *h,
                            float *qkv)
{
    const size_t c = all->in, n = all->rows / group;
    if (!last) {
        linear_forward(all, h, k->qkv_w, k->qkv_b, qkv);
        return;
    }
    linear_forward(&(struct linear_dims){group, c, c, n * c, n * 3 * c}, h, k->qkv_w, k->qkv_b,
                   qkv);
    linear_forward(&(struct linear_dims){all->rows, c, 2 * c, c, 3 * c}, h, k->qkv_w + c * c,
                   k->qkv_b ? k->qkv_b + c : NULL, qkv + c);
}

void vit_observe_again(const struct vit_config *c,
                       const struct vit_weights *w,
                       uint32_t l,
                       const float *x,
                       float *xh,
                       float *qkv,
                       float *stats)
{
    const size_t n = vit_tokens(c), width = c->width;
    const struct vit_block *k = &w->blocks[l];
    const struct layernorm_dims ln = {n, width, c->ln_eps};
    const struct linear_dims all = {n, width, 3 * width, width, 3 * width};
    layernorm_forward(&ln, x, k->ln1_w, k->ln1_b, xh, stats, stats + n);
    vit_project_qkv(k, &all, 1, l + 1 == c->depth, xh, qkv);
}

/* What the observer of an image is shown of block l. */
static void vit_show(const struct vit_forward_pass *pass,
                     size_t image,
                     size_t l,
                     uint32_t thread,
                     const struct vit_rows *r)
{
    const size_t c = pass->b->d.width;
    const struct vit_observed o = {.image = (uint32_t)image,
                                   .block = (uint32_t)l,
                                   .thread = thread,
                                   .x = r->x,
                                   .xh = r->xh,
                                   .q = r->qkv,
                                   .k = r->qkv + c,
                                   .v = r->qkv + 2 * c,
                                   .ld = 3 * c};
    pass->out->observer(pass->out->observer_context, &o);
}

/* Where the observed rows of block l lie beside the stream. */
static struct vit_rows vit_rows_aside(const struct vit_batch *b, size_t l)
{
    const size_t floats = b->d.tokens * b->d.width;
    const struct vit_aside *a = b->aside;
    return (struct vit_rows){a->x + l * floats, a->xh + l * floats, a->qkv + l * 3 * floats};
}

/* Shows the blocks that are ready, unless another thread is at it; returns whether all are shown.
 */
static int vit_show_ready(const struct vit_forward_pass *pass, uint32_t thread)
{
    struct vit_aside *a = pass->b->aside;
    if (atomic_exchange(&a->showing, 1) == 0) {
        unsigned l = atomic_load(&a->shown);
        for (; l < atomic_load(&a->ready); l++) {
            const struct vit_rows r = vit_rows_aside(pass->b, l);
            vit_show(pass, 0, l, thread, &r);
            atomic_store(&a->shown, l + 1);
        }
        atomic_store(&a->showing, 0);
    }
    return atomic_load(&a->shown) == pass->b->d.depth;
}

/*
 * The pool hands out its items in order, so the stream is running or done when another thread comes
 * here, and the stream waits for nobody before its end: every wait ends.
 */
static void vit_show_aside(const struct vit_forward_pass *pass, uint32_t thread)
{
    while (!vit_show_ready(pass, thread))
        sched_yield();
}

/* The rows of image i are computed: shown here, or left to the other thread. */
static void
vit_announce(const struct vit_forward_item *m, size_t l, size_t i, const struct vit_rows *r)
{
    if (!m->pass->out->observer)
        return;
    if (m->pass->aside)
        atomic_store(&m->pass->b->aside->ready, (unsigned)l + 1);
    else
        vit_show(m->pass, m->s.at + i, l, m->thread, r);
}

/*
 * U = X + attention(LN1(X)) Wo^T + bo for the group that starts at image i.  Where nobody wants U,
 * queries, keys and values are shown to the observer and that is all.
 */
static void vit_attention(const struct vit_forward_item *m, size_t l, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_block *k = &m->pass->w->blocks[l];
    const size_t c = b->d.width, n = b->d.tokens, r = vit_block_rows(b, l), rows = m->group * r;
    const struct vit_saved v = vit_saved_at(b, m->t, l, &m->s, i);
    const struct layernorm_dims ln = {m->group * n, c, b->c.ln_eps};
    const struct attention_dims ad = vit_attention_dims(b, l);
    struct vit_rows rows_of = {v.x, m->t->h, v.qkv};
    if (m->pass->aside) {
        rows_of = vit_rows_aside(b, l);
        memcpy(rows_of.x, v.x, n * c * sizeof *v.x);
    }
    layernorm_forward(&ln, v.x, k->ln1_w, k->ln1_b, rows_of.xh, v.ln1_mean, v.ln1_rstd);
    vit_project_qkv(k, &(struct linear_dims){ln.rows, c, 3 * c, c, 3 * c}, m->group,
                    l + 1 == b->d.depth, rows_of.xh, rows_of.qkv);
    vit_announce(m, l, i, &rows_of);
    if (m->pass->observed_only && l + 1 == b->d.depth)
        return;
    for (size_t j = 0; j < m->group; j++) {
        const float *qkv = rows_of.qkv + j * n * 3 * c;
        attention_forward(&ad, qkv, qkv + c, qkv + 2 * c, v.p + j * attention_probabilities(&ad),
                          v.o + j * r * c);
        elementwise_add_row(v.u + j * r * c, v.x + j * n * c, k->proj_b, r, c);
    }
    linear_forward_add(&(struct linear_dims){rows, c, c, c, c}, v.o, k->proj_w, v.u);
}

/* Next X = U + gelu(LN2(U) W1^T + c1) W2^T + c2 for the group that starts at image i. */
static void vit_ffn(const struct vit_forward_item *m, size_t l, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_block *k = &m->pass->w->blocks[l];
    const size_t c = b->d.width, f = b->d.hidden, rows = m->group * vit_block_rows(b, l);
    const struct vit_saved v = vit_saved_at(b, m->t, l, &m->s, i);
    float *next = l + 1 == b->d.depth ? b->last + (m->s.at + i) * c
                                      : vit_saved_at(b, m->t, l + 1, &m->s, i).x;
    const struct layernorm_dims ln = {rows, c, b->c.ln_eps};
    layernorm_forward(&ln, v.u, k->ln2_w, k->ln2_b, m->t->h, v.ln2_mean, v.ln2_rstd);
    linear_forward(&(struct linear_dims){rows, c, f, c, f}, m->t->h, k->fc1_w, k->fc1_b, v.z);
    gelu_forward(v.z, m->t->a, rows * f);
    elementwise_add_row(next, v.u, k->fc2_b, rows, c);
    linear_forward_add(&(struct linear_dims){rows, f, c, f, c}, m->t->a, k->fc2_w, next);
}

static void vit_write_taps(const struct vit_forward_item *m, size_t l, size_t i)
{
    const struct vit_batch *b = m->pass->b;
    const size_t c = b->d.width, rest = b->d.tokens - 1;
    const float *x = vit_saved_at(b, m->t, l, &m->s, i).x;
    float *tap = m->pass->out->taps + ((m->s.at + i) * b->d.depth + l) * 2 * c;
    memcpy(tap, x, c * sizeof *tap);
    memset(tap + c, 0, c * sizeof *tap);
    for (size_t r = 1; r <= rest; r++)
        elementwise_add(tap + c, x + r * c, c);
    elementwise_scale(tap + c, 1.0f / (float)rest, c);
}

static void vit_clear_taps(const struct vit_forward_item *m, size_t l)
{
    const struct vit_batch *b = m->pass->b;
    const size_t stride = 2 * b->d.width;
    for (size_t i = 0; i < m->s.n; i++)
        memset(m->pass->out->taps + ((m->s.at + i) * b->d.depth + l) * stride, 0,
               stride * sizeof(float));
}

static void vit_write_prefix(const struct vit_forward_item *m, size_t l)
{
    const struct vit_batch *b = m->pass->b;
    const size_t floats = vit_block_rows(b, l) * b->d.width;
    for (size_t i = 0; i < m->s.n; i++)
        memcpy(m->pass->out->prefix + (m->s.at + i) * floats, vit_saved_at(b, m->t, l, &m->s, i).u,
               floats * sizeof(float));
}

/* e = LN_final of the class rows, and the logits. */
static void vit_finish(const struct vit_forward_item *m)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_weights *w = m->pass->w;
    const struct vit_output *out = m->pass->out;
    const size_t c = b->d.width, at = m->s.at;
    float *e = b->embeddings + at * c;
    layernorm_forward(&(struct layernorm_dims){m->s.n, c, b->c.ln_eps}, b->last + at * c, w->norm_w,
                      w->norm_b, e, b->last_mean + at, b->last_rstd + at);
    if (out->embeddings)
        memcpy(out->embeddings + at * c, e, m->s.n * c * sizeof *e);
    const struct head_dims hd = vit_head_dims(b, m->s.n);
    if (out->logits)
        head_forward(&hd, e, w->head_w, w->head_b, b->inverse_norms,
                     out->logits + at * b->d.classes);
}

/* The input of the first block computed, or the U of block `first`.  Returns the next block. */
static size_t vit_enter(const struct vit_forward_item *m)
{
    const struct vit_forward_pass *pass = m->pass;
    const size_t first = pass->in->first;
    for (size_t i = 0; i < m->s.n; i++) {
        if (first == 0)
            vit_embed(m, i);
        else
            vit_load_prefix(m, i);
    }
    for (size_t l = 0; l < first && pass->out->taps; l++)
        vit_clear_taps(m, l);
    return first;
}

static void vit_forward_shard(void *context, uint32_t s, uint32_t thread)
{
    const struct vit_forward_pass *pass = context;
    const struct vit_batch *b = pass->b;
    const struct vit_shard shard = vit_shard_of(b, s);
    const struct vit_forward_item m = {pass, &b->scratch[thread], shard,
                                       b->mode == VIT_TRAIN_FULL ? shard.n : 1, thread};
    const size_t first = vit_enter(&m);
    /* `first` counts blocks from 1: the FFN of block index first - 1 comes next */
    for (size_t l = first > 0 ? first - 1 : 0; l < b->d.depth; l++) {
        const int attends = l >= first;
        for (size_t i = 0; attends && pass->out->taps && i < shard.n; i++)
            vit_write_taps(&m, l, i);
        for (size_t i = 0; attends && i < shard.n; i += m.group)
            vit_attention(&m, l, i);
        if (pass->observed_only && l + 1 == b->d.depth)
            return;
        if (pass->out->prefix && pass->out->prefix_block == l + 1) {
            vit_write_prefix(&m, l);
            if (pass->prefix_only)
                return;
        }
        for (size_t i = 0; i < shard.n; i += m.group)
            vit_ffn(&m, l, i);
    }
    vit_finish(&m);
}

/* A shard, or beside the only one its observer; who comes to the end first does what is left. */
static void vit_forward_task(void *context, uint32_t s, uint32_t thread)
{
    const struct vit_forward_pass *pass = context;
    if (s < vit_shard_count(pass->b))
        vit_forward_shard(context, s, thread);
    if (pass->aside)
        vit_show_aside(pass, thread);
}

void vit_forward(struct vit_batch *b,
                 const struct vit_weights *w,
                 const struct vit_input *in,
                 const struct vit_output *out)
{
    INVARIANT(b->magic == VIT_BATCH_MAGIC);
    INVARIANT(in->n <= b->n_max && in->first <= b->c.depth);
    INVARIANT(!out->prefix || (out->prefix_block >= 1 && out->prefix_block <= b->c.depth &&
                               out->prefix_block >= in->first));
    const int no_answers = !out->embeddings && !out->logits;
    struct vit_forward_pass pass = {.b = b,
                                    .w = w,
                                    .in = in,
                                    .out = out,
                                    .prefix_only =
                                        out->prefix && no_answers && !out->taps && !out->observer,
                                    .observed_only = out->observer && no_answers && !out->prefix};
    INVARIANT(!out->observer || b->mode == VIT_INFER);
    INVARIANT(!in->kept || (b->mode == VIT_TRAIN_FULL && in->n_kept < vit_tokens(&b->c)));
    b->n = in->n;
    b->first = in->first;
    b->kept = in->kept;
    b->d.tokens = in->kept ? in->n_kept + 1 : vit_tokens(&b->c);
    if (b->inverse_norms)
        head_inverse_norms(w->head_w, b->d.classes, b->d.width, b->inverse_norms);
    pass.aside = out->observer && b->aside && in->n == 1 && in->first == 0;
    if (pass.aside) {
        atomic_store(&b->aside->ready, 0);
        atomic_store(&b->aside->shown, 0);
    }
    pool_run(b->pool, vit_forward_task, &pass, vit_shard_count(b) + (pass.aside ? 1 : 0));
}
