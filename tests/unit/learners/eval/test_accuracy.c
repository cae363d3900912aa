/* Answers and what follows from them: ties, empty classes, drops below zero, golden values. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"

#define LN_2 0.69314718055994530942

static _Alignas(64) unsigned char memory[1 << 20];

static struct arena scratch_make(void)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    return a;
}

void test_accuracy_argmax_takes_the_lowest_of_a_tie(void **state)
{
    (void)state;
    const float tie[] = {1, 3, 3, 2};
    const uint8_t live[] = {1, 0, 1, 1}, none[] = {0, 0, 0, 0};
    assert_int_equal(accuracy_argmax(tie, 4, NULL), 1);
    assert_int_equal(accuracy_argmax(tie, 4, live), 2);
    assert_int_equal(accuracy_argmax(tie, 4, none), 4);
    const float missing[] = {-INFINITY, -INFINITY, -7};
    assert_int_equal(accuracy_argmax(missing, 3, NULL), 2);
}

void test_accuracy_masked_labels_cannot_be_answered(void **state)
{
    (void)state;
    const float logits[] = {0, 5, 1, 0, 5, 1};
    const uint32_t labels[] = {1, 2};
    const uint8_t live[] = {1, 0, 1};
    uint8_t right[2];
    assert_int_equal(accuracy_right(logits, labels, 2, 3, NULL, right), 1);
    assert_int_equal(right[0], 1);
    assert_int_equal(accuracy_right(logits, labels, 2, 3, live, right), 1);
    assert_int_equal(right[1], 1);
}

static void tally_make(struct accuracy_tally *t, uint32_t n, uint32_t before, uint32_t after)
{
    *t = (struct accuracy_tally){.n = n, .right = after, .right_before = before};
    t->paired.n = n;
    t->paired.lost = before > after ? before - after : 0;
    t->paired.gained = after > before ? after - before : 0;
}

void test_accuracy_count_pairs_the_answers(void **state)
{
    (void)state;
    const uint32_t labels[] = {0, 1, 1, 1, 0};
    const uint8_t after[] = {1, 0, 1, 1, 0}, before[] = {1, 1, 0, 1, 0};
    struct accuracy_tally t[2] = {{0}};
    accuracy_count(labels, after, before, 5, t);
    assert_int_equal(t[1].n, 3);
    assert_int_equal(t[1].right, 2);
    assert_int_equal(t[1].right_before, 2);
    assert_int_equal(t[1].paired.lost, 1);
    assert_int_equal(t[1].paired.gained, 1);
    const uint8_t keep[] = {1, 0};
    assert_int_equal(accuracy_total(t, 2, keep).n, 2);
    assert_int_equal(accuracy_total(t, 2, NULL).n, 5);
    accuracy_count(labels, after, NULL, 5, t);
    assert_int_equal(t[1].n, 6);
    assert_int_equal(t[1].paired.n, 3);
    const struct eval_value before_share = accuracy_micro_before(&t[1]);
    assert_near(before_share.value, 2.0 / 3.0, 1e-15);
}

void test_accuracy_macro_passes_over_empty_classes(void **state)
{
    (void)state;
    struct accuracy_tally t[4] = {{0}};
    tally_make(&t[0], 10, 10, 5);
    tally_make(&t[2], 40, 30, 30);
    const struct eval_value v = accuracy_macro(t, 4, 0.95);
    assert_near(v.value, (0.5 + 0.75) / 2, 1e-15);
    assert_int_equal(v.n, 50);
    const double half = 1.959963984540054 * sqrt(0.25 / 10 + 0.1875 / 40) / 2;
    assert_near(v.hi - v.value, half, 1e-12);
    const struct accuracy_tally empty[2] = {{0}};
    assert_int_equal(accuracy_macro(empty, 2, 0.95).n, 0);
    assert_int_equal(accuracy_loss_macro(empty, 2, 0.95).n, 0);
}

/* All right everywhere: the variance formula gives 0, the interval must not be a point. */
void test_accuracy_macro_at_one_keeps_a_width(void **state)
{
    (void)state;
    struct accuracy_tally t[2];
    tally_make(&t[0], 10, 10, 10);
    tally_make(&t[1], 10, 10, 10);
    const struct eval_value v = accuracy_macro(t, 2, 0.95);
    assert_near(v.value, 1.0, 0.0);
    assert_near(v.lo, stats_wilson(20, 20, 0.95).lo, 1e-15);
    assert_near(v.hi, 1.0, 0.0);
}

