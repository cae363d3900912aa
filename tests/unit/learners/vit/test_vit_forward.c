/*
 * The forward pass against a plain one in double, written from the formulas with the low-rank terms
 * unfolded; outputs, taps and prefixes.
 */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#define RANK 2

/* One image's state in the plain pass. */
struct plain {
    const struct vit_config *c;
    const struct vit_weights *w;
    const struct vit_lora *lora;
    size_t n, width;
    double *x;     /* [N, C] */
    double *taps;  /* [L, 2, C] */
    double *u;     /* [L, N, C] */
    double *e, *z; /* [C], [K] */
};

static double *doubles(size_t n)
{
    return vit_fixture_alloc(n, sizeof(double));
}

/* y = x W^T + b + s (x A^T) B^T; a NULL: no low-rank term. */
static double plain_dot(const double *x, const float *w, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * (double)w[i];
    return sum;
}

struct plain_map {
    const float *w, *bias, *a, *b;
    size_t in, out, rank;
    double scale;
};

static void plain_linear(const struct plain_map *m, const double *x, double *y)
{
    for (size_t o = 0; o < m->out; o++) {
        y[o] = plain_dot(x, m->w + o * m->in, m->in) + (m->bias ? (double)m->bias[o] : 0.0);
        for (size_t r = 0; m->a && r < m->rank; r++)
            y[o] +=
                m->scale * plain_dot(x, m->a + r * m->in, m->in) * (double)m->b[o * m->rank + r];
    }
}

static void
plain_norm(const struct plain *p, const double *x, const float *w, const float *b, double *y)
{
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < p->width; i++)
        mean += x[i] / (double)p->width;
    for (size_t i = 0; i < p->width; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)p->width;
    for (size_t i = 0; i < p->width; i++)
        y[i] = (x[i] - mean) / sqrt(variance + (double)p->c->ln_eps) * (double)w[i] + (double)b[i];
}

static double plain_pixel(const struct plain *p, const float *image, size_t patch, size_t k)
{
    const size_t size = p->c->image_size, ps = p->c->patch_size, side = size / ps;
    size_t channel, y, x;
    if (p->c->patch_channels_last) {
        channel = k % p->c->channels;
        x = k / p->c->channels % ps;
        y = k / p->c->channels / ps;
    } else {
        x = k % ps;
        y = k / ps % ps;
        channel = k / ps / ps;
    }
    y += patch / side * ps;
    x += patch % side * ps;
    return (double)image[(channel * size + y) * size + x];
}

static void plain_embed(struct plain *p, const float *image)
{
    const size_t length = p->c->channels * p->c->patch_size * p->c->patch_size;
    for (size_t j = 0; j < p->width; j++) {
        p->x[j] = (double)p->w->cls[j] + (double)p->w->pos[j];
        for (size_t t = 1; t < p->n; t++) {
            double sum = (double)p->w->patch_b[j] + (double)p->w->pos[t * p->width + j];
            for (size_t k = 0; k < length; k++)
                sum += plain_pixel(p, image, t - 1, k) * (double)p->w->patch_w[j * length + k];
            p->x[t * p->width + j] = sum;
        }
    }
}

/* Head h of token t: adds to o [C]. */
static void
plain_attend(const struct plain *p, const double *qkv, size_t t, size_t h, double *score, double *o)
{
    const size_t c = p->width, d = c / p->c->heads;
    double sum = 0.0;
    for (size_t s = 0; s < p->n; s++) {
        score[s] = 0.0;
        for (size_t i = h * d; i < (h + 1) * d; i++)
            score[s] += qkv[t * 3 * c + i] * qkv[s * 3 * c + c + i];
        score[s] = exp((double)p->c->attention_scale * score[s]);
        sum += score[s];
    }
    for (size_t s = 0; s < p->n; s++)
        for (size_t i = h * d; i < (h + 1) * d; i++)
            o[i] += score[s] / sum * qkv[s * 3 * c + 2 * c + i];
}

