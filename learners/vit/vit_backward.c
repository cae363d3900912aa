#include "learners/vit/vit_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/elementwise.h"
#include "learners/math/gemm.h"
#include "learners/math/reduce.h"
#include "learners/nn/gelu.h"
#include "learners/nn/linear.h"

#include <string.h>

/* One call of a backward function, as its work items see it. */
struct vit_backward_pass {
    struct vit_batch *b;
    const struct vit_weights *w;
    const struct vit_output_grad *dout;
    const struct vit_lora *lora; /* NULL: all weights */
    size_t stop;                 /* block whose FFN ends the pass; SIZE_MAX with all weights */
};

/* A work item: a shard on a thread, adding to a lane's gradients. */
struct vit_backward_item {
    const struct vit_backward_pass *pass;
    struct vit_scratch *t;
    struct vit_shard s;
    struct vit_weights *full;    /* one of these two is NULL */
    struct vit_lora_block *lora; /* [L] */
};

static size_t vit_rows(const struct vit_backward_item *m, size_t l)
{
    return m->s.n * vit_block_rows(m->pass->b, l);
}

/* Gradient of the residual stream behind block l: class rows only behind the last. */
static float *vit_stream(const struct vit_backward_item *m, size_t l)
{
    return l + 1 == m->pass->b->d.depth ? m->t->grad_row : m->t->grad;
}

static struct vit_saved vit_shard_saved(const struct vit_backward_item *m, size_t l)
{
    return vit_saved_at(m->pass->b, m->t, l, &m->s, 0);
}

/* Through the head and the final layer norm to the class rows. */
static void vit_backward_head(const struct vit_backward_item *m)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_weights *w = m->pass->w;
    const struct vit_output_grad *dout = m->pass->dout;
    const size_t c = b->d.width, at = m->s.at, n = m->s.n;
    float *de = m->t->narrow;
    memset(de, 0, n * c * sizeof *de);
    if (dout->dembeddings)
        memcpy(de, dout->dembeddings + at * c, n * c * sizeof *de);
    const struct head_dims hd = vit_head_dims(b, n);
    const struct head_gradient hg = {.e = b->embeddings + at * c,
                                     .w = w->head_w,
                                     .inverse_norms = b->inverse_norms,
                                     .dz = dout->dlogits ? dout->dlogits + at * hd.classes : NULL,
                                     .de = de,
                                     .dw = m->full ? m->full->head_w : NULL,
                                     .db = m->full ? m->full->head_b : NULL,
                                     .scratch = m->t->head};
    if (dout->dlogits)
        head_backward(&hd, &hg);
    const struct layernorm_dims ln = {n, c, b->c.ln_eps};
    const float *x = b->last + at * c, *mean = b->last_mean + at, *rstd = b->last_rstd + at;
    memset(m->t->grad_row, 0, n * c * sizeof(float));
    layernorm_backward_input(&ln, de, x, w->norm_w, mean, rstd, m->t->grad_row);
    if (m->full)
        layernorm_backward_weights(&ln, de, x, mean, rstd, m->full->norm_w, m->full->norm_b);
}

/*
 * Gradients of one low-rank pair, y = x (W + s B A)^T with dy [rows, out], x [rows, in]:
 * dB += s dy^T (x A^T), dA += s (dy B)^T x, by products of rank r.
 */
struct vit_low_rank {
    size_t rows, in, out, r;
    float scale;
};

static void vit_backward_low_rank(const struct vit_low_rank *d,
                                  const float *dy,
                                  const float *x,
                                  const float *a,
                                  const float *b,
                                  float *thin,
                                  float *da,
                                  float *db)
{
    gemm_nt(&(struct gemm_dims){d->rows, d->r, d->in, d->in, d->in, d->r}, 1.0f, x, a, 0.0f, thin);
    gemm_tn(&(struct gemm_dims){d->out, d->r, d->rows, d->out, d->r, d->r}, d->scale, dy, thin,
            1.0f, db);
    gemm_nn(&(struct gemm_dims){d->rows, d->r, d->out, d->out, d->r, d->r}, 1.0f, dy, b, 0.0f,
            thin);
    gemm_tn(&(struct gemm_dims){d->r, d->in, d->rows, d->r, d->in, d->in}, d->scale, thin, x, 1.0f,
            da);
}

