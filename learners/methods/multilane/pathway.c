#include "learners/methods/multilane/pathway_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/elementwise.h"
#include "learners/math/reduce.h"
#include "learners/math/thin.h"
#include "learners/nn/layernorm.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ memory */

/* Either hands out memory from `arena`, or (arena NULL) only adds up. */
struct pathway_taker {
    struct arena *arena;
    struct arena_plan plan;
    int failed;
};

static float *pathway_take(struct pathway_taker *t, size_t rows, size_t cols)
{
    size_t n;
    if (!size_mul(rows, cols, &n))
        n = SIZE_MAX;
    if (!t->arena) {
        arena_plan_add(&t->plan, n, sizeof(float));
        return NULL;
    }
    float *p = arena_alloc_zero(t->arena, n, sizeof(float));
    if (!p)
        t->failed = 1;
    return p;
}

static void pathway_take_block(struct pathway_taker *t,
                               const struct pathway_dims *d,
                               const struct pathway_sizes *b,
                               struct pathway_block *k)
{
    const size_t rows = b->rows;
    *k = (struct pathway_block){
        .c = pathway_take(t, rows, d->width),
        .ln1_mean = pathway_take(t, rows, 1),
        .ln1_rstd = pathway_take(t, rows, 1),
        .qkv = pathway_take(t, rows, 3 * d->width),
        .a_sel = pathway_take(t, rows * b->selectors, d->row),
        .r = pathway_take(t, rows * d->heads, d->row),
        .a = pathway_take(t, rows * d->heads, d->slots),
        .u = pathway_take(t, rows, d->width),
        .ffn = {.mean = pathway_take(t, rows, 1),
                .rstd = pathway_take(t, rows, 1),
                .z = pathway_take(t, rows, d->hidden)},
    };
}

static void pathway_take_backward(struct pathway_taker *t, struct pathway *x)
{
    const size_t rows = x->bounds.rows, s = x->bounds.selectors;
    x->dc = pathway_take(t, rows, x->d.width);
    x->dqkv = pathway_take(t, rows, 3 * x->d.width);
    x->da = pathway_take(t, x->d.slots, 1);
    x->da_sel = pathway_take(t, s, x->d.row);
    x->dw = pathway_take(t, x->d.row, 1);
}

static void pathway_take_all(struct pathway_taker *t, struct pathway *x)
{
    const size_t rows = x->bounds.rows, c = x->d.width;
    for (size_t l = 0; l < x->d.depth; l++) {
        if (l == 0 || x->tape)
            pathway_take_block(t, &x->d, &x->bounds, &x->blocks[l]);
        else
            x->blocks[l] = x->blocks[0];
    }
    x->end.c = pathway_take(t, rows, c);
    x->end.mean = pathway_take(t, rows, 1);
    x->end.rstd = pathway_take(t, rows, 1);
    x->end.f = pathway_take(t, rows, c);
    x->end.n = pathway_take(t, rows, c);
    x->end.inverse = pathway_take(t, rows, 1);
    x->ffn.narrow = pathway_take(t, rows, c);
    x->ffn.wide = x->tape ? pathway_take(t, rows, x->d.hidden) : NULL;
    x->ffn.act = pathway_take(t, rows, x->d.hidden);
    x->o = pathway_take(t, rows, c);
    x->w = pathway_take(t, rows * x->d.heads, x->d.row);
    if (x->tape)
        pathway_take_backward(t, x);
}

static struct pathway
pathway_make(const struct vit_config *c, const struct pathway_sizes *sizes, int tape)
{
    return (struct pathway){
        .magic = PATHWAY_MAGIC,
        .tape = tape,
        .d = {.tokens = vit_tokens(c),
              .width = c->width,
              .hidden = c->hidden,
              .heads = c->heads,
              .head = c->width / c->heads,
              .depth = c->depth,
              .row = thin_padded(vit_tokens(c)),
              .slots = thin_padded((size_t)sizes->prompts + 1 + sizes->selectors)},
        .bounds = *sizes};
}