static void plain_attention(struct plain *p, size_t l)
{
    const struct vit_block *k = &p->w->blocks[l];
    const size_t c = p->width;
    double *h = doubles(c), *qkv = doubles(p->n * 3 * c), *score = doubles(p->n), *y = doubles(c);
    const struct plain_map in = {.w = k->qkv_w, .bias = k->qkv_b, .in = c, .out = 3 * c};
    const struct plain_map out = {.w = k->proj_w, .bias = k->proj_b, .in = c, .out = c};
    for (size_t t = 0; t < p->n; t++) {
        plain_norm(p, p->x + t * c, k->ln1_w, k->ln1_b, h);
        plain_linear(&in, h, qkv + t * 3 * c);
    }
    for (size_t t = 0; t < p->n; t++) {
        memset(h, 0, c * sizeof *h);
        for (size_t i = 0; i < p->c->heads; i++)
            plain_attend(p, qkv, t, i, score, h);
        plain_linear(&out, h, y);
        for (size_t j = 0; j < c; j++)
            p->x[t * c + j] += y[j];
    }
    memcpy(p->u + l * p->n * c, p->x, p->n * c * sizeof *p->x);
    free(h);
    free(qkv);
    free(score);
    free(y);
}

static void plain_ffn(struct plain *p, size_t l)
{
    const struct vit_block *k = &p->w->blocks[l];
    const struct vit_lora_block *r = &p->lora->blocks[l];
    const size_t c = p->width, f = p->c->hidden;
    const double s = (double)p->lora->scale;
    const struct plain_map first = {k->fc1_w, k->fc1_b, r->awake ? r->a1 : NULL, r->b1,
                                    c,        f,        p->lora->rank,           s};
    const struct plain_map second = {k->fc2_w, k->fc2_b, r->awake ? r->a2 : NULL, r->b2,
                                     f,        c,        p->lora->rank,           s};
    double *g = doubles(c), *z = doubles(f), *y = doubles(c);
    for (size_t t = 0; t < p->n; t++) {
        plain_norm(p, p->x + t * c, k->ln2_w, k->ln2_b, g);
        plain_linear(&first, g, z);
        for (size_t j = 0; j < f; j++)
            z[j] = 0.5 * z[j] * (1.0 + erf(z[j] / sqrt(2.0)));
        plain_linear(&second, z, y);
        for (size_t j = 0; j < c; j++)
            p->x[t * c + j] += y[j];
    }
    free(g);
    free(z);
    free(y);
}

static void plain_taps(struct plain *p, size_t l)
{
    double *tap = p->taps + l * 2 * p->width;
    for (size_t j = 0; j < p->width; j++) {
        tap[j] = p->x[j];
        for (size_t t = 1; t < p->n; t++)
            tap[p->width + j] += p->x[t * p->width + j] / (double)(p->n - 1);
    }
}

static void plain_head(struct plain *p)
{
    const size_t c = p->width;
    const struct plain_map head = {
        .w = p->w->head_w, .bias = p->w->head_b, .in = c, .out = p->c->classes};
    plain_norm(p, p->x, p->w->norm_w, p->w->norm_b, p->e);
    plain_linear(&head, p->e, p->z);
    if (p->c->head != VIT_HEAD_COSINE)
        return;
    double e2 = 0.0;
    for (size_t j = 0; j < c; j++)
        e2 += p->e[j] * p->e[j];
    for (size_t k = 0; k < p->c->classes; k++) {
        const float *w = p->w->head_w + k * c;
        p->z[k] *= (double)p->c->head_scale / sqrt(e2 * vit_fixture_dot(w, w, c));
    }
}

static struct plain
plain_make(const struct vit_config *c, const struct vit_weights *w, const struct vit_lora *lora)
{
    const size_t n = vit_tokens(c), width = c->width;
    return (struct plain){.c = c,
                          .w = w,
                          .lora = lora,
                          .n = n,
                          .width = width,
                          .x = doubles(n * width),
                          .taps = doubles(c->depth * 2 * width),
                          .u = doubles(c->depth * n * width),
                          .e = doubles(width),
                          .z = doubles(c->classes)};
}

static void plain_free(struct plain *p)
{
    double *all[] = {p->x, p->taps, p->u, p->e, p->z};
    for (size_t i = 0; i < 5; i++)
        free(all[i]);
}

static void plain_run(struct plain *p, const float *image)
{
    memset(p->taps, 0, p->c->depth * 2 * p->width * sizeof *p->taps);
    plain_embed(p, image);
    for (size_t l = 0; l < p->c->depth; l++) {
        plain_taps(p, l);
        plain_attention(p, l);
        plain_ffn(p, l);
    }
    plain_head(p);
}

static void assert_all_near(const float *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        assert_near(a[i], b[i], tolerance);
}

/* ------------------------------------------------------------------ the comparison */

