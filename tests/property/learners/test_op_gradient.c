/*
 * Numeric gradients of every operation of learners/nn: the value is <r, output> for a random r, so
 * r is the gradient that flows in.  Linear operations also pass the adjoint identity
 * <r, A x> = <A^T r, x>, which needs no step size.
 */
#include "tests/support/test.h"

#include "learners/math/softmax.h"
#include "learners/nn/attention.h"
#include "learners/nn/gelu.h"
#include "learners/nn/head.h"
#include "learners/nn/kl.h"
#include "learners/nn/l2norm.h"
#include "learners/nn/layernorm.h"
#include "learners/nn/linear.h"
#include "learners/nn/xent.h"
#include "tests/property/learners/gradient_probe.h"

/* ------------------------------------------------------------------ linear */

struct linear_case {
    struct linear_dims d;
    float *x, *w, *b, *y, *r;
};

static double linear_value(void *context)
{
    const struct linear_case *k = context;
    linear_forward(&k->d, k->x, k->w, k->b, k->y);
    return probe_dot(k->r, k->y, k->d.rows * k->d.out);
}

void test_op_gradient_linear(void **state)
{
    (void)state;
    enum { ROWS = 5, IN = 7, OUT = 4 };
    struct linear_case k = {.d = {ROWS, IN, OUT, IN, OUT},
                            .x = probe_normal(ROWS * IN, "x", 1),
                            .w = probe_normal(OUT * IN, "w", 1),
                            .b = probe_normal(OUT, "b", 1),
                            .y = probe_alloc(ROWS * OUT, sizeof(float)),
                            .r = probe_normal(ROWS * OUT, "r", 1)};
    float dx[ROWS * IN], dw[OUT * IN] = {0}, db[OUT] = {0};
    linear_backward_input(&k.d, k.r, k.w, dx);
    linear_backward_weights(&k.d, k.r, k.x, dw, db);
    probe_check(&(struct probe){linear_value, &k, k.x, ROWS * IN}, dx, "dx");
    probe_check(&(struct probe){linear_value, &k, k.w, OUT * IN}, dw, "dw");
    probe_check(&(struct probe){linear_value, &k, k.b, OUT}, db, "db");
    /* adjoint: without bias the value equals <dx, x> and <dw, w> */
    memset(k.b, 0, OUT * sizeof(float));
    const double value = linear_value(&k);
    assert_near(probe_dot(dx, k.x, ROWS * IN), value, 1e-5 * fabs(value));
    assert_near(probe_dot(dw, k.w, OUT * IN), value, 1e-5 * fabs(value));
    float *all[] = {k.x, k.w, k.b, k.y, k.r};
    for (size_t i = 0; i < 5; i++)
        free(all[i]);
}

/* ------------------------------------------------------------------ layer norm */

struct layernorm_case {
    struct layernorm_dims d;
    float *x, *w, *b, *y, *r;
    float mean[8], rstd[8];
};

static double layernorm_value(void *context)
{
    struct layernorm_case *k = context;
    layernorm_forward(&k->d, k->x, k->w, k->b, k->y, k->mean, k->rstd);
    return probe_dot(k->r, k->y, k->d.rows * k->d.cols);
}

static void check_layernorm(size_t rows, size_t cols)
{
    struct layernorm_case k = {.d = {rows, cols, 1e-5f},
                               .x = probe_normal(rows * cols, "x", 1),
                               .w = probe_normal(cols, "w", 1),
                               .b = probe_normal(cols, "b", 1),
                               .y = probe_alloc(rows * cols, sizeof(float)),
                               .r = probe_normal(rows * cols, "r", 1)};
    float *dx = probe_alloc(rows * cols, sizeof(float));
    float *dw = probe_alloc(cols, sizeof(float)), *db = probe_alloc(cols, sizeof(float));
    layernorm_value(&k);
    layernorm_backward_input(&k.d, k.r, k.x, k.w, k.mean, k.rstd, dx);
    layernorm_backward_weights(&k.d, k.r, k.x, k.mean, k.rstd, dw, db);
    probe_check(&(struct probe){layernorm_value, &k, k.x, rows * cols}, dx, "dx");
    probe_check(&(struct probe){layernorm_value, &k, k.w, cols}, dw, "dw");
    probe_check(&(struct probe){layernorm_value, &k, k.b, cols}, db, "db");
    float *all[] = {k.x, k.w, k.b, k.y, k.r, dx, dw, db};
    for (size_t i = 0; i < 8; i++)
        free(all[i]);
}

void test_op_gradient_layernorm(void **state)
{
    (void)state;
    check_layernorm(3, 5);
    check_layernorm(4, 16);
    check_layernorm(2, 37);
}

/* ------------------------------------------------------------------ attention */

struct attention_case {
    struct attention_dims d;
    float *qkv, *p, *o, *r;
};