static int vit_awake(const struct vit_backward_item *m, size_t l)
{
    return m->pass->lora && m->pass->lora->blocks[l].awake;
}

/* Gradients of the second FFN map: dy is the stream behind the block, x the GELU's output. */
static void
vit_backward_fc2(const struct vit_backward_item *m, size_t l, const float *dy, const float *x)
{
    const struct vit_dims *d = &m->pass->b->d;
    const size_t rows = vit_rows(m, l);
    if (m->full)
        linear_backward_weights(
            &(struct linear_dims){rows, d->hidden, d->width, d->hidden, d->width}, dy, x,
            m->full->blocks[l].fc2_w, m->full->blocks[l].fc2_b);
    if (vit_awake(m, l)) {
        const struct vit_lora *lora = m->pass->lora;
        const struct vit_low_rank r = {rows, d->hidden, d->width, lora->rank, lora->scale};
        const struct vit_lora_block *k = &lora->blocks[l];
        vit_backward_low_rank(&r, dy, x, k->a2, k->b2, m->t->thin, m->lora[l].a2, m->lora[l].b2);
    }
}

/* Gradients of the first FFN map: dy before GELU, x the normalised stream. */
static void
vit_backward_fc1(const struct vit_backward_item *m, size_t l, const float *dy, const float *x)
{
    const struct vit_dims *d = &m->pass->b->d;
    const size_t rows = vit_rows(m, l);
    if (m->full)
        linear_backward_weights(
            &(struct linear_dims){rows, d->width, d->hidden, d->width, d->hidden}, dy, x,
            m->full->blocks[l].fc1_w, m->full->blocks[l].fc1_b);
    if (vit_awake(m, l)) {
        const struct vit_lora *lora = m->pass->lora;
        const struct vit_low_rank r = {rows, d->width, d->hidden, lora->rank, lora->scale};
        const struct vit_lora_block *k = &lora->blocks[l];
        vit_backward_low_rank(&r, dy, x, k->a1, k->b1, m->t->thin, m->lora[l].a1, m->lora[l].b1);
    }
}

/* From the stream behind block l to that before its FFN, in place. */
static void vit_backward_ffn(const struct vit_backward_item *m, size_t l)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_block *k = &m->pass->w->blocks[l];
    const struct vit_saved v = vit_shard_saved(m, l);
    const size_t c = b->d.width, f = b->d.hidden, rows = vit_rows(m, l);
    const struct layernorm_dims ln = {rows, c, b->c.ln_eps};
    float *g = vit_stream(m, l), *dz = m->t->wide;
    linear_backward_input(&(struct linear_dims){rows, f, c, f, c}, g, k->fc2_w, dz);
    gelu_backward(v.z, dz, m->t->act, rows * f);
    vit_backward_fc2(m, l, g, m->t->act);
    if (m->full || vit_awake(m, l)) {
        layernorm_apply(&ln, v.u, k->ln2_w, k->ln2_b, v.ln2_mean, v.ln2_rstd, m->t->norm);
        vit_backward_fc1(m, l, dz, m->t->norm);
    }
    if (l == m->pass->stop)
        return;
    float *dg = m->t->narrow;
    linear_backward_input(&(struct linear_dims){rows, c, f, c, f}, dz, k->fc1_w, dg);
    layernorm_backward_input(&ln, dg, v.u, k->ln2_w, v.ln2_mean, v.ln2_rstd, g);
    if (m->full)
        layernorm_backward_weights(&ln, dg, v.u, v.ln2_mean, v.ln2_rstd, m->full->blocks[l].ln2_w,
                                   m->full->blocks[l].ln2_b);
}