size_t pathway_plan(const struct vit_config *c, const struct pathway_sizes *sizes, int tape)
{
    struct pathway_taker t = {0};
    struct pathway x = pathway_make(c, sizes, tape);
    arena_plan_add(&t.plan, 1, sizeof x);
    pathway_take_all(&t, &x);
    const size_t bytes = arena_plan_bytes(&t.plan);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

enum status pathway_new(const struct vit_config *c,
                        const struct pathway_sizes *sizes,
                        int tape,
                        struct arena *arena,
                        struct pathway **ret_pathway)
{
    const struct arena_mark mark = arena_mark(arena);
    struct pathway_taker t = {.arena = arena};
    struct pathway *x = arena_alloc(arena, 1, sizeof *x);
    if (x) {
        *x = pathway_make(c, sizes, tape);
        pathway_take_all(&t, x);
    }
    if (!x || t.failed) {
        arena_rewind(arena, mark);
        return STATUS_NO_MEMORY;
    }
    *ret_pathway = x;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ forward */

struct pathway_view pathway_view_of(const struct pathway *x,
                                    const struct pathway_lane *lane,
                                    const struct pathway_features *features,
                                    size_t l,
                                    size_t row)
{
    const struct lane_options *o = lane->options;
    const struct pathway_block *b = &x->blocks[l];
    const size_t skip = o->select_cls ? 0 : 1, c = x->d.width, heads = x->d.heads;
    const size_t k = l < o->prompt_blocks ? o->prompts : 0;
    const float *prompts = k ? lane->p.prompts + l * 2 * k * c : NULL;
    return (struct pathway_view){
        .n = x->d.tokens - skip,
        .s = o->selectors,
        .k = k,
        .xh = features->xh + skip * c,
        .keys = features->k + skip * features->ld,
        .values = features->v + skip * features->ld,
        .ld = features->ld,
        .prompt_k = prompts,
        .prompt_v = k ? prompts + k * c : NULL,
        .q = b->qkv + row * 3 * c,
        .a_sel = b->a_sel + row * x->bounds.selectors * x->d.row,
        .r = b->r + row * heads * x->d.row,
        .a = b->a + row * heads * x->d.slots,
    };
}

void pathway_attach(struct pathway *x, float *c)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && !x->tape);
    for (size_t l = 0; l < x->d.depth; l++)
        x->blocks[l].c = c;
    x->end.c = c;
}

void pathway_start(struct pathway *x,
                   const struct lane_trunk *k,
                   uint32_t rows,
                   const struct pathway_lane *const *lanes)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && rows <= x->bounds.rows);
    const size_t c = x->d.width;
    for (size_t i = 0; i < rows; i++) {
        const struct lane_options *o = lanes[i]->options;
        INVARIANT(o->selectors <= x->bounds.selectors && o->prompts <= x->bounds.prompts);
        float *to = x->blocks[0].c + i * c;
        memcpy(to, k->weights->cls, c * sizeof *to);
        if (o->cls_pos && k->config->class_position)
            elementwise_add(to, k->weights->pos, c);
    }
}

/* A = softmax(Shat Xh^T / sqrt C). */
static void pathway_select(const struct pathway *x, const float *shat, const struct pathway_view *v)
{
    const size_t c = x->d.width, ld = x->d.row;
    thin_forward(&(struct thin_dims){v->s, c, v->n, c, c, ld}, shat, v->xh, NULL, v->a_sel);
    elementwise_scale(v->a_sel, 1.0f / sqrtf((float)c), v->s * ld);
    thin_softmax(v->a_sel, v->s, v->n, ld);
}

