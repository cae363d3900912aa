/* Membership scores and tests: hand-worked scores, two-sidedness, empty and small sets. */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>

#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/membership.h"

#define K 3u

static _Alignas(64) unsigned char memory[4 << 20];

static struct arena scratch_make(void)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    return a;
}

/* n rows of class 0 whose true logit is first, first + step, ... against two zeros. */
static struct membership_set
ladder(float *logits, uint32_t *labels, uint32_t n, float first, float step)
{
    for (uint32_t i = 0; i < n; i++) {
        labels[i] = 0;
        logits[i * K] = first + step * (float)i;
        logits[i * K + 1] = logits[i * K + 2] = 0;
    }
    return (struct membership_set){logits, labels, n};
}

void test_membership_scores_are_minus_the_loss(void **state)
{
    (void)state;
    float logits[2 * K];
    uint32_t labels[2];
    double score[2];
    const struct membership_set s = ladder(logits, labels, 2, 0, 1);
    membership_scores(&s, K, score);
    assert_near(score[0], -log(3.0), 1e-15);
    assert_near(score[1], 1.0 - log(exp(1.0) + 2.0), 1e-15);
}

void test_membership_modified_entropy_by_hand(void **state)
{
    (void)state;
    const double p[] = {0.7, 0.2, 0.1};
    /* -(0.3 ln 0.7) - (0.2 ln 0.8 + 0.1 ln 0.9) */
    const double right = -(0.3 * log(0.7) + 0.2 * log(0.8) + 0.1 * log(0.9));
    assert_near(membership_modified_entropy(p, K, 0), right, 1e-15);
    const double wrong = -(0.9 * log(0.1) + 0.7 * log(0.3) + 0.2 * log(0.8));
    assert_near(membership_modified_entropy(p, K, 2), wrong, 1e-15);
    const double sure[] = {1, 0, 0};
    assert_near(membership_modified_entropy(sure, K, 0), 0.0, 0.0);
    assert_true(isfinite(membership_modified_entropy(sure, K, 1)));
    assert_true(membership_modified_entropy(sure, K, 1) > 1e29);
}

void test_membership_distance_is_two_sided(void **state)
{
    (void)state;
    const struct eval_value high = membership_distance((struct eval_value){0.8, 0.7, 0.9, 50});
    const struct eval_value low = membership_distance((struct eval_value){0.2, 0.1, 0.3, 50});
    const struct eval_value even = membership_distance((struct eval_value){0.52, 0.4, 0.6, 50});
    assert_near(high.value, 0.3, 1e-15);
    assert_near(high.lo, 0.2, 1e-15);
    assert_near(high.hi, 0.4, 1e-15);
    assert_near(low.value, high.value, 1e-15);
    assert_near(low.lo, high.lo, 1e-15);
    assert_near(low.hi, high.hi, 1e-15);
    assert_near(even.lo, 0.0, 0.0);
    assert_near(even.hi, 0.1, 1e-15);
    assert_int_equal(membership_distance(eval_report_absent()).n, 0);
}

static struct membership_result run(const struct membership_set *a, const struct membership_set *b)
{
    struct arena scratch = scratch_make();
    const struct rng_root root = {.seed = 9};
    struct rng rng;
    struct membership_result r;
    rng_init(&rng, &root, "test", 0);
    assert_int_equal(membership_run(a, b, K, 200, &rng, &scratch, &r), STATUS_OK);
    assert_int_equal(scratch.used, 0);
    return r;
}

void test_membership_of_the_same_items_is_neutral(void **state)
{
    (void)state;
    float logits[50 * K];
    uint32_t labels[50];
    const struct membership_set s = ladder(logits, labels, 50, -2, 0.1f);
    const struct membership_result r = run(&s, &s);
    assert_near(r.auc.value, 0.5, 1e-15);
    assert_near(r.distance.value, 0.0, 1e-15);
    assert_near(r.entropy_auc.value, 0.5, 1e-15);
    assert_near(r.ks.value, 0.0, 0.0);
    assert_near(r.ks_p, 1.0, 0.0);
    assert_near(r.exposed_decile.value, 0.0, 0.0);
    assert_int_equal(r.tpr_01.n, 0); /* 50 unseen items say nothing about 1 % */
}

