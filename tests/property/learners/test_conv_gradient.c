/*
 * Convolution, pooling and ReLU: values against plain loops, gradients against difference quotients
 * and the adjoint identity <r, A x> = <A^T r, x>.
 */
#include "tests/support/test.h"

#include "learners/nn/conv.h"
#include "learners/nn/maxpool.h"
#include "learners/nn/relu.h"
#include "tests/property/learners/gradient_probe.h"

/* Every tile of the kernels is met: 8, 6, 4 and 1 channels, 5 and 1 columns of the kernel. */
static const struct conv_dims conv_cases[] = {{1, 5, 6, 6, 5},  {6, 7, 7, 8, 3}, {13, 3, 4, 7, 2},
                                              {8, 6, 5, 15, 5}, {2, 8, 8, 2, 7}, {4, 1, 1, 5, 1},
                                              {1, 6, 6, 1, 6},  {3, 9, 6, 3, 6}};
#define CONV_CASES (sizeof conv_cases / sizeof *conv_cases)

struct conv_case {
    struct conv_dims d;
    float *x, *w, *b, *y, *r;
    size_t n_x, n_w, n_y;
};

static struct conv_case conv_make(const struct conv_dims *d)
{
    struct conv_case k = {
        .d = *d, .n_x = conv_in_floats(d), .n_w = conv_weights(d), .n_y = conv_out_floats(d)};
    k.x = probe_normal(k.n_x, "x", 1);
    k.w = probe_normal(k.n_w, "w", 1);
    k.b = probe_normal(d->out, "b", 1);
    k.r = probe_normal(k.n_y, "r", 1);
    k.y = probe_alloc(k.n_y, sizeof(float));
    return k;
}

static void conv_free(struct conv_case *k)
{
    float *all[] = {k->x, k->w, k->b, k->y, k->r};
    for (size_t i = 0; i < 5; i++)
        free(all[i]);
}

static double conv_value(void *context)
{
    const struct conv_case *k = context;
    conv_forward(&k->d, k->x, k->w, k->b, k->y);
    return probe_dot(k->r, k->y, k->n_y);
}

/* y_o(r, c) of one image in double, as the definition says. */
static double
conv_reference(const struct conv_case *k, size_t o, size_t row, size_t col, size_t image)
{
    const struct conv_dims *d = &k->d;
    double sum = (double)k->b[o];
    for (size_t c = 0; c < d->in; c++)
        for (size_t i = 0; i < d->kernel; i++)
            for (size_t j = 0; j < d->kernel; j++) {
                const size_t pixel = (c * d->height + row + i) * d->width + col + j;
                sum += (double)k->w[((o * d->in + c) * d->kernel + i) * d->kernel + j] *
                       (double)k->x[pixel * CONV_LANES + image];
            }
    return sum;
}

void test_conv_forward_is_the_definition(void **state)
{
    (void)state;
    for (size_t at = 0; at < CONV_CASES; at++) {
        struct conv_case k = conv_make(&conv_cases[at]);
        const size_t rows = conv_out_height(&k.d), cols = conv_out_width(&k.d);
        conv_value(&k);
        for (size_t i = 0; i < k.n_y; i++) {
            const size_t pixel = i / CONV_LANES, o = pixel / (rows * cols);
            const double y =
                conv_reference(&k, o, pixel / cols % rows, pixel % cols, i % CONV_LANES);
            assert_near(k.y[i], y, 1e-4);
        }
        conv_free(&k);
    }
}

void test_conv_gradient(void **state)
{
    (void)state;
    for (size_t at = 0; at < CONV_CASES; at++) {
        struct conv_case k = conv_make(&conv_cases[at]);
        float *dx = probe_normal(k.n_x, "overwritten", 1);
        float *dw = probe_alloc(k.n_w, sizeof(float)), *db = probe_alloc(k.d.out, sizeof(float));
        conv_backward_input(&k.d, k.r, k.w, dx);
        conv_backward_weights(&k.d, k.r, k.x, dw, db);
        probe_check(&(struct probe){conv_value, &k, k.x, k.n_x}, dx, "dx");
        probe_check(&(struct probe){conv_value, &k, k.w, k.n_w}, dw, "dw");
        probe_check(&(struct probe){conv_value, &k, k.b, k.d.out}, db, "db");
        /* without bias the value equals <dx, x> and <dw, w> */
        memset(k.b, 0, k.d.out * sizeof(float));
        const double value = conv_value(&k);
        const double size = sqrt(probe_dot(k.r, k.r, k.n_y) * probe_dot(k.y, k.y, k.n_y));
        assert_near(probe_dot(dx, k.x, k.n_x), value, 1e-6 * size);
        assert_near(probe_dot(dw, k.w, k.n_w), value, 1e-6 * size);
        /* weights' gradients are added */
        const float before = dw[0];
        conv_backward_weights(&k.d, k.r, k.x, dw, db);
        assert_near(dw[0], 2 * before, 1e-4 * fabs((double)before));
        free(dx);
        free(dw);
        free(db);
        conv_free(&k);
    }
}