/* a = softmax of [PK q; k q; A r] tau for all heads of row i, and w = A^T a_S. */
static void
pathway_weigh(const struct pathway *x, float tau, const struct pathway_view *v, size_t i)
{
    const size_t d = x->d.head, heads = x->d.heads, slots = x->d.slots, ld = x->d.row;
    float *selected = v->a + v->k + 1, *w = x->w + i * heads * ld;
    for (size_t h = 0; h < heads; h++) {
        const float *q = v->q + h * d;
        float *a = v->a + h * slots;
        if (v->k)
            thin_forward(&(struct thin_dims){1, d, v->k, d, d, v->k}, q, v->prompt_k + h * v->k * d,
                         NULL, a);
        a[v->k] = reduce_dot(q, q + x->d.width, d);
    }
    thin_forward(&(struct thin_dims){heads, v->n, v->s, ld, ld, slots}, v->r, v->a_sel, NULL,
                 selected);
    elementwise_scale(v->a, tau, heads * slots);
    thin_softmax(v->a, heads, v->k + 1 + v->s, slots);
    memset(w, 0, heads * ld * sizeof *w);
    thin_combine(&(struct thin_dims){heads, v->s, ld, slots, ld, ld}, selected, v->a_sel, w);
}

/* o += PV^T a_P + a_c v for all heads of a row. */
static void pathway_mix(const struct pathway *x, const struct pathway_view *v, float *o)
{
    const size_t d = x->d.head;
    for (size_t h = 0; h < x->d.heads; h++, o += d) {
        const float *a = v->a + h * x->d.slots;
        if (v->k)
            thin_combine(&(struct thin_dims){1, v->k, d, v->k, d, d}, a, v->prompt_v + h * v->k * d,
                         o);
        elementwise_axpy(o, a[v->k], v->q + 2 * x->d.width + h * d, d);
    }
}

/* Rows i .. i + n - 1, all of one image: what they share is read once. */
static void pathway_attend_group(const struct pathway *x,
                                 const struct lane_trunk *k,
                                 size_t l,
                                 const struct pathway_row *row,
                                 size_t i,
                                 size_t n)
{
    const size_t c = x->d.width, d = x->d.head, ld = x->d.row, all = x->d.heads * ld;
    const struct pathway_view first = pathway_view_of(x, row[i].lane, &row[i].features, l, i);
    for (size_t j = i; j < i + n; j++) {
        const struct pathway_view v = pathway_view_of(x, row[j].lane, &row[j].features, l, j);
        pathway_select(x, row[j].lane->shat + l * v.s * c, &v);
    }
    for (size_t h = 0; h < x->d.heads; h++)
        thin_forward(&(struct thin_dims){n, d, first.n, 3 * c, first.ld, all}, first.q + h * d,
                     first.keys + h * d, NULL, first.r + h * ld);
    for (size_t j = i; j < i + n; j++) {
        const struct pathway_view v = pathway_view_of(x, row[j].lane, &row[j].features, l, j);
        pathway_weigh(x, k->config->attention_scale, &v, j);
    }
    memset(x->o + i * c, 0, n * c * sizeof(float));
    for (size_t h = 0; h < x->d.heads; h++)
        thin_combine(&(struct thin_dims){n, first.n, d, all, first.ld, c}, x->w + i * all + h * ld,
                     first.values + h * d, x->o + i * c + h * d);
    for (size_t j = i; j < i + n; j++) {
        const struct pathway_view v = pathway_view_of(x, row[j].lane, &row[j].features, l, j);
        pathway_mix(x, &v, x->o + j * c);
    }
}

/* Rows of one image that see the same tokens go together. */
static void pathway_attend(const struct pathway *x,
                           const struct lane_trunk *k,
                           size_t l,
                           uint32_t rows,
                           const struct pathway_row *row)
{
    for (uint32_t i = 0, n; i < rows; i += n) {
        n = 1;
        while (i + n < rows && row[i + n].features.xh == row[i].features.xh &&
               row[i + n].lane->options->select_cls == row[i].lane->options->select_cls)
            n++;
        pathway_attend_group(x, k, l, row, i, n);
    }
}