void test_accuracy_worst_uses_the_bonferroni_level(void **state)
{
    (void)state;
    struct accuracy_tally t[5] = {{0}};
    tally_make(&t[0], 100, 90, 80);
    tally_make(&t[1], 100, 90, 80); /* a tie: the lower index is named */
    tally_make(&t[3], 29, 29, 0);   /* too small to be judged */
    tally_make(&t[4], 100, 90, 95);
    uint32_t which;
    const struct eval_value worst = accuracy_worst(t, 5, 30, 0.95, &which);
    assert_int_equal(which, 0);
    assert_near(worst.lo, stats_wilson(80, 100, 1.0 - 0.05 / 3).lo, 1e-15);
    assert_near(worst.hi, stats_wilson(80, 100, 1.0 - 0.05 / 3).hi, 1e-15);
    const struct eval_value loss = accuracy_loss_worst(t, 5, 30, 0.95, &which);
    assert_int_equal(which, 0);
    assert_near(loss.value, 0.10, 1e-15);
    const struct eval_value one = stats_paired_loss(t[0].paired, 1.0 - 0.05 / 3);
    assert_near(loss.lo, one.lo, 1e-15);
    assert_near(loss.hi, one.hi, 1e-15);
    assert_int_equal(accuracy_worst(t, 5, 1000, 0.95, &which).n, 0);
    assert_int_equal(which, 5);
}

/* A small class may have the worst estimate while a large one surely lost more: the interval of
 * the extreme takes the best-known ends of both. */
void test_accuracy_loss_worst_joins_the_ends_of_all_classes(void **state)
{
    (void)state;
    struct accuracy_tally t[2];
    tally_make(&t[0], 30, 10, 4);
    tally_make(&t[1], 3000, 900, 360);
    uint32_t which;
    const struct eval_value v = accuracy_loss_worst(t, 2, 30, 0.95, &which);
    const struct eval_value small = stats_paired_loss(t[0].paired, 0.975);
    const struct eval_value large = stats_paired_loss(t[1].paired, 0.975);
    assert_int_equal(which, 0);
    assert_near(v.value, 0.2, 1e-15);
    assert_near(v.lo, large.lo, 1e-15);
    assert_near(v.hi, small.hi, 1e-15);
}

static struct eval_value plain(double value, double lo, double hi)
{
    return (struct eval_value){value, lo, hi, 100};
}

void test_accuracy_h_mean_is_zero_unless_something_was_dropped(void **state)
{
    (void)state;
    const struct eval_value acc = plain(0.9, 0.85, 0.95);
    const struct eval_value h = accuracy_h_mean(acc, plain(0.6, 0.5, 0.7));
    assert_near(h.value, 2 * 0.9 * 0.6 / 1.5, 1e-15);
    assert_near(h.lo, 2 * 0.85 * 0.5 / 1.35, 1e-15);
    assert_near(h.hi, 2 * 0.95 * 0.7 / 1.65, 1e-15);
    assert_near(accuracy_h_mean(acc, plain(-0.1, -0.2, 0.1)).value, 0.0, 0.0);
    assert_near(accuracy_h_mean(acc, plain(0.0, -0.2, 0.1)).value, 0.0, 0.0);
    assert_near(accuracy_h_mean(acc, plain(-0.1, -0.2, 0.1)).lo, 0.0, 0.0);
    assert_near(accuracy_h_mean(plain(0, 0, 0), plain(0, 0, 0)).value, 0.0, 0.0);
    assert_int_equal(accuracy_h_mean(eval_report_absent(), acc).n, 0);
}

