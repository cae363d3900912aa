#include "learners/methods/multilane/pathway_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/elementwise.h"
#include "learners/math/gemm.h"
#include "learners/math/reduce.h"
#include "learners/math/softmax.h"
#include "learners/math/thin.h"
#include "learners/nn/layernorm.h"
#include "learners/nn/linear.h"

#include <math.h>
#include <string.h>

/* One head of one row: its parts of the row's arrays. */
struct pathway_head_grad {
    size_t h;
    float tau;
    const float *a;  /* [K + 1 + S] attention */
    const float *g;  /* [D] gradient of o */
    float *dqkv;     /* [3C] of the row */
    float *prompt_k; /* [K, D] gradients of the head's prompts, NULL without */
    float *prompt_v;
};

/* dw = V g; da = [PV g; v g; A dw]; from what a weighs.  Adds a_P g^T to the value prompts. */
static void pathway_values_backward(const struct pathway *x,
                                    const struct pathway_view *v,
                                    const struct pathway_head_grad *k)
{
    const size_t d = x->d.head, c = x->d.width, n = v->n, at = k->h * d;
    float *dv = k->dqkv + 2 * c + at;
    thin_forward(&(struct thin_dims){1, d, n, d, v->ld, n}, k->g, v->values + at, NULL, x->dw);
    for (size_t j = 0; j < v->k; j++) {
        x->da[j] = reduce_dot(v->prompt_v + (k->h * v->k + j) * d, k->g, d);
        elementwise_axpy(k->prompt_v + j * d, k->a[j], k->g, d);
    }
    x->da[v->k] = reduce_dot(v->q + 2 * c + at, k->g, d);
    memset(dv, 0, d * sizeof *dv);
    elementwise_axpy(dv, k->a[v->k], k->g, d);
    thin_forward(&(struct thin_dims){1, n, v->s, n, x->d.row, v->s}, x->dw, v->a_sel, NULL,
                 x->da + v->k + 1);
    for (size_t j = 0; j < v->s; j++)
        elementwise_axpy(x->da_sel + j * x->d.row, k->a[v->k + 1 + j], x->dw, n);
}

/* y = da through the softmax, into queries, keys, key prompts and A. */
static void pathway_keys_backward(const struct pathway *x,
                                  const struct pathway_view *v,
                                  const struct pathway_head_grad *k)
{
    const size_t d = x->d.head, c = x->d.width, n = v->n, at = k->h * d, slots = v->k + 1 + v->s;
    float *y = x->da, *dq = k->dqkv + at, *dk = k->dqkv + c + at;
    const float *q = v->q + at, *r = v->r + k->h * x->d.row;
    softmax_backward(y, k->a, 1, slots);
    elementwise_scale(y, k->tau, slots);
    /* dw is free again: the tokens' weights in dq */
    memset(x->dw, 0, n * sizeof *x->dw);
    memset(dq, 0, d * sizeof *dq);
    thin_combine(&(struct thin_dims){1, v->s, n, v->s, x->d.row, n}, y + v->k + 1, v->a_sel, x->dw);
    thin_combine(&(struct thin_dims){1, n, d, n, v->ld, d}, x->dw, v->keys + at, dq);
    elementwise_axpy(dq, y[v->k], v->q + c + at, d);
    memset(dk, 0, d * sizeof *dk);
    elementwise_axpy(dk, y[v->k], q, d);
    for (size_t j = 0; j < v->k; j++) {
        elementwise_axpy(dq, y[j], v->prompt_k + (k->h * v->k + j) * d, d);
        elementwise_axpy(k->prompt_k + j * d, y[j], q, d);
    }
    for (size_t j = 0; j < v->s; j++)
        elementwise_axpy(x->da_sel + j * x->d.row, y[v->k + 1 + j], r, n);
}