/* dqkv of every image of the shard from do; in the last block dq has the class row only. */
static void vit_backward_heads(const struct vit_backward_item *m, size_t l, const float *dy)
{
    const struct vit_batch *b = m->pass->b;
    const size_t c = b->d.width, r = vit_block_rows(b, l);
    const struct attention_dims ad = vit_attention_dims(b, l);
    for (size_t i = 0; i < m->s.n; i++) {
        const struct vit_saved v = vit_saved_at(b, m->t, l, &m->s, i);
        float *dqkv = m->t->dqkv + i * b->d.tokens * 3 * c;
        attention_backward(&ad, &(struct attention_gradient){.q = v.qkv,
                                                             .k = v.qkv + c,
                                                             .v = v.qkv + 2 * c,
                                                             .p = v.p,
                                                             .dy = dy + i * r * c,
                                                             .dp = m->t->dp,
                                                             .dq = dqkv,
                                                             .dk = dqkv + c,
                                                             .dv = dqkv + 2 * c});
    }
}

/* Gradients of the map to q, k, v; x holds LN1 of all rows of the shard. */
static void vit_backward_qkv_weights(const struct vit_backward_item *m, size_t l, const float *x)
{
    const struct vit_dims *d = &m->pass->b->d;
    const struct vit_block *k = &m->full->blocks[l];
    const size_t c = d->width, n = d->tokens, r = vit_block_rows(m->pass->b, l);
    const float *dy = m->t->dqkv;
    if (r == n) {
        linear_backward_weights(&(struct linear_dims){m->s.n * n, c, 3 * c, c, 3 * c}, dy, x,
                                k->qkv_w, k->qkv_b);
        return;
    }
    linear_backward_weights(&(struct linear_dims){m->s.n, c, c, n * c, n * 3 * c}, dy, x, k->qkv_w,
                            k->qkv_b);
    linear_backward_weights(&(struct linear_dims){m->s.n * n, c, 2 * c, c, 3 * c}, dy + c, x,
                            k->qkv_w + c * c, k->qkv_b ? k->qkv_b + c : NULL);
}

/* dh [n N, C] = dqkv Wqkv. */
static void vit_backward_qkv_input(const struct vit_backward_item *m, size_t l, float *dh)
{
    const struct vit_dims *d = &m->pass->b->d;
    const float *w = m->pass->w->blocks[l].qkv_w, *dy = m->t->dqkv;
    const size_t c = d->width, n = d->tokens, r = vit_block_rows(m->pass->b, l);
    if (r == n) {
        linear_backward_input(&(struct linear_dims){m->s.n * n, c, 3 * c, c, 3 * c}, dy, w, dh);
        return;
    }
    linear_backward_input(&(struct linear_dims){m->s.n * n, c, 2 * c, c, 3 * c}, dy + c, w + c * c,
                          dh);
    gemm_nn(&(struct gemm_dims){m->s.n, c, c, n * 3 * c, c, n * c}, 1.0f, dy, w, 1.0f, dh);
}

/* The stream before the attention starts as that behind it: rows of classes spread over tokens. */
static void vit_spread_class_rows(const struct vit_backward_item *m)
{
    const struct vit_dims *d = &m->pass->b->d;
    memset(m->t->grad, 0, m->s.n * d->tokens * d->width * sizeof(float));
    for (size_t i = 0; i < m->s.n; i++)
        memcpy(m->t->grad + i * d->tokens * d->width, m->t->grad_row + i * d->width,
               d->width * sizeof(float));
}

/* From the stream behind the attention of block l to the block's input. */
static void vit_backward_attention(const struct vit_backward_item *m, size_t l)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_block *k = &m->pass->w->blocks[l];
    const struct vit_saved v = vit_shard_saved(m, l);
    const size_t c = b->d.width, rows = vit_rows(m, l);
    const struct linear_dims pd = {rows, c, c, c, c};
    const struct layernorm_dims ln = {m->s.n * b->d.tokens, c, b->c.ln_eps};
    const float *g = vit_stream(m, l);
    float *dy = m->t->narrow, *dh = m->t->narrow;
    if (m->full)
        linear_backward_weights(&pd, g, v.o, m->full->blocks[l].proj_w, m->full->blocks[l].proj_b);
    linear_backward_input(&pd, g, k->proj_w, dy);
    vit_backward_heads(m, l, dy);
    if (m->full) {
        layernorm_apply(&ln, v.x, k->ln1_w, k->ln1_b, v.ln1_mean, v.ln1_rstd, m->t->norm);
        vit_backward_qkv_weights(m, l, m->t->norm);
    }
    vit_backward_qkv_input(m, l, dh);
    if (l + 1 == b->d.depth)
        vit_spread_class_rows(m);
    layernorm_backward_input(&ln, dh, v.x, k->ln1_w, v.ln1_mean, v.ln1_rstd, m->t->grad);
    if (m->full)
        layernorm_backward_weights(&ln, dh, v.x, v.ln1_mean, v.ln1_rstd, m->full->blocks[l].ln1_w,
                                   m->full->blocks[l].ln1_b);
}

