/*
 * Multi-head attention of one image, after the projections to queries, keys and values
 * (Vaswani et al. 2017, arXiv 1706.03762, eq. 1):  P_i = softmax(tau q_i k_i^T), o_i = P_i v_i for
 * head i, whose vectors are columns i D .. (i+1) D - 1.  All f32, row-major, borrowed, none may
 * overlap.  One call per image with the same shape gives the same bits whatever else is computed.
 */
#ifndef LETHE_LEARNERS_ATTENTION_H
#define LETHE_LEARNERS_ATTENTION_H

#include <stddef.h>

struct attention_dims {
    size_t n_q, n_kv;    /* rows of q and o; rows of k and v */
    size_t heads, width; /* H, D */
    size_t ld;           /* row stride of q, k, v and their gradients */
    size_t ldo;          /* row stride of o and its gradient */
    float scale;         /* tau */
};

/* Floats of p: [H, n_q, n_kv]. */
size_t attention_probabilities(const struct attention_dims *d);

/* in: q [n_q, H D], k, v [n_kv, H D].  Overwrites p and o [n_q, H D]. */
void attention_forward(const struct attention_dims *d,
                       const float *q,
                       const float *k,
                       const float *v,
                       float *p,
                       float *o);

/* The operands of the backward pass, named because there are many. */
struct attention_gradient {
    const float *q, *k, *v;
    const float *p;  /* as left by attention_forward */
    const float *dy; /* gradient of o */
    float *dp;       /* scratch, attention_probabilities floats */
    float *dq, *dk, *dv;
};

/*
 * Overwrites dq, dk, dv:  dv = P^T dO, dP = dO v^T, dS = P (dP - rowsum(dP P)),
 * dq = tau dS k, dk = tau dS^T q.
 */
void attention_backward(const struct attention_dims *d, const struct attention_gradient *g);

#endif
