/*
 * A tiny frozen ViT with lanes on it, and the naive form of the pathway (design 3.6) in double
 * precision as the oracle: lane tokens [c; s] through whole blocks, with prompts before the keys
 * and values, and the selectors put back after each attention.
 */
#ifndef LETHE_TESTS_MULTILANE_FIXTURE_H
#define LETHE_TESTS_MULTILANE_FIXTURE_H

#include "tests/property/learners/vit_fixture.h"
#include "tests/support/test.h"

#include "learners/methods/multilane/pathway.h"
#include "learners/methods/multilane/selector_chain.h"

/* ------------------------------------------------------------------ features of the stream */

struct feature_store {
    const struct vit_config *c;
    uint32_t n;
    float *floats;                     /* [n, L, 4, N, C] xh, k, v, x */
    struct pathway_features *features; /* [L, n] */
};

static inline float *feature_at(const struct feature_store *s, uint32_t i, uint32_t l, int which)
{
    const size_t each = (size_t)vit_tokens(s->c) * s->c->width;
    return s->floats + (((size_t)i * s->c->depth + l) * 4 + (size_t)which) * each;
}

static inline void feature_observe(void *context, const struct vit_observed *o)
{
    const struct feature_store *s = context;
    const size_t n = vit_tokens(s->c), c = s->c->width;
    memcpy(feature_at(s, o->image, o->block, 0), o->xh, n * c * sizeof(float));
    memcpy(feature_at(s, o->image, o->block, 3), o->x, n * c * sizeof(float));
    for (size_t r = 0; r < n; r++) {
        memcpy(feature_at(s, o->image, o->block, 1) + r * c, o->k + r * o->ld, c * sizeof(float));
        memcpy(feature_at(s, o->image, o->block, 2) + r * c, o->v + r * o->ld, c * sizeof(float));
    }
}

static inline struct feature_store feature_store_make(struct vit_fixture *x)
{
    struct feature_store s = {.c = &x->c, .n = x->n};
    const size_t each = (size_t)vit_tokens(&x->c) * x->c.width;
    s.floats = vit_fixture_alloc((size_t)x->n * x->c.depth * 4 * each, sizeof(float));
    s.features = vit_fixture_alloc((size_t)x->n * x->c.depth, sizeof *s.features);
    const struct vit_input in = {.n = x->n, .images = x->images};
    vit_forward(x->batch, &x->w, &in,
                &(struct vit_output){.observer = feature_observe, .observer_context = &s});
    for (uint32_t l = 0; l < x->c.depth; l++)
        for (uint32_t i = 0; i < x->n; i++)
            s.features[l * x->n + i] =
                (struct pathway_features){feature_at(&s, i, l, 0), feature_at(&s, i, l, 1),
                                          feature_at(&s, i, l, 2), x->c.width};
    return s;
}

static inline void feature_store_free(struct feature_store *s)
{
    free(s->floats);
    free(s->features);
}

/* ------------------------------------------------------------------ the naive form */

struct naive {
    const struct vit_config *c;
    const struct vit_weights *w;
    const struct lane_options *o;
    uint32_t n_classes;
    const double *block; /* parameters, laid out as lane_map says */
};

static inline void
naive_norm(const struct naive *k, const double *x, const float *w, const float *b, double *y)
{
    const size_t c = k->c->width;
    double mean = 0.0, var = 0.0;
    for (size_t j = 0; j < c; j++)
        mean += x[j] / (double)c;
    for (size_t j = 0; j < c; j++)
        var += (x[j] - mean) * (x[j] - mean) / (double)c;
    for (size_t j = 0; j < c; j++)
        y[j] = (x[j] - mean) / sqrt(var + (double)k->c->ln_eps) * (double)w[j] + (double)b[j];
}

/* y [out] += or = W x + b, one row. */
static inline void
naive_map(const double *x, const float *w, const float *b, size_t in, size_t out, double *y)
{
    for (size_t j = 0; j < out; j++) {
        y[j] = b ? (double)b[j] : 0.0;
        for (size_t i = 0; i < in; i++)
            y[j] += (double)w[j * in + i] * x[i];
    }
}