void test_accuracy_softmax_and_loss_survive_large_logits(void **state)
{
    (void)state;
    const float logits[] = {1e30f, 0, -1e30f};
    double p[3];
    accuracy_softmax(logits, 3, NULL, p);
    assert_near(p[0], 1.0, 0.0);
    assert_near(p[2], 0.0, 0.0);
    assert_near(accuracy_loss(logits, 3, 0), 0.0, 0.0);
    assert_true(accuracy_loss(logits, 3, 1) == 1e30);
    const float even[] = {2, 2, 2, 2};
    assert_near(accuracy_loss(even, 4, 3), log(4.0), 1e-15);
    const float missing[] = {0, -INFINITY};
    assert_true(accuracy_loss(missing, 2, 1) == 1e30);
    const uint8_t live[] = {1, 0, 1, 1};
    accuracy_softmax(even, 4, live, (double[4]){0});
    double q[4];
    accuracy_softmax(even, 4, live, q);
    assert_near(q[1], 0.0, 0.0);
    assert_near(q[0], 1.0 / 3.0, 1e-15);
}

void test_accuracy_js_of_equal_and_disjoint_distributions(void **state)
{
    (void)state;
    const double p[] = {0.5, 0.5, 0, 0}, q[] = {0, 0, 0.25, 0.75}, r[] = {0.25, 0.75, 0, 0};
    assert_near(accuracy_js(p, p, 4), 0.0, 0.0);
    assert_near(accuracy_js(p, q, 4), LN_2, 1e-15);
    assert_near(accuracy_js(p, r, 4), accuracy_js(r, p, 4), 1e-16);
    /* (.5 ln(.5/.375) + .5 ln(.5/.625) + .25 ln(.25/.375) + .75 ln(.75/.625)) / 2 */
    const double expected =
        0.5 * (0.5 * log(4.0 / 3.0) + 0.5 * log(0.8) + 0.25 * log(2.0 / 3.0) + 0.75 * log(1.2));
    assert_near(accuracy_js(p, r, 4), expected, 1e-15);
}

static struct accuracy_drift
drift_of(const float *before, const float *after, uint32_t n, uint32_t K)
{
    struct arena scratch = scratch_make();
    struct accuracy_drift d;
    assert_int_equal(accuracy_drift_run(before, after, n, K, &scratch, &d), STATUS_OK);
    assert_int_equal(scratch.used, 0);
    return d;
}

void test_accuracy_drift_of_the_same_model_is_zero(void **state)
{
    (void)state;
    float z[40 * 3];
    for (int i = 0; i < 120; i++)
        z[i] = (float)(i % 7);
    const struct accuracy_drift d = drift_of(z, z, 40, 3);
    assert_near(d.mean.value, 0.0, 0.0);
    assert_near(d.mean.hi, 0.0, 0.0);
    assert_near(d.max.value, 0.0, 0.0);
    assert_int_equal(drift_of(z, z, 0, 3).mean.n, 0);
    assert_true(isinf(drift_of(z, z, 29, 3).mean.hi));
}

void test_accuracy_drift_ignores_outputs_the_parent_lacks(void **state)
{
    (void)state;
    const float before[] = {1, 2, -INFINITY}, after[] = {1, 2, 9},
                gone[] = {-INFINITY, -INFINITY, 1};
    assert_near(drift_of(before, after, 1, 3).mean.value, 0.0, 1e-16);
    assert_near(drift_of(before, gone, 1, 3).mean.value, LN_2, 1e-15);
}

void test_accuracy_ece_by_hand(void **state)
{
    (void)state;
    /* Two images at confidence 0.8 (one right), two at 0.6 (both right): 0.5*0.3 + 0.5*0.4. */
    const float high = (float)log(4.0), low = (float)log(1.5);
    const float logits[] = {high, 0, high, 0, low, 0, low, 0};
    const uint32_t labels[] = {0, 1, 0, 0};
    uint8_t right[4];
    accuracy_right(logits, labels, 4, 2, NULL, right);
    struct arena scratch = scratch_make();
    const struct rng_root root = {.seed = 5};
    struct rng rng;
    rng_init(&rng, &root, "test", 0);
    const struct accuracy_calibration c = {logits, labels, right, 4, 2, NULL, 100};
    struct eval_value ece;
    assert_int_equal(accuracy_ece(&c, &rng, &scratch, &ece), STATUS_OK);
    assert_near(ece.value, 0.35, 1e-7);
    assert_true(isinf(ece.hi)); /* four images carry no interval */
}