/* Adds the gradient of the class and mean tokens read at the input of block l. */
static void vit_backward_taps(const struct vit_backward_item *m, size_t l)
{
    const struct vit_batch *b = m->pass->b;
    const size_t c = b->d.width, n = b->d.tokens;
    const float share = 1.0f / (float)(n - 1);
    for (size_t i = 0; i < m->s.n; i++) {
        const float *tap = m->pass->dout->dtaps + ((m->s.at + i) * b->d.depth + l) * 2 * c;
        float *g = m->t->grad + i * n * c;
        elementwise_add(g, tap, c);
        for (size_t r = 1; r < n; r++)
            elementwise_axpy(g + r * c, share, tap + c, c);
    }
}

/* Gradients of patch map, class token and positions from that of X0. */
static void vit_backward_embed(const struct vit_backward_item *m)
{
    const struct vit_batch *b = m->pass->b;
    const struct vit_weights *w = m->full;
    const size_t c = b->d.width, n = b->d.tokens, length = b->d.patch_length;
    const float *g = m->t->grad;
    /* the kept patches have a zero row for the class token, so one product does all images */
    linear_backward_weights(&(struct linear_dims){m->s.n * n, length, c, length, c}, g,
                            b->patches + m->s.at * n * length, w->patch_w, NULL);
    for (size_t i = 0; i < m->s.n; i++, g += n * c) {
        elementwise_add(w->cls, g, c);
        if (b->c.class_position)
            elementwise_add(w->pos, g, c);
        if (!b->kept)
            elementwise_add(w->pos + c, g + c, (n - 1) * c);
        for (size_t r = 1; r < n && b->kept; r++)
            elementwise_add(w->pos + (1 + vit_patch_of(b, m->s.at + i, r)) * c, g + r * c, c);
        reduce_columns_add(w->patch_b, g + c, c, n - 1, c);
    }
}

static void vit_backward_shard(const struct vit_backward_item *m)
{
    const struct vit_batch *b = m->pass->b;
    vit_backward_head(m);
    for (size_t l = b->d.depth; l-- > 0;) {
        vit_backward_ffn(m, l);
        if (l == m->pass->stop)
            return;
        vit_backward_attention(m, l);
        if (m->pass->dout->dtaps)
            vit_backward_taps(m, l);
    }
    vit_backward_embed(m);
}

/* Lays a lane's low-rank gradients out over its memory. */
static void
vit_map_lora(const struct vit_batch *b, uint32_t r, float *memory, struct vit_lora_block *blocks)
{
    const size_t c = b->d.width * r, f = b->d.hidden * r;
    for (size_t l = 0; l < b->d.depth; l++, memory += 2 * (c + f))
        blocks[l] = (struct vit_lora_block){
            .a1 = memory, .b1 = memory + c, .a2 = memory + c + f, .b2 = memory + c + 2 * f};
}

static size_t vit_lane_used(const struct vit_backward_pass *pass)
{
    const struct vit_dims *d = &pass->b->d;
    if (!pass->lora)
        return pass->b->lane_floats;
    return d->depth * pass->lora->rank * 2 * (d->width + d->hidden);
}

/* All shards of one lane, in order. */
static void vit_backward_lane(void *context, uint32_t lane, uint32_t thread)
{
    const struct vit_backward_pass *pass = context;
    struct vit_batch *b = pass->b;
    float *memory = b->lane_memory + lane * b->lane_floats;
    struct vit_weights full;
    struct vit_lora_block lora[VIT_MAX_DEPTH];
    memset(memory, 0, vit_lane_used(pass) * sizeof *memory);
    if (pass->lora)
        vit_map_lora(b, pass->lora->rank, memory, lora);
    else
        vit_weights_map(&b->c, memory, &full);
    for (uint32_t s = lane; s < vit_shard_count(b); s += b->lanes) {
        const struct vit_backward_item m = {.pass = pass,
                                            .t = &b->scratch[thread],
                                            .s = vit_shard_of(b, s),
                                            .full = pass->lora ? NULL : &full,
                                            .lora = pass->lora ? lora : NULL};
        vit_backward_shard(&m);
    }
}

