/*
 * Classifier heads over embeddings e [n, C], K classes.
 *   linear:  z = e W^T + b
 *   cosine:  z_j = kappa w_j u / |w_j|, u = e / |e|   (CosFace, Wang et al. 2018, arXiv 1801.09414;
 *            the margin belongs to the loss, see xent.h)
 * All f32, row-major without gaps, borrowed, none may overlap.  Forward results of one image do not
 * depend on the others.
 */
#ifndef LETHE_LEARNERS_HEAD_H
#define LETHE_LEARNERS_HEAD_H

#include <stddef.h>

struct head_dims {
    size_t n, width, classes;
    int cosine;
    float scale; /* kappa, cosine only */
};

/* inverse_norms[j] = 1/|w_j| (0 for a zero row); w [K, C].  Cosine head, once per weight set. */
void head_inverse_norms(const float *w, size_t classes, size_t width, float *inverse_norms);

/* Overwrites z [n, K]; b [K] may be NULL; inverse_norms [K] is read by the cosine head only. */
void head_forward(const struct head_dims *d,
                  const float *e,
                  const float *w,
                  const float *b,
                  const float *inverse_norms,
                  float *z);

/*
 * Adds to de [n, C] (and, unless NULL, to dw [K, C] and db [K]) from dz [n, K].
 * scratch: n K + n C floats, used by the cosine head only.
 * Cosine: s = dz kappa / |w|;  de = (I - u u^T)(s W) / |e|,
 *         dw_j = sum_i s_ij (u_i - w_j cos_ij / |w_j|).
 */
struct head_gradient {
    const float *e, *w, *inverse_norms, *dz;
    float *de, *dw, *db;
    float *scratch;
};

size_t head_scratch(const struct head_dims *d);
void head_backward(const struct head_dims *d, const struct head_gradient *g);

#endif
