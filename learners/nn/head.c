#include "learners/nn/head.h"

#include "learners/math/elementwise.h"
#include "learners/math/gemm.h"
#include "learners/math/reduce.h"
#include "learners/nn/l2norm.h"

#include <math.h>

void head_inverse_norms(const float *w, size_t classes, size_t width, float *inverse_norms)
{
    for (size_t j = 0; j < classes; j++)
        inverse_norms[j] = l2norm_inverse(w + j * width, width);
}

static void head_scale_row(const struct head_dims *d, float inverse, const float *norms, float *z)
{
    for (size_t j = 0; j < d->classes; j++)
        z[j] *= d->scale * inverse * norms[j];
}

void head_forward(const struct head_dims *d,
                  const float *e,
                  const float *w,
                  const float *b,
                  const float *inverse_norms,
                  float *z)
{
    const struct gemm_dims one = {1, d->classes, d->width, d->width, d->width, d->classes};
    for (size_t i = 0; i < d->n; i++) {
        const float *row = e + i * d->width;
        float *out = z + i * d->classes;
        gemm_nt(&one, 1.0f, row, w, 0.0f, out);
        if (d->cosine)
            head_scale_row(d, l2norm_inverse(row, d->width), inverse_norms, out);
        else if (b)
            elementwise_add(out, b, d->classes);
    }
}

size_t head_scratch(const struct head_dims *d)
{
    return d->cosine ? d->n * (d->classes + d->width) : 0;
}

static void head_backward_linear(const struct head_dims *d, const struct head_gradient *g)
{
    gemm_nn(&(struct gemm_dims){d->n, d->width, d->classes, d->classes, d->width, d->width}, 1.0f,
            g->dz, g->w, 1.0f, g->de);
    if (g->dw)
        gemm_tn(&(struct gemm_dims){d->classes, d->width, d->n, d->classes, d->width, d->width},
                1.0f, g->dz, g->e, 1.0f, g->dw);
    if (g->db)
        reduce_columns_add(g->db, g->dz, d->classes, d->n, d->classes);
}

/* s [n, K] = dz kappa / |w| and u [n, C] = e / |e|. */
static void
head_cosine_prepare(const struct head_dims *d, const struct head_gradient *g, float *s, float *u)
{
    for (size_t i = 0; i < d->n; i++) {
        for (size_t j = 0; j < d->classes; j++)
            s[i * d->classes + j] = g->dz[i * d->classes + j] * d->scale * g->inverse_norms[j];
        const float *e = g->e + i * d->width;
        float inverse = l2norm_inverse(e, d->width);
        for (size_t c = 0; c < d->width; c++)
            u[i * d->width + c] = e[c] * inverse;
    }
}

/* dw_j -= w_j / |w_j|^2 sum_i s_ij (w_j u_i): the part that turns w_j instead of growing it. */
static void head_cosine_project(const struct head_dims *d,
                                const struct head_gradient *g,
                                const float *s,
                                const float *u)
{
    for (size_t j = 0; j < d->classes; j++) {
        const float *w = g->w + j * d->width;
        float sum = 0.0f;
        for (size_t i = 0; i < d->n; i++)
            sum += s[i * d->classes + j] * reduce_dot(w, u + i * d->width, d->width);
        float inverse = g->inverse_norms[j];
        elementwise_axpy(g->dw + j * d->width, -sum * inverse * inverse, w, d->width);
    }
}

static void head_backward_cosine(const struct head_dims *d, const struct head_gradient *g)
{
    float *s = g->scratch, *u = s + d->n * d->classes;
    head_cosine_prepare(d, g, s, u);
    if (g->dw) {
        gemm_tn(&(struct gemm_dims){d->classes, d->width, d->n, d->classes, d->width, d->width},
                1.0f, s, u, 1.0f, g->dw);
        head_cosine_project(d, g, s, u);
    }
    gemm_nn(&(struct gemm_dims){d->n, d->width, d->classes, d->classes, d->width, d->width}, 1.0f,
            s, g->w, 0.0f, u);
    for (size_t i = 0; i < d->n; i++)
        l2norm_backward(g->e + i * d->width, u + i * d->width, d->width, g->de + i * d->width);
}

void head_backward(const struct head_dims *d, const struct head_gradient *g)
{
    if (d->cosine)
        head_backward_cosine(d, g);
    else
        head_backward_linear(d, g);
}