void test_membership_tells_pushed_items_from_unseen_ones(void **state)
{
    (void)state;
    float a_logits[40 * K], b_logits[30 * K];
    uint32_t a_labels[40], b_labels[30];
    const struct membership_set pushed = ladder(a_logits, a_labels, 40, -15, 0.1f);
    const struct membership_set unseen = ladder(b_logits, b_labels, 30, 0, 0.1f);
    const struct membership_result r = run(&pushed, &unseen);
    assert_near(r.auc.value, 0.0, 0.0);
    assert_near(r.distance.value, 0.5, 0.0);
    assert_true(r.distance.lo > 0.35);
    assert_near(r.unseen_auc.value, 1.0, 0.0);
    assert_near(r.ks.value, 1.0, 0.0);
    assert_true(r.ks_p < 1e-6);
    assert_true(r.exposed_decile.hi < -5.0);
}

/* The decile by hand: 20 members, the two most member-like; 11 others, ceil(1.1) = 2. */
void test_membership_exposed_decile_by_hand(void **state)
{
    (void)state;
    float a_logits[20 * K], b_logits[11 * K];
    uint32_t a_labels[20], b_labels[11];
    const struct membership_set a = ladder(a_logits, a_labels, 20, 0, 0.25f);
    const struct membership_set b = ladder(b_logits, b_labels, 11, 0, 0.25f);
    double s[20], t[11];
    membership_scores(&a, K, s);
    membership_scores(&b, K, t);
    const struct membership_result r = run(&a, &b);
    assert_near(r.exposed_decile.value, (s[18] + s[19]) / 2 - (t[9] + t[10]) / 2, 1e-14);
    assert_true(r.exposed_decile.lo < r.exposed_decile.value);
}

void test_membership_of_an_empty_set_is_not_measured(void **state)
{
    (void)state;
    float logits[4 * K];
    uint32_t labels[4];
    const struct membership_set some = ladder(logits, labels, 4, 0, 1);
    const struct membership_set none = {NULL, NULL, 0};
    const struct membership_result r = run(&some, &none), q = run(&none, &some);
    assert_int_equal(r.auc.n + r.ks.n + r.exposed_decile.n + r.distance.n + r.unseen_auc.n, 0);
    assert_int_equal(q.auc.n + q.ks.n, 0);
}

void test_membership_low_fpr_needs_a_thousand_unseen_items(void **state)
{
    (void)state;
    enum { N = 1000 };
    float *logits = calloc((size_t)(N + 50) * K, sizeof *logits);
    uint32_t *labels = calloc(N + 50, sizeof *labels);
    const struct membership_set others = ladder(logits, labels, N, 0, 0.01f);
    struct membership_set members = ladder(logits + N * K, labels + N, 50, 9.0f, 0.04f);
    struct membership_result r = run(&members, &others);
    /* The 99 % quantile of the others lies at logit 9.8901: members above have i >= 23. */
    assert_near(r.tpr_01.value, 27.0 / 50.0, 1e-15);
    assert_int_equal(r.tpr_001.n, 0);
    struct membership_set fewer = others;
    fewer.n = N - 1;
    r = run(&members, &fewer);
    assert_int_equal(r.tpr_01.n, 0);
    free(logits);
    free(labels);
}

void test_membership_reference_auc_looks_at_the_erased_labels(void **state)
{
    (void)state;
    float a_logits[10 * K], b_logits[10 * K];
    uint32_t a_labels[10], b_labels[10];
    const struct membership_set hidden = ladder(a_logits, a_labels, 10, -9, 0.1f);
    const struct membership_set strange = ladder(b_logits, b_labels, 10, 0, 0.1f);
    const uint8_t target[K] = {1, 0, 0};
    struct arena scratch = scratch_make();
    struct eval_value v;
    assert_int_equal(membership_reference_auc(&hidden, &strange, K, target, &scratch, &v),
                     STATUS_OK);
    assert_near(v.value, 1.0, 0.0); /* every erased image denies its class more than a stranger */
}

void test_membership_rise_is_measured_on_the_same_items(void **state)
{
    (void)state;
    float a_logits[30 * K], b_logits[30 * K], a_before[30 * K], b_before[30 * K];
    uint32_t labels[30];
    const struct membership_set a = ladder(a_logits, labels, 30, 3, 0.1f);
    const struct membership_set b = ladder(b_logits, labels, 30, 0, 0.1f);
    (void)ladder(a_before, labels, 30, 0, 0.1f);
    (void)ladder(b_before, labels, 30, 0, 0.1f);
    struct arena scratch = scratch_make();
    struct eval_value v;
    assert_int_equal(membership_rise(&a, a_before, &b, b_before, K, &scratch, &v), STATUS_OK);
    assert_near(v.value, 0.5, 1e-12);
    assert_true(v.lo > 0.3 && v.hi < 0.7);
}