static void fold(const struct vit_config *c,
                 const struct vit_lora *lora,
                 const struct vit_weights *from,
                 struct vit_weights *to)
{
    for (size_t l = 0; l < c->depth; l++) {
        const struct vit_lora_block *b = &lora->blocks[l];
        if (!b->awake)
            continue;
        const struct vit_block *w = &from->blocks[l], *out = &to->blocks[l];
        vit_lora_fold(w->fc1_w, b->b1, b->a1, lora->scale, c->hidden, c->width, RANK, out->fc1_w);
        vit_lora_fold(w->fc2_w, b->b2, b->a2, lora->scale, c->width, c->hidden, RANK, out->fc2_w);
    }
}

static void lora_map(struct vit_lora *l, const struct vit_config *c, float *memory)
{
    const size_t a = (size_t)RANK * c->width, b = (size_t)RANK * c->hidden;
    *l = (struct vit_lora){.rank = RANK, .scale = 0.7f};
    for (size_t i = 0; i < c->depth; i++, memory += 2 * (a + b))
        l->blocks[i] =
            (struct vit_lora_block){memory, memory + a, memory + a + b, memory + a + 2 * b, i != 1};
}

static void check_against_plain(const struct vit_config *c, enum vit_mode mode)
{
    enum { N = 3 };
    struct vit_fixture x;
    vit_fixture_init(&x, c, mode, N, 1);
    float *theta = vit_fixture_normal(c->depth * RANK * 2 * (c->width + c->hidden), "theta", 0.3f);
    float *base_block = vit_fixture_alloc(x.floats, sizeof(float));
    memcpy(base_block, x.weight_block, x.floats * sizeof(float));
    struct vit_weights base;
    vit_weights_map(c, base_block, &base);
    struct vit_lora lora;
    lora_map(&lora, c, theta);
    fold(c, &lora, &base, &x.w);
    float logits[N * 3], e[N * 8], taps[N * 3 * 2 * 8], u[N * 5 * 8];
    assert_true(c->classes == 3 && c->width == 8 && c->depth == 3 && vit_tokens(c) == 5);
    struct plain p = plain_make(c, &base, &lora);
    for (uint32_t block = 1; block <= 3; block++) {
        const size_t rows = block == 3 ? 1 : 5;
        vit_forward(x.batch, &x.w, &(struct vit_input){.n = N, .images = x.images},
                    &(struct vit_output){.embeddings = e,
                                         .logits = logits,
                                         .taps = taps,
                                         .prefix = u,
                                         .prefix_block = block});
        for (size_t i = 0; i < N; i++) {
            plain_run(&p, x.images[i]);
            assert_all_near(logits + i * 3, p.z, 3, 2e-5);
            assert_all_near(e + i * 8, p.e, 8, 1e-5);
            assert_all_near(taps + i * 48, p.taps, 48, 1e-5);
            assert_all_near(u + i * rows * 8, p.u + (block - 1) * 40, rows * 8, 1e-5);
        }
    }
    plain_free(&p);
    free(theta);
    free(base_block);
    vit_fixture_fini(&x);
}

void test_vit_forward_agrees_with_plain_double(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    check_against_plain(&c, VIT_INFER);
    check_against_plain(&c, VIT_TRAIN_LORA);
    check_against_plain(&c, VIT_TRAIN_FULL);
}

void test_vit_forward_agrees_with_plain_double_face_style(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    c.head = VIT_HEAD_COSINE;
    c.qkv_bias = 0;
    c.class_position = 0;
    c.channels = 3;
    c.patch_channels_last = 1;
    c.attention_scale = 0.35355339f;
    check_against_plain(&c, VIT_INFER);
    check_against_plain(&c, VIT_TRAIN_FULL);
}

void test_vit_forward_with_b_zero_folds_to_the_same_bits(void **state)
{
    (void)state;
    const float w[6] = {1.5f, -2, 3, 0.25f, 5, -6}, a[3] = {0.1f, 0.7f, -3}, b[2] = {0, 0};
    float out[6];
    vit_lora_fold(w, b, a, 0.125f, 2, 3, 1, out);
    assert_memory_equal(out, w, sizeof w);
    const float b2[2] = {2, -4};
    vit_lora_fold(w, b2, a, 0.5f, 2, 3, 1, out);
    const float want[6] = {1.6f, -1.3f, 0, 0.05f, 3.6f, 0};
    for (size_t i = 0; i < 6; i++)
        assert_near(out[i], want[i], 1e-6);
}
