#include "learners/nn/attention.h"

#include "learners/math/gemm.h"
#include "learners/math/softmax.h"

size_t attention_probabilities(const struct attention_dims *d)
{
    return d->heads * d->n_q * d->n_kv;
}

void attention_forward(const struct attention_dims *d,
                       const float *q,
                       const float *k,
                       const float *v,
                       float *p,
                       float *o)
{
    const struct gemm_dims scores = {d->n_q, d->n_kv, d->width, d->ld, d->ld, d->n_kv};
    const struct gemm_dims values = {d->n_q, d->width, d->n_kv, d->n_kv, d->ld, d->ldo};
    for (size_t h = 0; h < d->heads; h++)
        gemm_nt(&scores, d->scale, q + h * d->width, k + h * d->width, 0.0f,
                p + h * d->n_q * d->n_kv);
    softmax_forward(p, d->heads * d->n_q, d->n_kv);
    for (size_t h = 0; h < d->heads; h++)
        gemm_nn(&values, 1.0f, p + h * d->n_q * d->n_kv, v + h * d->width, 0.0f, o + h * d->width);
}

void attention_backward(const struct attention_dims *d, const struct attention_gradient *g)
{
    const struct gemm_dims probabilities = {d->n_q, d->n_kv, d->width, d->ldo, d->ld, d->n_kv};
    const struct gemm_dims values = {d->n_kv, d->width, d->n_q, d->n_kv, d->ldo, d->ld};
    const struct gemm_dims queries = {d->n_q, d->width, d->n_kv, d->n_kv, d->ld, d->ld};
    const struct gemm_dims keys = {d->n_kv, d->width, d->n_q, d->n_kv, d->ld, d->ld};
    for (size_t h = 0; h < d->heads; h++) {
        const size_t at = h * d->width, at_p = h * d->n_q * d->n_kv;
        gemm_nt(&probabilities, 1.0f, g->dy + at, g->v + at, 0.0f, g->dp + at_p);
        gemm_tn(&values, 1.0f, g->p + at_p, g->dy + at, 0.0f, g->dv + at);
    }
    softmax_backward(g->dp, g->p, d->heads * d->n_q, d->n_kv);
    for (size_t h = 0; h < d->heads; h++) {
        const size_t at = h * d->width, at_p = h * d->n_q * d->n_kv;
        gemm_nn(&queries, d->scale, g->dp + at_p, g->k + at, 0.0f, g->dq + at);
        gemm_tn(&keys, d->scale, g->dp + at_p, g->q + at, 0.0f, g->dk + at);
    }
}