void test_accuracy_ece_of_certain_right_answers_is_zero(void **state)
{
    (void)state;
    float logits[30 * 2];
    uint32_t labels[30];
    uint8_t right[30];
    for (uint32_t i = 0; i < 30; i++) {
        labels[i] = i % 2;
        logits[2 * i] = labels[i] ? -500 : 500;
        logits[2 * i + 1] = 0;
    }
    accuracy_right(logits, labels, 30, 2, NULL, right);
    struct arena scratch = scratch_make();
    const struct rng_root root = {.seed = 5};
    struct rng rng;
    rng_init(&rng, &root, "test", 0);
    const struct accuracy_calibration c = {logits, labels, right, 30, 2, NULL, 100};
    struct eval_value ece;
    assert_int_equal(accuracy_ece(&c, &rng, &scratch, &ece), STATUS_OK);
    assert_near(ece.value, 0.0, 1e-12);
    assert_near(ece.hi, 0.0, 1e-12);
}

void test_accuracy_neighbours_are_the_nearest_live_classes(void **state)
{
    (void)state;
    /* Directions at 0, 10, 20, 30, 170 and 90 degrees; the target is class 0. */
    const double degrees[] = {0, 20, 10, 30, 170, 90};
    float p[12];
    for (int c = 0; c < 6; c++) {
        p[2 * c] = (float)((c + 1) * cos(degrees[c] * 0.0174532925));
        p[2 * c + 1] = (float)((c + 1) * sin(degrees[c] * 0.0174532925));
    }
    const uint8_t live[] = {0, 1, 1, 1, 1, 1}, target[] = {1, 0, 0, 0, 0, 0};
    uint8_t known[] = {1, 1, 1, 1, 1, 1};
    const struct accuracy_prototypes all = {p, known, 6, 2};
    uint32_t near[3];
    accuracy_neighbours(&all, live, target, near, 3);
    assert_int_equal(near[0], 2);
    assert_int_equal(near[1], 1);
    assert_int_equal(near[2], 3);
    known[2] = known[3] = known[4] = 0;
    accuracy_neighbours(&all, live, target, near, 3);
    assert_int_equal(near[0], 1);
    assert_int_equal(near[1], 5);
    assert_int_equal(near[2], 6); /* there is no third */
    known[0] = 0;
    accuracy_neighbours(&all, live, target, near, 3);
    assert_int_equal(near[0], 6);
}

void test_accuracy_rank_shares_ties(void **state)
{
    (void)state;
    const float z[] = {3, 1, 3, 0, 3};
    assert_near(accuracy_rank(z, 5, 0), 2.0, 0.0);
    assert_near(accuracy_rank(z, 5, 1), 4.0, 0.0);
    assert_near(accuracy_rank(z, 5, 3), 5.0, 0.0);
    const float even[] = {1, 1, 1, 1};
    assert_near(accuracy_rank(even, 4, 2), 2.5, 0.0); /* neutral (K+1)/2 */
}

void test_accuracy_pile_up_counts_losses_at_the_bound(void **state)
{
    (void)state;
    enum { N = 40, K = 4 };
    float z[N * K] = {0};
    uint32_t labels[N] = {0};
    /* CE = ln(3 + e^z) - z: a quarter of the images is pushed to CE near 10, the rest to chance. */
    for (int i = 0; i < N; i += 4)
        z[i * K] = -8.9014f;
    struct arena scratch = scratch_make();
    struct accuracy_true_class t;
    assert_int_equal(accuracy_true_class_run(z, labels, N, K, 10.0, &scratch, &t), STATUS_OK);
    assert_near(t.pile_up.value, 0.25, 1e-15);
    assert_near(t.mean_p.value, 0.75 * 0.25 + 0.25 * exp(-10.0), 1e-5);
    assert_near(t.mean_rank.value, 0.75 * 2.5 + 0.25 * 4.0, 1e-12);
    assert_int_equal(accuracy_true_class_run(z, labels, N, K, 0.0, &scratch, &t), STATUS_OK);
    assert_int_equal(t.pile_up.n, 0);
}