/* Rows that begin alike have the same query, key and value in block 1: one row stands for all. */
static uint32_t pathway_distinct(uint32_t l, uint32_t rows, const struct pathway_row *row)
{
    if (l > 0)
        return rows;
    for (uint32_t i = 1; i < rows; i++)
        if (row[i].lane->options->cls_pos != row[0].lane->options->cls_pos)
            return rows;
    return rows < 1 ? rows : 1;
}

static void pathway_project(
    struct pathway *x, const struct lane_trunk *k, uint32_t l, uint32_t rows, uint32_t distinct)
{
    const struct vit_block *w = &k->weights->blocks[l];
    const struct pathway_block *b = &x->blocks[l];
    const size_t c = x->d.width;
    layernorm_forward(&(struct layernorm_dims){rows, c, k->config->ln_eps}, b->c, w->ln1_w,
                      w->ln1_b, x->ffn.narrow, b->ln1_mean, b->ln1_rstd);
    thin_forward(&(struct thin_dims){distinct, c, 3 * c, c, c, 3 * c}, x->ffn.narrow, w->qkv_w,
                 w->qkv_b, b->qkv);
    for (size_t i = distinct; i < rows; i++)
        memcpy(b->qkv + i * 3 * c, b->qkv, 3 * c * sizeof(float));
}

void pathway_step(struct pathway *x,
                  const struct lane_trunk *k,
                  uint32_t l,
                  uint32_t rows,
                  const struct pathway_row *row)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && rows <= x->bounds.rows && l < x->d.depth);
    const struct pathway_block *b = &x->blocks[l];
    const struct vit_block *w = &k->weights->blocks[l];
    const size_t c = x->d.width;
    float *next = l + 1 == x->d.depth ? x->end.c : x->blocks[l + 1].c;
    pathway_project(x, k, l, rows, pathway_distinct(l, rows, row));
    pathway_attend(x, k, l, rows, row);
    elementwise_add_row(b->u, b->c, w->proj_b, rows, c);
    thin_forward_add(&(struct thin_dims){rows, c, c, c, c, c}, x->o, w->proj_w, b->u);
    lane_rows_ffn(k, l, rows, b->u, &b->ffn, &x->ffn, next);
}

/* n = f / max(|f|, 1e-12), or f itself. */
static void pathway_unit(const struct pathway_end *e, int normalise, size_t i, size_t c)
{
    const float *f = e->f + i * c;
    float *n = e->n + i * c;
    const float norm = (float)sqrt(reduce_squares(f, c));
    e->inverse[i] = 1.0f / (norm > PATHWAY_MIN_NORM ? norm : PATHWAY_MIN_NORM);
    memcpy(n, f, c * sizeof *n);
    if (normalise)
        elementwise_scale(n, e->inverse[i], c);
}

void pathway_finish(struct pathway *x,
                    const struct lane_trunk *k,
                    uint32_t rows,
                    const struct pathway_lane *const *lanes,
                    float *const *logits)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && rows <= x->bounds.rows);
    const struct pathway_end *e = &x->end;
    const size_t c = x->d.width;
    layernorm_forward(&(struct layernorm_dims){rows, c, k->config->ln_eps}, e->c,
                      k->weights->norm_w, k->weights->norm_b, e->f, e->mean, e->rstd);
    for (size_t i = 0; i < rows; i++) {
        const struct pathway_lane *lane = lanes[i];
        pathway_unit(e, lane->options->normalise != 0, i, c);
        thin_forward(&(struct thin_dims){1, c, lane->n_classes, c, c, lane->n_classes},
                     e->n + i * c, lane->p.head_w, lane->p.head_b, logits[i]);
    }
}

const float *pathway_embedding(const struct pathway *x, uint32_t i)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && i < x->bounds.rows);
    return x->end.f + (size_t)i * x->d.width;
}
