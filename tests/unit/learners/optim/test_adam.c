/* Adam with coupled decay: two steps by hand; without decay the same as AdamW. */
#include "tests/support/test.h"

#include "learners/optim/adam.h"
#include "learners/optim/adamw.h"

#include <math.h>
#include <string.h>

void test_adam_two_steps_by_hand(void **state)
{
    (void)state;
    const struct adam_options o = {0.1f, 0.9f, 0.999f, 1e-8f, 0.5f};
    float w[1] = {2}, g[1] = {1}, m[1] = {0}, v[1] = {0};
    adam_step(&o, 1, w, g, m, v, 1);
    /* the gradient is 1 + 0.5 * 2 = 2; the first step has the size of the rate */
    assert_near(m[0], 0.2, 1e-6);
    assert_near(v[0], 0.004, 1e-7);
    assert_near(w[0], 1.9, 1e-5);
    g[0] = -1;
    adam_step(&o, 2, w, g, m, v, 1);
    const double gradient = -1 + 0.5 * 1.9, first = 0.9 * 0.2 + 0.1 * gradient,
                 second = 0.999 * 0.004 + 0.001 * gradient * gradient;
    assert_near(w[0], 1.9 - 0.1 * (first / 0.19) / (sqrt(second / (1 - 0.999 * 0.999)) + 1e-8),
                1e-5);
}

void test_adam_without_decay_is_adamw_without_decay(void **state)
{
    (void)state;
    const struct adam_options o = {0.01f, 0.9f, 0.99f, 1e-6f, 0};
    const struct adamw_options w_o = {0.01f, 0.9f, 0.99f, 1e-6f, 0};
    float a[33], b[33], g[33], m[33] = {0}, v[33] = {0}, m2[33] = {0}, v2[33] = {0};
    for (int i = 0; i < 33; i++) {
        a[i] = b[i] = (float)i;
        g[i] = 0.1f * (float)(i - 16);
    }
    for (uint64_t step = 1; step < 5; step++) {
        adam_step(&o, step, a, g, m, v, 33);
        adamw_step(&w_o, step, b, g, m2, v2, 33);
    }
    assert_memory_equal(a, b, sizeof a);
}