static inline void naive_softmax(double *x, size_t n)
{
    double max = x[0], sum = 0.0;
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += x[i] = exp(x[i] - max);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

#define NAIVE_TOKENS 16
#define NAIVE_WIDTH  32
#define NAIVE_HIDDEN 64

/* x <- x + MLP(LN2(x)), one token. */
static inline void naive_mlp(const struct naive *k, const struct vit_block *b, double *x)
{
    double h[NAIVE_WIDTH], z[NAIVE_HIDDEN], y[NAIVE_WIDTH];
    const size_t c = k->c->width, f = k->c->hidden;
    naive_norm(k, x, b->ln2_w, b->ln2_b, h);
    naive_map(h, b->fc1_w, b->fc1_b, c, f, z);
    for (size_t j = 0; j < f; j++)
        z[j] *= 0.5 * (1.0 + erf(z[j] / sqrt(2.0)));
    naive_map(z, b->fc2_w, b->fc2_b, f, c, y);
    for (size_t j = 0; j < c; j++)
        x[j] += y[j];
}

/* p = softmax(sh Xh^T / sqrt C) Xh, one selector. */
static inline void
naive_summary(const struct naive *k, const double *sh, const float *xh, double *p)
{
    const size_t c = k->c->width, n = vit_tokens(k->c), from = k->o->select_cls ? 0 : 1;
    double a[NAIVE_TOKENS];
    for (size_t i = from; i < n; i++) {
        a[i] = 0.0;
        for (size_t j = 0; j < c; j++)
            a[i] += sh[j] * (double)xh[i * c + j] / sqrt((double)c);
    }
    naive_softmax(a + from, n - from);
    for (size_t j = 0; j < c; j++) {
        p[j] = 0.0;
        for (size_t i = from; i < n; i++)
            p[j] += a[i] * (double)xh[i * c + j];
    }
}

/* Softmax attention of all tokens over [prompts; tokens]; o [T, C] before the projection. */
static inline void naive_attention(const struct naive *k,
                                   size_t l,
                                   size_t tokens,
                                   double (*qkv)[3 * NAIVE_WIDTH],
                                   double (*o)[NAIVE_WIDTH])
{
    const size_t c = k->c->width, heads = k->c->heads, d = c / heads;
    const size_t prompts = l < k->o->prompt_blocks ? k->o->prompts : 0;
    const double *pk = k->block + (size_t)k->o->selectors * c + l * 2 * prompts * c;
    const double *pv = pk + prompts * c;
    for (size_t t = 0; t < tokens; t++)
        for (size_t h = 0; h < heads; h++) {
            double a[2 * NAIVE_TOKENS];
            for (size_t m = 0; m < prompts + tokens; m++) {
                a[m] = 0.0;
                for (size_t j = 0; j < d; j++)
                    a[m] += qkv[t][h * d + j] * (m < prompts ? pk[(h * prompts + m) * d + j]
                                                             : qkv[m - prompts][c + h * d + j]);
                a[m] *= (double)k->c->attention_scale;
            }
            naive_softmax(a, prompts + tokens);
            for (size_t j = 0; j < d; j++) {
                o[t][h * d + j] = 0.0;
                for (size_t m = 0; m < prompts + tokens; m++)
                    o[t][h * d + j] += a[m] * (m < prompts ? pv[(h * prompts + m) * d + j]
                                                           : qkv[m - prompts][2 * c + h * d + j]);
            }
        }
}

/* One block: x [1 + S, C] tokens, xh of the image. */
static inline void
naive_block(const struct naive *k, size_t l, const float *xh, double (*x)[NAIVE_WIDTH])
{
    const struct vit_block *b = &k->w->blocks[l];
    const size_t c = k->c->width, tokens = 1 + (size_t)k->o->selectors;
    double norm[NAIVE_TOKENS][NAIVE_WIDTH], qkv[NAIVE_TOKENS][3 * NAIVE_WIDTH],
        o[NAIVE_TOKENS][NAIVE_WIDTH], y[NAIVE_WIDTH];
    for (size_t t = 0; t < tokens; t++) {
        double z[NAIVE_WIDTH];
        naive_norm(k, x[t], b->ln1_w, b->ln1_b, norm[t]);
        memcpy(z, norm[t], sizeof z);
        if (t > 0)
            naive_summary(k, norm[t], xh, z);
        naive_map(z, b->qkv_w, b->qkv_b, c, 3 * c, qkv[t]);
    }
    naive_attention(k, l, tokens, qkv, o);
    naive_map(o[0], b->proj_w, b->proj_b, c, c, y);
    for (size_t t = 0; t < tokens; t++) {
        for (size_t j = 0; j < c; j++)
            x[t][j] += t == 0 ? y[j] : norm[t][j];
        naive_mlp(k, b, x[t]);
        for (size_t j = 0; t > 0 && k->o->replace_mode == LANE_REPLACE_PURE && j < c; j++)
            x[t][j] = k->block[(t - 1) * c + j];
    }
}

/* Logits [n_classes] of image i. */
static inline void
naive_logits(const struct naive *k, const struct feature_store *s, uint32_t i, double *logits)
{
    const size_t c = k->c->width;
    double x[NAIVE_TOKENS][NAIVE_WIDTH], f[NAIVE_WIDTH], norm = 0.0;
    for (size_t j = 0; j < c; j++) {
        x[0][j] = (double)k->w->cls[j];
        if (k->o->cls_pos)
            x[0][j] += (double)k->w->pos[j];
        for (size_t t = 0; t < k->o->selectors; t++)
            x[1 + t][j] = k->block[t * c + j];
    }
    for (uint32_t l = 0; l < k->c->depth; l++)
        naive_block(k, l, feature_at(s, i, l, 0), x);
    naive_norm(k, x[0], k->w->norm_w, k->w->norm_b, f);
    for (size_t j = 0; j < c; j++)
        norm += f[j] * f[j];
    norm = k->o->normalise ? sqrt(norm) : 1.0;
    const double *w = k->block + (size_t)k->o->selectors * c +
                      2 * (size_t)k->o->prompt_blocks * k->o->prompts * c;
    const double *b = w + k->n_classes * c;
    for (size_t m = 0; m < k->n_classes; m++) {
        logits[m] = b[m];
        for (size_t j = 0; j < c; j++)
            logits[m] += w[m * c + j] * f[j] / norm;
    }
}

/* ------------------------------------------------------------------ a lane with random numbers */

struct lane_fixture {
    struct lane_options o;
    uint32_t n_classes;
    size_t floats;
    float *block, *shat;
    struct pathway_lane view;
    struct selector_chain *chain;
    void *memory;
    struct arena arena;
};

static inline struct lane_options lane_fixture_options(void)
{
    struct lane_options o;
    lane_options_default(&o);
    o.selectors = 3;
    o.prompts = 2;
    o.prompt_blocks = 2;
    return o;
}

static inline void lane_fixture_chain(struct lane_fixture *k, const struct vit_fixture *x)
{
    const struct lane_trunk trunk = {&x->c, &x->w};
    selector_chain_forward(k->chain, &trunk, k->block, k->shat);
}

static inline void lane_fixture_init(struct lane_fixture *k,
                                     const struct vit_fixture *x,
                                     const struct lane_options *o,
                                     uint32_t n_classes,
                                     const char *stream)
{
    *k = (struct lane_fixture){.o = *o, .n_classes = n_classes};
    k->floats = lane_floats(&x->c, o, n_classes);
    k->block = vit_fixture_normal(k->floats, stream, 0.5f);
    k->shat = vit_fixture_alloc((size_t)x->c.depth * o->selectors * x->c.width, sizeof(float));
    k->view = (struct pathway_lane){.options = &k->o, .n_classes = n_classes, .shat = k->shat};
    lane_map(&x->c, &k->o, n_classes, k->block, &k->view.p);
    const size_t bytes = selector_chain_plan(&x->c, o->selectors);
    k->memory = vit_fixture_alloc(1, bytes);
    arena_init(&k->arena, k->memory, bytes);
    assert_int_equal(selector_chain_new(&x->c, o->selectors, (enum selector_mode)o->replace_mode,
                                        &k->arena, &k->chain),
                     STATUS_OK);
    lane_fixture_chain(k, x);
}

static inline void lane_fixture_fini(struct lane_fixture *k)
{
    arena_fini(&k->arena);
    free(k->memory);
    free(k->block);
    free(k->shat);
}

/* A set of pathways in memory of its own. */
struct pathway_room {
    void *memory;
    struct arena arena;
    struct pathway *x;
};

static inline struct pathway_room
pathway_room_make(const struct vit_config *c, uint32_t rows, uint32_t selectors, int tape)
{
    const struct pathway_sizes sizes = {rows, selectors, 8};
    struct pathway_room r;
    const size_t bytes = pathway_plan(c, &sizes, tape);
    r.memory = vit_fixture_alloc(1, bytes);
    arena_init(&r.arena, r.memory, bytes);
    assert_int_equal(pathway_new(c, &sizes, tape, &r.arena, &r.x), STATUS_OK);
    return r;
}

static inline void pathway_room_free(struct pathway_room *r)
{
    arena_fini(&r->arena);
    free(r->memory);
}

#endif
