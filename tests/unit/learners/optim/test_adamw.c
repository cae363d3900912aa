/* Optimisers worked by hand, and against their formulas in double over many steps. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/optim/adamw.h"
#include "learners/optim/sgd.h"

#include <math.h>

void test_adamw_first_step_by_hand(void **state)
{
    (void)state;
    /* after one step m/(1-b1) = g and v/(1-b2) = g^2: the step is lr sign(g) */
    const struct adamw_options o = {.lr = 0.1f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    float w[3] = {1, 1, 1}, m[3] = {0}, v[3] = {0};
    const float g[3] = {5, -0.001f, 0};
    adamw_step(&o, 1, w, g, m, v, 3);
    assert_near(w[0], 0.9, 1e-6);
    assert_near(w[1], 1.1, 1e-5);
    assert_near(w[2], 1, 0);
    assert_near(m[0], 0.5, 1e-6);
    assert_near(v[0], 25 * (1 - (double)o.beta2), 1e-8);
}

void test_adamw_decay_is_decoupled(void **state)
{
    (void)state;
    const struct adamw_options o = {
        .lr = 0.1f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.5f};
    float w[1] = {2}, m[1] = {0}, v[1] = {0};
    const float g[1] = {0};
    adamw_step(&o, 1, w, g, m, v, 1);
    assert_near(w[0], 1.9, 1e-6);
    assert_near(m[0], 0, 0);
}

void test_adamw_many_steps_agree_with_double(void **state)
{
    (void)state;
    enum { N = 37 };
    const struct adamw_options o = {
        .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-6f, .weight_decay = 0.05f};
    float w[N], m[N] = {0}, v[N] = {0}, g[N];
    double w2[N], m2[N] = {0}, v2[N] = {0};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 1}, "adamw", 0);
    for (size_t i = 0; i < N; i++)
        w2[i] = (double)(w[i] = rng_normal(&r));
    for (uint64_t t = 1; t <= 50; t++) {
        for (size_t i = 0; i < N; i++)
            g[i] = 0.3f + rng_normal(&r);
        adamw_step(&o, t, w, g, m, v, N);
        for (size_t i = 0; i < N; i++) {
            m2[i] = 0.9 * m2[i] + 0.1 * (double)g[i];
            v2[i] = 0.99 * v2[i] + 0.01 * (double)g[i] * (double)g[i];
            const double mh = m2[i] / (1 - pow(0.9, (double)t));
            const double vh = v2[i] / (1 - pow(0.99, (double)t));
            w2[i] = w2[i] * (1 - 0.01 * 0.05) - 0.01 * mh / (sqrt(vh) + 1e-6);
        }
    }
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], w2[i], 5e-6);
}

void test_sgd_momentum_by_hand(void **state)
{
    (void)state;
    const struct sgd_options o = {.lr = 0.1f, .momentum = 0.5f};
    float w[1] = {1}, m[1] = {0};
    const float g[1] = {2};
    sgd_step(&o, w, g, m, 1);
    assert_near(w[0], 0.8, 1e-6);
    sgd_step(&o, w, g, m, 1);
    /* m = 0.5 * 2 + 2 = 3 */
    assert_near(m[0], 3, 1e-6);
    assert_near(w[0], 0.5, 1e-6);
}

void test_sgd_nesterov_and_decay_by_hand(void **state)
{
    (void)state;
    const struct sgd_options o = {
        .lr = 0.1f, .momentum = 0.5f, .weight_decay = 0.25f, .nesterov = 1};
    float w[1] = {4}, m[1] = {2};
    const float g[1] = {1};
    /* g' = 1 + 0.25 * 4 = 2; m = 0.5 * 2 + 2 = 3; step 2 + 0.5 * 3 = 3.5 */
    sgd_step(&o, w, g, m, 1);
    assert_near(m[0], 3, 1e-6);
    assert_near(w[0], 3.65, 1e-6);
}