/* An image's result does not depend on its neighbours or on its place. */
void test_conv_images_are_independent(void **state)
{
    (void)state;
    struct conv_case k = conv_make(&conv_cases[3]);
    float *y = probe_alloc(k.n_y, sizeof(float));
    conv_value(&k);
    memcpy(y, k.y, k.n_y * sizeof *y);
    for (size_t i = 0; i < k.n_x; i += CONV_LANES) {
        k.x[i + 17] = k.x[i + 3];
        k.x[i + 4] = 0.0f;
    }
    conv_value(&k);
    for (size_t i = 0; i < k.n_y; i += CONV_LANES) {
        assert_memory_equal(&k.y[i + 3], &y[i + 3], sizeof *y);
        assert_memory_equal(&k.y[i + 17], &y[i + 3], sizeof *y);
    }
    free(y);
    conv_free(&k);
}

/* ------------------------------------------------------------------ pooling */

struct maxpool_case {
    struct maxpool_dims d;
    float *x, *y, *r;
    size_t n_x, n_y;
};

static double maxpool_value(void *context)
{
    const struct maxpool_case *k = context;
    maxpool_relu_forward(&k->d, k->x, k->y);
    return probe_dot(k->r, k->y, k->n_y);
}

/* Values so far from each other and from 0 that a small move changes no maximum. */
static struct maxpool_case maxpool_make(struct maxpool_dims d)
{
    struct maxpool_case k = {
        .d = d, .n_x = d.channels * d.height * d.width * CONV_LANES, .n_y = maxpool_out_floats(&d)};
    uint32_t *order = probe_alloc(k.n_x, sizeof *order);
    struct rng r;
    for (size_t i = 0; i < k.n_x; i++)
        order[i] = (uint32_t)i;
    rng_init(&r, &(struct rng_root){.seed = 3}, "order", 0);
    rng_shuffle(&r, order, k.n_x);
    k.x = probe_alloc(k.n_x, sizeof(float));
    for (size_t i = 0; i < k.n_x; i++)
        k.x[i] = 0.3f * ((float)order[i] - 0.5f * (float)k.n_x + 0.5f);
    k.y = probe_alloc(k.n_y, sizeof(float));
    k.r = probe_normal(k.n_y, "r", 1);
    free(order);
    return k;
}

void test_maxpool_gradient(void **state)
{
    (void)state;
    const struct maxpool_dims cases[] = {{2, 4, 6}, {1, 5, 3}, {3, 2, 2}};
    for (size_t at = 0; at < 3; at++) {
        struct maxpool_case k = maxpool_make(cases[at]);
        float *dx = probe_alloc(k.n_x, sizeof(float));
        memcpy(dx, k.x, k.n_x * sizeof(float));
        maxpool_relu_backward(&k.d, k.r, dx);
        probe_check(&(struct probe){maxpool_value, &k, k.x, k.n_x}, dx, "dx");
        free(k.x);
        free(k.y);
        free(k.r);
        free(dx);
    }
}

/* Values by hand: the maximum, nothing below 0, and one place for the gradient of equal values. */
void test_maxpool_places(void **state)
{
    (void)state;
    const struct maxpool_dims d = {1, 2, 2};
    const float windows[4][4] = {{1, 2, 3, 4}, {-1, -2, -3, -4}, {5, 5, 5, 5}, {0, 7, 1, 7}};
    const float values[4] = {4, 0, 5, 7};
    const size_t places[4] = {3, 4, 0, 1}; /* 4: none */
    float x[4 * CONV_LANES] = {0}, y[CONV_LANES], dy[CONV_LANES];
    for (size_t i = 0; i < 4; i++)
        for (size_t p = 0; p < 4; p++)
            x[p * CONV_LANES + i] = windows[i][p];
    for (size_t i = 0; i < CONV_LANES; i++)
        dy[i] = 2.0f;
    maxpool_relu_forward(&d, x, y);
    maxpool_relu_backward(&d, dy, x);
    for (size_t i = 0; i < 4; i++) {
        assert_near(y[i], values[i], 0);
        for (size_t p = 0; p < 4; p++)
            assert_near(x[p * CONV_LANES + i], p == places[i] ? 2.0f : 0.0f, 0);
    }
}

/* ------------------------------------------------------------------ maps */

void test_relu_places(void **state)
{
    (void)state;
    float x[] = {-1.5f, 0.0f, 2.5f, -0.0f, 1e-30f}, dy[] = {3, 3, 3, 3, 3};
    const float y[] = {0, 0, 2.5f, 0, 1e-30f}, dx[] = {0, 0, 3, 0, 3};
    relu_forward(x, 5);
    relu_backward(x, dy, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_near(x[i], y[i], 0);
        assert_near(dy[i], dx[i], 0);
    }
}
