/* Heads by hand: linear with and without bias, cosine, zero vectors, frozen weights. */
#include "tests/support/test.h"

#include "learners/nn/head.h"
#include "learners/nn/l2norm.h"

#include <math.h>
#include <string.h>

void test_head_linear_by_hand(void **state)
{
    (void)state;
    const struct head_dims d = {2, 2, 3, 0, 0};
    const float e[4] = {1, 2, -1, 0.5f}, w[6] = {1, 0, 0, 1, 2, -1}, b[3] = {10, 20, 30};
    float z[6];
    head_forward(&d, e, w, b, NULL, z);
    const float want[6] = {11, 22, 30, 9, 20.5f, 27.5f};
    for (size_t i = 0; i < 6; i++)
        assert_near(z[i], want[i], 1e-6);
    head_forward(&d, e, w, NULL, NULL, z);
    for (size_t i = 0; i < 6; i++)
        assert_near(z[i], want[i] - b[i % 3], 1e-6);
}

void test_head_cosine_by_hand(void **state)
{
    (void)state;
    const struct head_dims d = {1, 2, 3, 1, 64};
    const float e[2] = {3, 4}, w[6] = {6, 8, -4, 3, 0, 0};
    float norms[3], z[3];
    head_inverse_norms(w, 3, 2, norms);
    assert_near(norms[0], 0.1, 1e-7);
    assert_near(norms[2], 0, 0);
    head_forward(&d, e, w, NULL, norms, z);
    assert_near(z[0], 64, 1e-5);
    assert_near(z[1], 0, 1e-5);
    assert_near(z[2], 0, 0);
}

void test_head_cosine_ignores_lengths(void **state)
{
    (void)state;
    const struct head_dims d = {1, 3, 2, 1, 10};
    const float e[3] = {1, -2, 0.5f}, e2[3] = {4, -8, 2};
    const float w[6] = {0.3f, 1, -2, 2, 2, 1}, w2[6] = {0.6f, 2, -4, 8, 8, 4};
    float n1[2], n2[2], z1[2], z2[2];
    head_inverse_norms(w, 2, 3, n1);
    head_inverse_norms(w2, 2, 3, n2);
    head_forward(&d, e, w, NULL, n1, z1);
    head_forward(&d, e2, w2, NULL, n2, z2);
    for (size_t j = 0; j < 2; j++)
        assert_near(z1[j], z2[j], 1e-5);
}

void test_head_backward_without_weights_gives_the_same_de(void **state)
{
    (void)state;
    const float e[3] = {1, -2, 0.5f}, w[6] = {0.3f, 1, -2, 2, 2, 1}, dz[2] = {0.7f, -1};
    for (int cosine = 0; cosine < 2; cosine++) {
        const struct head_dims d = {1, 3, 2, cosine, 10};
        float norms[2], scratch[8], dw[6] = {0}, db[2] = {0}, de[3] = {0}, frozen[3] = {0};
        head_inverse_norms(w, 2, 3, norms);
        struct head_gradient g = {.e = e,
                                  .w = w,
                                  .inverse_norms = norms,
                                  .dz = dz,
                                  .de = de,
                                  .dw = dw,
                                  .db = cosine ? NULL : db,
                                  .scratch = scratch};
        head_backward(&d, &g);
        g.de = frozen;
        g.dw = NULL;
        g.db = NULL;
        head_backward(&d, &g);
        assert_memory_equal(de, frozen, sizeof de);
    }
}

void test_l2norm_of_zero_stays_zero(void **state)
{
    (void)state;
    const float x[3] = {0, 0, 0}, du[3] = {1, 2, 3};
    float u[3] = {9, 9, 9}, dx[3] = {0};
    l2norm_forward(x, 3, u);
    l2norm_backward(x, du, 3, dx);
    for (size_t i = 0; i < 3; i++) {
        assert_near(u[i], 0, 0);
        assert_near(dx[i], 0, 0);
    }
}

void test_l2norm_has_length_one(void **state)
{
    (void)state;
    float x[3] = {2e-20f, -3e-20f, 6e-20f};
    l2norm_forward(x, 3, x);
    assert_near(x[0], 2.0 / 7, 1e-6);
    assert_near(x[1], -3.0 / 7, 1e-6);
    assert_near(x[2], 6.0 / 7, 1e-6);
}
