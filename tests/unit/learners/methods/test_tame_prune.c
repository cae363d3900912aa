/* Pruning by magnitude, on vectors that can be checked by eye, and the steps of a fit's rate. */
#include "tests/support/test.h"

#include <string.h>

#include "learners/methods/tame/tame_fit.h"
#include "learners/methods/tame/tame_prune.h"

static const float weights[] = {0.5f, -0.1f, 3.0f, -0.2f, 0.05f, 9.0f, -2.0f, 0.2f, 0.0f, 1.0f};
#define FLOATS (sizeof weights / sizeof *weights)

/* Places 2 and 5 are biases. */
static const struct tame_prune_range ranges[] = {{0, 2}, {3, 2}, {6, 4}};

static size_t prune(double share, uint8_t mask[FLOATS])
{
    return tame_prune_mask(weights, FLOATS, ranges, 3, share, mask);
}

void test_tame_prune_smallest_go_biases_stay(void **state)
{
    (void)state;
    uint8_t mask[FLOATS];
    const uint8_t half[FLOATS] = {1, 0, 1, 0, 0, 1, 1, 1, 0, 1}; /* 0, 0.05, 0.1, first 0.2 */
    assert_int_equal(prune(0.5, mask), 4);
    assert_memory_equal(mask, half, sizeof half);
}

void test_tame_prune_bounds(void **state)
{
    (void)state;
    uint8_t mask[FLOATS];
    const uint8_t none[FLOATS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const uint8_t all[FLOATS] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0};
    assert_int_equal(prune(0.0, mask), 0);
    assert_memory_equal(mask, none, sizeof none);
    assert_int_equal(prune(1.0, mask), 8);
    assert_memory_equal(mask, all, sizeof all);
    /* share of 8 weights, rounded to the nearest count */
    assert_int_equal(prune(0.30, mask), 2);
    assert_int_equal(prune(0.32, mask), 3);
}

void test_tame_prune_ties_go_in_order(void **state)
{
    (void)state;
    const float same[6] = {1, -1, 1, 1, -1, 1};
    const struct tame_prune_range whole = {0, 6};
    const uint8_t expected[6] = {0, 0, 0, 0, 1, 1};
    uint8_t mask[6];
    assert_int_equal(tame_prune_mask(same, 6, &whole, 1, 4.0 / 6.0, mask), 4);
    assert_memory_equal(mask, expected, sizeof expected);
}

void test_tame_prune_applies_to_weights_and_momentum(void **state)
{
    (void)state;
    uint8_t mask[FLOATS];
    float w[FLOATS], m[FLOATS];
    memcpy(w, weights, sizeof w);
    for (size_t i = 0; i < FLOATS; i++)
        m[i] = 1.0f;
    (void)prune(0.5, mask);
    tame_prune_apply(mask, FLOATS, w, m);
    assert_int_equal(tame_prune_nonzero(w, FLOATS), 6);
    for (size_t i = 0; i < FLOATS; i++) {
        assert_near(w[i], mask[i] ? weights[i] : 0.0f, 0);
        assert_near(m[i], mask[i] ? 1.0f : 0.0f, 0);
    }
}

/* The figures of the paper: (0.02 K + 0.5) x 61,706. */
void test_tame_prune_published_figures(void **state)
{
    (void)state;
    const double expert = tame_prune_published(61706, 0.98);
    const double selector = tame_prune_published(61706, 0.5);
    assert_near(5 * expert + selector, 37024, 1);
    assert_near(20 * expert + selector, 55535, 1);
}

void test_tame_prune_rising(void **state)
{
    (void)state;
    assert_near(tame_prune_rising(0.8, 0, 4), 0.0, 0);
    assert_near(tame_prune_rising(0.8, 2, 4), 0.7, 1e-12); /* 0.8 x (1 - 1/8) */
    assert_near(tame_prune_rising(0.8, 4, 4), 0.8, 0);
    assert_near(tame_prune_rising(0.8, 9, 4), 0.8, 0);
    assert_near(tame_prune_rising(0.8, 0, 0), 0.8, 0);
}

void test_tame_fit_milestones_keep_their_shares(void **state)
{
    (void)state;
    struct tame_fit_problem p = {.n = 300};
    tame_fit_thinned(&p, 0.98);
    assert_int_equal(p.rising, 100);
    assert_int_equal(tame_fit_steps(&p), 600);
    tame_fit_shorten(&p, 20);
    assert_int_equal(p.milestones[0], 10);
    assert_int_equal(p.milestones[1], 15);
    assert_int_equal(p.rising, 10);
    tame_fit_shorten(&p, 1);
    assert_int_equal(p.milestones[0], 1);
    assert_int_equal(p.rising, 0); /* an epoch is too short for gradual pruning */
    tame_fit_selector(&p);
    tame_fit_shorten(&p, 7);
    assert_int_equal(p.milestones[0], 0);
    assert_int_equal(p.epochs, 7);
}