static uint32_t vit_lanes_used(const struct vit_batch *b)
{
    return vit_shard_count(b) < b->lanes ? vit_shard_count(b) : b->lanes;
}

/* Sums over lanes, tensor by tensor. */
struct vit_lane_sum {
    const struct vit_batch *b;
    const struct vit_tensor *tensors;
    float *const *grads;
};

static void vit_sum_tensor(void *context, uint32_t i, uint32_t thread)
{
    (void)thread;
    const struct vit_lane_sum *sum = context;
    const struct vit_tensor *t = &sum->tensors[i];
    for (uint32_t lane = 0; lane < vit_lanes_used(sum->b); lane++)
        elementwise_add(sum->grads[i], sum->b->lane_memory + lane * sum->b->lane_floats + t->offset,
                        t->rows * t->cols);
}

void vit_backward_full(struct vit_batch *b,
                       const struct vit_weights *w,
                       const struct vit_output_grad *dout,
                       struct vit_weights *grad)
{
    INVARIANT(b->magic == VIT_BATCH_MAGIC && b->mode == VIT_TRAIN_FULL && b->first == 0);
    struct vit_backward_pass pass = {.b = b, .w = w, .dout = dout, .stop = SIZE_MAX};
    pool_run(b->pool, vit_backward_lane, &pass, vit_lanes_used(b));
    struct vit_tensor tensors[VIT_MAX_TENSORS];
    float *grads[VIT_MAX_TENSORS];
    const size_t n = vit_tensors(&b->c, tensors, VIT_MAX_TENSORS);
    vit_weights_list(&b->c, grad, grads);
    struct vit_lane_sum sum = {b, tensors, grads};
    pool_run(b->pool, vit_sum_tensor, &sum, (uint32_t)n);
}

/* Adds every lane's gradients of one block. */
static void vit_sum_lora(const struct vit_backward_pass *pass, struct vit_lora *grad)
{
    const struct vit_batch *b = pass->b;
    const uint32_t r = pass->lora->rank;
    struct vit_lora_block lane[VIT_MAX_DEPTH];
    for (uint32_t i = 0; i < vit_lanes_used(b); i++) {
        vit_map_lora(b, r, b->lane_memory + i * b->lane_floats, lane);
        for (size_t l = pass->stop; l < b->d.depth; l++) {
            if (!pass->lora->blocks[l].awake)
                continue;
            elementwise_add(grad->blocks[l].a1, lane[l].a1, r * b->d.width);
            elementwise_add(grad->blocks[l].b1, lane[l].b1, r * b->d.hidden);
            elementwise_add(grad->blocks[l].a2, lane[l].a2, r * b->d.hidden);
            elementwise_add(grad->blocks[l].b2, lane[l].b2, r * b->d.width);
        }
    }
}

void vit_backward_lora(struct vit_batch *b,
                       const struct vit_weights *w,
                       const struct vit_lora *lora,
                       const struct vit_output_grad *dout,
                       struct vit_lora *grad)
{
    INVARIANT(b->magic == VIT_BATCH_MAGIC && b->mode == VIT_TRAIN_LORA);
    INVARIANT(lora->rank >= 1 && lora->rank <= VIT_MAX_RANK && grad->rank == lora->rank);
    size_t stop = 0;
    while (stop < b->d.depth && !lora->blocks[stop].awake)
        stop++;
    if (stop == b->d.depth)
        return;
    INVARIANT(stop + 1 >= b->first);
    struct vit_backward_pass pass = {.b = b, .w = w, .dout = dout, .lora = lora, .stop = stop};
    pool_run(b->pool, vit_backward_lane, &pass, vit_lanes_used(b));
    vit_sum_lora(&pass, grad);
}