static double attention_value(void *context)
{
    const struct attention_case *k = context;
    const size_t c = k->d.heads * k->d.width;
    attention_forward(&k->d, k->qkv, k->qkv + c, k->qkv + 2 * c, k->p, k->o);
    return probe_dot(k->r, k->o, k->d.n_q * c);
}

static void check_attention(size_t n_q, size_t n_kv, size_t heads, size_t width)
{
    const size_t c = heads * width, n = n_kv * 3 * c;
    struct attention_case k = {.d = {n_q, n_kv, heads, width, 3 * c, c, 0.4f}};
    k.qkv = probe_normal(n, "qkv", 1);
    k.p = probe_alloc(attention_probabilities(&k.d), sizeof(float));
    k.o = probe_alloc(n_q * c, sizeof(float));
    k.r = probe_normal(n_q * c, "r", 1);
    float *dp = probe_alloc(attention_probabilities(&k.d), sizeof(float));
    float *d = probe_alloc(n, sizeof(float));
    attention_value(&k);
    attention_backward(&k.d, &(struct attention_gradient){.q = k.qkv,
                                                          .k = k.qkv + c,
                                                          .v = k.qkv + 2 * c,
                                                          .p = k.p,
                                                          .dy = k.r,
                                                          .dp = dp,
                                                          .dq = d,
                                                          .dk = d + c,
                                                          .dv = d + 2 * c});
    probe_check(&(struct probe){attention_value, &k, k.qkv, n}, d, "dqkv");
    float *all[] = {k.qkv, k.p, k.o, k.r, dp, d};
    for (size_t i = 0; i < 6; i++)
        free(all[i]);
}

void test_op_gradient_attention(void **state)
{
    (void)state;
    check_attention(6, 6, 2, 3);
    check_attention(1, 9, 3, 4);
    check_attention(17, 17, 1, 8);
}

/* ------------------------------------------------------------------ gelu and softmax */

struct map_case {
    float *x, *y, *r;
    size_t rows, cols;
};

static double gelu_value(void *context)
{
    const struct map_case *k = context;
    gelu_forward(k->x, k->y, k->cols);
    return probe_dot(k->r, k->y, k->cols);
}

void test_op_gradient_gelu(void **state)
{
    (void)state;
    enum { N = 70 };
    struct map_case k = {.x = probe_normal(N, "x", 1.5f),
                         .y = probe_alloc(N, sizeof(float)),
                         .r = probe_normal(N, "r", 1),
                         .cols = N};
    float dx[N], again[N];
    memcpy(dx, k.r, sizeof dx);
    gelu_value(&k);
    gelu_backward(k.x, dx, again, N);
    assert_memory_equal(again, k.y, sizeof again);
    probe_check(&(struct probe){gelu_value, &k, k.x, N}, dx, "dx");
    free(k.x);
    free(k.y);
    free(k.r);
}

static double softmax_value(void *context)
{
    const struct map_case *k = context;
    memcpy(k->y, k->x, k->rows * k->cols * sizeof(float));
    softmax_forward(k->y, k->rows, k->cols);
    return probe_dot(k->r, k->y, k->rows * k->cols);
}

void test_op_gradient_softmax(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 21 };
    struct map_case k = {.x = probe_normal(ROWS * COLS, "x", 1),
                         .y = probe_alloc(ROWS * COLS, sizeof(float)),
                         .r = probe_normal(ROWS * COLS, "r", 1),
                         .rows = ROWS,
                         .cols = COLS};
    float dx[ROWS * COLS];
    memcpy(dx, k.r, sizeof dx);
    softmax_value(&k);
    softmax_backward(dx, k.y, ROWS, COLS);
    probe_check(&(struct probe){softmax_value, &k, k.x, ROWS * COLS}, dx, "dx");
    free(k.x);
    free(k.y);
    free(k.r);
}

/* ------------------------------------------------------------------ heads */

struct head_case {
    struct head_dims d;
    float *e, *w, *b, *z, *r;
    float norms[8];
};

static double head_value(void *context)
{
    struct head_case *k = context;
    head_inverse_norms(k->w, k->d.classes, k->d.width, k->norms);
    head_forward(&k->d, k->e, k->w, k->b, k->norms, k->z);
    return probe_dot(k->r, k->z, k->d.n * k->d.classes);
}

