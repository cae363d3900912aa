#include "learners/methods/multilane/lane_rows.h"

#include "learners/math/elementwise.h"
#include "learners/math/thin.h"
#include "learners/nn/gelu.h"
#include "learners/nn/layernorm.h"
#include "learners/nn/linear.h"

void lane_rows_ffn(const struct lane_trunk *k,
                   size_t l,
                   size_t rows,
                   const float *u,
                   const struct lane_ffn_tape *tape,
                   const struct lane_ffn_scratch *t,
                   float *next)
{
    const size_t c = k->config->width, f = k->config->hidden;
    const struct vit_block *b = &k->weights->blocks[l];
    const struct layernorm_dims ln = {rows, c, k->config->ln_eps};
    layernorm_forward(&ln, u, b->ln2_w, b->ln2_b, t->narrow, tape->mean, tape->rstd);
    thin_forward(&(struct thin_dims){rows, c, f, c, c, f}, t->narrow, b->fc1_w, b->fc1_b, tape->z);
    gelu_forward(tape->z, t->act, rows * f);
    elementwise_add_row(next, u, b->fc2_b, rows, c);
    thin_forward_add(&(struct thin_dims){rows, f, c, f, f, c}, t->act, b->fc2_w, next);
}

void lane_rows_ffn_backward(const struct lane_trunk *k,
                            size_t l,
                            size_t rows,
                            const float *u,
                            const struct lane_ffn_tape *tape,
                            const struct lane_ffn_scratch *t,
                            float *d)
{
    const size_t c = k->config->width, f = k->config->hidden;
    const struct vit_block *b = &k->weights->blocks[l];
    const struct layernorm_dims ln = {rows, c, k->config->ln_eps};
    linear_backward_input(&(struct linear_dims){rows, f, c, f, c}, d, b->fc2_w, t->wide);
    gelu_backward(tape->z, t->wide, t->act, rows * f);
    linear_backward_input(&(struct linear_dims){rows, c, f, c, f}, t->wide, b->fc1_w, t->narrow);
    layernorm_backward_input(&ln, t->narrow, u, b->ln2_w, tape->mean, tape->rstd, d);
}
