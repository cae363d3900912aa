#include "learners/nn/linear.h"

#include "learners/math/elementwise.h"
#include "learners/math/gemm.h"
#include "learners/math/reduce.h"

void linear_forward(
    const struct linear_dims *d, const float *x, const float *w, const float *b, float *y)
{
    struct gemm_dims g = {d->rows, d->out, d->in, d->ldx, d->in, d->ldy};
    if (b)
        elementwise_fill_rows(y, d->ldy, b, d->rows, d->out);
    gemm_nt(&g, 1.0f, x, w, b ? 1.0f : 0.0f, y);
}

void linear_forward_add(const struct linear_dims *d, const float *x, const float *w, float *y)
{
    gemm_nt(&(struct gemm_dims){d->rows, d->out, d->in, d->ldx, d->in, d->ldy}, 1.0f, x, w, 1.0f,
            y);
}

void linear_backward_input(const struct linear_dims *d, const float *dy, const float *w, float *dx)
{
    gemm_nn(&(struct gemm_dims){d->rows, d->in, d->out, d->ldy, d->in, d->ldx}, 1.0f, dy, w, 0.0f,
            dx);
}

void linear_backward_weights(
    const struct linear_dims *d, const float *dy, const float *x, float *dw, float *db)
{
    gemm_tn(&(struct gemm_dims){d->out, d->in, d->rows, d->ldy, d->ldx, d->in}, 1.0f, dy, x, 1.0f,
            dw);
    if (db)
        reduce_columns_add(db, dy, d->ldy, d->rows, d->out);
}
