/* Cross-entropy and KL by hand: smoothing, margin, extreme logits, sums of gradients. */
#include "tests/support/test.h"

#include "learners/math/softmax.h"
#include "learners/nn/kl.h"
#include "learners/nn/xent.h"

#include <math.h>
#include <string.h>

static double sum_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

void test_xent_of_equal_logits_is_ln_k(void **state)
{
    (void)state;
    const struct xent_dims d = {2, 4, 0, 0};
    const float z[8] = {1, 1, 1, 1, -50, -50, -50, -50};
    const uint32_t labels[2] = {0, 3};
    float losses[2];
    xent_forward(&d, z, labels, losses);
    assert_near(losses[0], log(4), 1e-6);
    assert_near(losses[1], log(4), 1e-6);
}

void test_xent_of_huge_logits_stays_finite(void **state)
{
    (void)state;
    const struct xent_dims d = {2, 2, 0, 0};
    const float z[4] = {1e4f, 0, 1e4f, 0}, weights[2] = {1, 1};
    const uint32_t labels[2] = {0, 1};
    float losses[2], dz[4] = {0};
    xent_forward(&d, z, labels, losses);
    xent_backward(&d, z, labels, weights, dz);
    assert_near(losses[0], 0, 1e-6);
    assert_near(losses[1], 1e4, 1e-3);
    const float want[4] = {0, 0, 1, -1};
    for (size_t i = 0; i < 4; i++)
        assert_near(dz[i], want[i], 1e-6);
}

void test_xent_margin_lowers_the_true_logit(void **state)
{
    (void)state;
    const float z[3] = {2, 1, 0}, shifted[3] = {0.6f, 1, 0};
    const uint32_t label[1] = {0};
    float with[1], without[1];
    xent_forward(&(struct xent_dims){1, 3, 0, 1.4f}, z, label, with);
    xent_forward(&(struct xent_dims){1, 3, 0, 0}, shifted, label, without);
    assert_near(with[0], without[0], 1e-6);
}

void test_xent_smoothing_equals_its_soft_targets(void **state)
{
    (void)state;
    const float z[5] = {0.3f, -1, 2, 0.1f, 0.7f}, weight[1] = {0.5f};
    const float targets[5] = {0.02f, 0.02f, 0.02f, 0.92f, 0.02f};
    const uint32_t label[1] = {3};
    const struct xent_dims d = {1, 5, 0.1f, 0};
    float hard[1], soft[1], dz_hard[5] = {0}, dz_soft[5] = {0};
    xent_forward(&d, z, label, hard);
    xent_forward_soft(&d, z, targets, soft);
    xent_backward(&d, z, label, weight, dz_hard);
    xent_backward_soft(&d, z, targets, weight, dz_soft);
    assert_near(hard[0], soft[0], 1e-6);
    for (size_t j = 0; j < 5; j++)
        assert_near(dz_hard[j], dz_soft[j], 1e-7);
}

void test_xent_gradient_sums_to_zero_and_adds(void **state)
{
    (void)state;
    const float z[4] = {0.3f, -1, 2, 0.1f}, weight[1] = {3};
    const uint32_t label[1] = {1};
    float dz[4] = {100, 100, 100, 100};
    xent_backward(&(struct xent_dims){1, 4, 0.2f, 0}, z, label, weight, dz);
    assert_near(sum_of(dz, 4), 400, 2e-5);
    assert_true(dz[1] < 100 && dz[2] > 100);
}

void test_kl_is_zero_at_its_prototype_and_positive_elsewhere(void **state)
{
    (void)state;
    const struct kl_dims d = {2, 40};
    float mu[80], p[80], x[80], losses[2], weights[2] = {1, 1}, dx[80] = {0};
    for (size_t i = 0; i < 80; i++) {
        mu[i] = sinf((float)i);
        x[i] = i < 40 ? mu[i] + 2.5f : cosf((float)i);
    }
    memcpy(p, mu, sizeof p);
    softmax_forward(p, 2, 40);
    kl_forward(&d, p, x, losses);
    kl_backward(&d, p, x, weights, dx);
    assert_near(losses[0], 0, 1e-6);
    assert_true(losses[1] > 0.1f);
    for (size_t k = 0; k < 40; k++)
        assert_near(dx[k], 0, 1e-7);
    assert_near(sum_of(dx + 40, 40), 0, 1e-6);
}

void test_kl_by_hand(void **state)
{
    (void)state;
    const float p[2] = {1, 0}, x[2] = {0, logf(3)};
    float loss[1];
    kl_forward(&(struct kl_dims){1, 2}, p, x, loss);
    assert_near(loss[0], log(4), 1e-6);
}