static void check_head(int cosine)
{
    enum { N = 6, C = 9, K = 4 };
    struct head_case k = {.d = {N, C, K, cosine, 3.0f},
                          .e = probe_normal(N * C, "e", 1),
                          .w = probe_normal(K * C, "w", 1),
                          .b = cosine ? NULL : probe_normal(K, "b", 1),
                          .z = probe_alloc(N * K, sizeof(float)),
                          .r = probe_normal(N * K, "r", 1)};
    float de[N * C] = {0}, dw[K * C] = {0}, db[K] = {0}, scratch[N * (K + C)];
    assert_true(head_scratch(&k.d) <= sizeof scratch / sizeof *scratch);
    head_value(&k);
    head_backward(&k.d, &(struct head_gradient){.e = k.e,
                                                .w = k.w,
                                                .inverse_norms = k.norms,
                                                .dz = k.r,
                                                .de = de,
                                                .dw = dw,
                                                .db = cosine ? NULL : db,
                                                .scratch = scratch});
    probe_check(&(struct probe){head_value, &k, k.e, N * C}, de, "de");
    probe_check(&(struct probe){head_value, &k, k.w, K * C}, dw, "dw");
    if (!cosine)
        probe_check(&(struct probe){head_value, &k, k.b, K}, db, "db");
    float *all[] = {k.e, k.w, k.b, k.z, k.r};
    for (size_t i = 0; i < 5; i++)
        free(all[i]);
}

void test_op_gradient_linear_head(void **state)
{
    (void)state;
    check_head(0);
}

void test_op_gradient_cosine_head(void **state)
{
    (void)state;
    check_head(1);
}

struct l2norm_case {
    float x[11], u[11], r[11];
};

static double l2norm_value(void *context)
{
    struct l2norm_case *k = context;
    l2norm_forward(k->x, 11, k->u);
    return probe_dot(k->r, k->u, 11);
}

void test_op_gradient_l2norm(void **state)
{
    (void)state;
    struct l2norm_case k;
    float *x = probe_normal(11, "x", 1), *r = probe_normal(11, "r", 1), dx[11] = {0};
    memcpy(k.x, x, sizeof k.x);
    memcpy(k.r, r, sizeof k.r);
    l2norm_backward(k.x, k.r, 11, dx);
    probe_check(&(struct probe){l2norm_value, &k, k.x, 11}, dx, "dx");
    /* moving along x changes nothing */
    assert_near(probe_dot(dx, k.x, 11), 0.0, 1e-6);
    free(x);
    free(r);
}

/* ------------------------------------------------------------------ losses */

#define LOSS_N 5
#define LOSS_K 6

struct loss_case {
    struct xent_dims d;
    float *z, *targets, *weights;
    uint32_t labels[LOSS_N];
    float losses[LOSS_N];
};

static double weighted_losses(const struct loss_case *k)
{
    return probe_dot(k->weights, k->losses, LOSS_N);
}

static double xent_value(void *context)
{
    struct loss_case *k = context;
    xent_forward(&k->d, k->z, k->labels, k->losses);
    return weighted_losses(k);
}

static double xent_soft_value(void *context)
{
    struct loss_case *k = context;
    xent_forward_soft(&k->d, k->z, k->targets, k->losses);
    return weighted_losses(k);
}

static double kl_value(void *context)
{
    struct loss_case *k = context;
    kl_forward(&(struct kl_dims){LOSS_N, LOSS_K}, k->targets, k->z, k->losses);
    return weighted_losses(k);
}

static struct loss_case loss_make(float smoothing, float margin)
{
    struct loss_case k = {.d = {LOSS_N, LOSS_K, smoothing, margin},
                          .z = probe_normal(LOSS_N * LOSS_K, "z", 1),
                          .targets = probe_normal(LOSS_N * LOSS_K, "targets", 1),
                          .weights = probe_normal(LOSS_N, "weights", 1),
                          .labels = {0, 5, 2, 2, 4}};
    softmax_forward(k.targets, LOSS_N, LOSS_K);
    return k;
}

static void loss_free(struct loss_case *k)
{
    free(k->z);
    free(k->targets);
    free(k->weights);
}

void test_op_gradient_xent(void **state)
{
    (void)state;
    const float cases[3][2] = {{0, 0}, {0.1f, 0}, {0, 1.4f}};
    for (size_t i = 0; i < 3; i++) {
        struct loss_case k = loss_make(cases[i][0], cases[i][1]);
        float dz[LOSS_N * LOSS_K] = {0};
        xent_backward(&k.d, k.z, k.labels, k.weights, dz);
        probe_check(&(struct probe){xent_value, &k, k.z, LOSS_N * LOSS_K}, dz, "dz");
        loss_free(&k);
    }
}

void test_op_gradient_xent_soft(void **state)
{
    (void)state;
    struct loss_case k = loss_make(0, 0);
    float dz[LOSS_N * LOSS_K] = {0};
    xent_backward_soft(&k.d, k.z, k.targets, k.weights, dz);
    probe_check(&(struct probe){xent_soft_value, &k, k.z, LOSS_N * LOSS_K}, dz, "dz");
    loss_free(&k);
}

void test_op_gradient_kl(void **state)
{
    (void)state;
    struct loss_case k = loss_make(0, 0);
    float dz[LOSS_N * LOSS_K] = {0};
    kl_backward(&(struct kl_dims){LOSS_N, LOSS_K}, k.targets, k.z, k.weights, dz);
    probe_check(&(struct probe){kl_value, &k, k.z, LOSS_N * LOSS_K}, dz, "dz");
    loss_free(&k);
}
