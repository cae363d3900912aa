/* Learning rates of the documents, the warm-up's ends, and clipping. */
#include "tests/support/test.h"

#include "learners/optim/clip.h"
#include "learners/optim/schedule.h"

#include <math.h>
#include <string.h>

void test_schedule_values_of_the_request_defaults(void **state)
{
    (void)state;
    const struct schedule s = {.lr_max = 1e-2f, .lr_min = 1e-5f, .total = 100};
    assert_near(schedule_cosine(&s, 0), 1.000e-2, 1e-8);
    assert_near(schedule_cosine(&s, 50), 5.005e-3, 1e-8);
    assert_near(schedule_cosine(&s, 99), 1.246e-5, 5e-9);
    assert_near(schedule_cosine(&s, 100), 1e-5, 1e-12);
    assert_near(schedule_cosine(&s, 1000000), 1e-5, 1e-12);
}

void test_schedule_warmup_rises_in_equal_steps(void **state)
{
    (void)state;
    const struct schedule s = {.lr_max = 1.0f, .lr_min = 0.0f, .warmup = 4, .total = 10};
    for (uint64_t i = 0; i < 4; i++)
        assert_near(schedule_cosine(&s, i), 0.25 * (double)(i + 1), 1e-7);
    assert_near(schedule_cosine(&s, 4), 1.0, 1e-7);
    assert_near(schedule_cosine(&s, 7), 0.5, 1e-7);
    for (uint64_t i = 4; i < 10; i++)
        assert_true(schedule_cosine(&s, i + 1) < schedule_cosine(&s, i));
}

void test_schedule_without_any_steps(void **state)
{
    (void)state;
    const struct schedule s = {.lr_max = 1.0f, .lr_min = 0.125f};
    assert_near(schedule_cosine(&s, 0), 0.125, 0);
}

void test_clip_norm_scales_only_above_the_limit(void **state)
{
    (void)state;
    float g[2] = {3, 4};
    assert_near(clip_norm(g, 2, 10), 5, 1e-6);
    assert_near(g[0], 3, 0);
    assert_near(clip_norm(g, 2, 0), 5, 1e-6);
    assert_near(g[1], 4, 0);
    assert_near(clip_norm(g, 2, 1), 5, 1e-6);
    assert_near(g[0], 0.6, 1e-6);
    assert_near(g[1], 0.8, 1e-6);
}

void test_clip_norm_leaves_bad_gradients_alone(void **state)
{
    (void)state;
    float g[2] = {NAN, 4};
    assert_true(isnan(clip_norm(g, 2, 1)));
    assert_near(g[1], 4, 0);
    g[0] = INFINITY;
    assert_true(isinf(clip_norm(g, 2, 1)));
    assert_near(g[1], 4, 0);
}
