/* Losses of a lane: values by hand, gradients by differences, the constant of the reference. */
#include "tests/support/test.h"

#include "learners/methods/multilane/lane_loss.h"

#include <math.h>

#define ROWS    3
#define CLASSES 4

static const float logits[ROWS * CLASSES] = {0.5f, -1, 2, 0, 0, 0, 0, 0, -3, 90, -90, 1};
static const uint32_t labels[ROWS] = {2, 0, 1};
static const uint8_t marks[ROWS * CLASSES] = {1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1};

static double total(int multi, const float *z, double divisor, float *dz)
{
    const struct lane_loss_dims d = {ROWS, CLASSES, divisor};
    const uint8_t *hot[ROWS] = {marks, marks + CLASSES, marks + 2 * CLASSES};
    double losses[ROWS];
    if (multi)
        lane_loss_multi(&d, z, hot, losses, dz);
    else
        lane_loss_single(&d, z, labels, losses, dz);
    return losses[0] + losses[1] + losses[2];
}

static void check_gradient(int multi)
{
    float dz[ROWS * CLASSES], z[ROWS * CLASSES];
    total(multi, logits, 7, dz);
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        double value[2];
        for (int s = 0; s < 2; s++) {
            for (size_t j = 0; j < ROWS * CLASSES; j++)
                z[j] = logits[j] + (j != i ? 0.0f : s ? 0.01f : -0.01f);
            value[s] = total(multi, z, 7, NULL);
        }
        assert_near(dz[i], (value[1] - value[0]) / 0.02, 1e-4);
    }
}

void test_lane_loss_gradients(void **state)
{
    (void)state;
    check_gradient(0);
    check_gradient(1);
}

void test_lane_loss_values(void **state)
{
    (void)state;
    const struct lane_loss_dims d = {1, CLASSES, 2};
    const uint8_t *hot[1] = {marks + CLASSES};
    double loss;
    lane_loss_single(&d, logits + CLASSES, labels + 1, &loss, NULL);
    assert_near(loss, log(4.0) / 2, 1e-6);
    lane_loss_multi(&d, logits + CLASSES, hot, &loss, NULL);
    assert_near(loss, 4 * log(2.0) / 2, 1e-12);
    assert_true(isfinite(total(1, logits, 1, NULL)));
}

/* The reference's mean over all M columns, the others at logit 0 and target 0. */
void test_lane_loss_constant_of_the_reference(void **state)
{
    (void)state;
    const size_t all = 10;
    double mean = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = 0; k < all; k++) {
            const double z = k < CLASSES ? (double)logits[i * CLASSES + k] : 0,
                         y = k < CLASSES ? marks[i * CLASSES + k] : 0;
            mean += (fmax(z, 0) - z * y + log1p(exp(-fabs(z)))) / (double)(ROWS * all);
        }
    const double own = total(1, logits, ROWS * CLASSES, NULL);
    assert_near(mean, own * CLASSES / (double)all + lane_loss_constant(CLASSES, all), 1e-12);
    assert_near(mean - own * CLASSES / (double)all, (1 - 0.4) * log(2.0), 1e-12);
}