/* Row i of block l: from the gradient of its o to dqkv, prompts and Shat_l. */
static void pathway_attend_backward(const struct pathway *x,
                                    const struct lane_trunk *k,
                                    size_t l,
                                    size_t i,
                                    const struct pathway_view *v,
                                    const struct pathway_gradient *g)
{
    const size_t c = x->d.width, d = x->d.head, ld = x->d.row;
    float *prompts = v->k ? g->prompts + l * 2 * v->k * c : NULL;
    memset(x->da_sel, 0, v->s * ld * sizeof(float));
    for (size_t h = 0; h < x->d.heads; h++) {
        const struct pathway_head_grad head = {
            .h = h,
            .tau = k->config->attention_scale,
            .a = v->a + h * x->d.slots,
            .g = x->o + i * c + h * d,
            .dqkv = x->dqkv + i * 3 * c,
            .prompt_k = prompts ? prompts + h * v->k * d : NULL,
            .prompt_v = prompts ? prompts + v->k * c + h * v->k * d : NULL,
        };
        pathway_values_backward(x, v, &head);
        pathway_keys_backward(x, v, &head);
    }
    softmax_backward(x->da_sel, v->a_sel, v->s, ld);
    gemm_nn(&(struct gemm_dims){v->s, c, v->n, ld, c, c}, 1.0f / sqrtf((float)c), x->da_sel, v->xh,
            1.0f, g->shat + l * v->s * c);
}

/* Logits to the class rows after the last block. */
static void pathway_end_backward(struct pathway *x,
                                 const struct lane_trunk *k,
                                 uint32_t rows,
                                 const struct pathway_lane *lane,
                                 const float *dz,
                                 const float *de,
                                 const struct pathway_gradient *g)
{
    const struct pathway_end *e = &x->end;
    const size_t c = x->d.width, m = lane->n_classes;
    const struct linear_dims head = {rows, c, m, c, m};
    float *df = x->ffn.narrow;
    linear_backward_weights(&head, dz, e->n, g->head_w, g->head_b);
    linear_backward_input(&head, dz, lane->p.head_w, df);
    for (size_t i = 0; i < rows && lane->options->normalise; i++) {
        float *row = df + i * c;
        const float *n = e->n + i * c;
        if (e->inverse[i] < 1.0f / PATHWAY_MIN_NORM)
            elementwise_axpy(row, -reduce_dot(n, row, c), n, c);
        elementwise_scale(row, e->inverse[i], c);
    }
    if (de)
        elementwise_add(df, de, rows * c);
    memset(x->dc, 0, rows * c * sizeof(float));
    layernorm_backward_input(&(struct layernorm_dims){rows, c, k->config->ln_eps}, df, e->c,
                             k->weights->norm_w, e->mean, e->rstd, x->dc);
}

static void pathway_block_backward(struct pathway *x,
                                   const struct lane_trunk *k,
                                   size_t l,
                                   uint32_t rows,
                                   const struct pathway_lane *lane,
                                   const struct pathway_features *features,
                                   const struct pathway_gradient *g)
{
    const struct pathway_block *b = &x->blocks[l];
    const struct vit_block *w = &k->weights->blocks[l];
    const size_t c = x->d.width;
    lane_rows_ffn_backward(k, l, rows, b->u, &b->ffn, &x->ffn, x->dc);
    linear_backward_input(&(struct linear_dims){rows, c, c, c, c}, x->dc, w->proj_w, x->o);
    for (uint32_t i = 0; i < rows; i++) {
        const struct pathway_view v = pathway_view_of(x, lane, &features[i], l, i);
        pathway_attend_backward(x, k, l, i, &v, g);
    }
    if (l == 0)
        return; /* the class vector is frozen */
    linear_backward_input(&(struct linear_dims){rows, c, 3 * c, c, 3 * c}, x->dqkv, w->qkv_w,
                          x->ffn.narrow);
    layernorm_backward_input(&(struct layernorm_dims){rows, c, k->config->ln_eps}, x->ffn.narrow,
                             b->c, w->ln1_w, b->ln1_mean, b->ln1_rstd, x->dc);
}

void pathway_backward(struct pathway *x,
                      const struct lane_trunk *k,
                      uint32_t rows,
                      const struct pathway_lane *lane,
                      const struct pathway_features *features,
                      const float *dz,
                      const float *de,
                      const struct pathway_gradient *g)
{
    INVARIANT(x->magic == PATHWAY_MAGIC && x->tape && rows <= x->bounds.rows);
    pathway_end_backward(x, k, rows, lane, dz, de, g);
    for (size_t l = x->d.depth; l-- > 0;)
        pathway_block_backward(x, k, l, rows, lane, features + l * rows, g);
}
