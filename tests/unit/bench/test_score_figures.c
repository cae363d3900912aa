/* Figures of scores: values worked out by hand, links to probabilities, thresholds, spreads. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "bench/multilane/score_figures.h"

static const struct protocol single = {"one", 0, 2, {2, 1}};
static const struct protocol several = {"many", 1, 2, {2, 1}};

void test_score_figures_of_one_label(void **state)
{
    (void)state;
    /* five images of classes 0, 0, 1, 2, 2; after task 1 the third column must not be read */
    static const float scores[] = {2, 1, 9, 1, 2, 0, 0, 3, 1, 0, 1, 2, 5, 1, 2};
    static const uint8_t hot[] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1};
    double a[2], all;
    struct fault f = {0};
    struct score_view v = {&single, scores, hot, 3, 1, SCORE_LOGIT};
    assert_int_equal(score_session(&v, a, &all, &f), STATUS_OK);
    assert_near(a[0], 200.0 / 3.0, 1e-9);
    assert_near(all, 200.0 / 3.0, 1e-9);
    v.n = 5;
    v.tasks = 2;
    assert_int_equal(score_session(&v, a, &all, &f), STATUS_OK);
    assert_near(a[0], 100.0 / 3.0, 1e-9); /* image 0 now goes to class 2 */
    assert_near(a[1], 50.0, 1e-9);
    assert_near(all, 125.0 / 3.0, 1e-9); /* tasks weigh the same */
}

void test_score_figures_of_several_labels(void **state)
{
    (void)state;
    /* class 0: ranks 1 and 3 of 3 are positive, AP (1 + 2/3)/2; class 1: AP 1/2; class 2: AP 1 */
    static const float scores[] = {0.9f, 0.6f, 0.1f, 0.5f, 0.4f, 0.9f, 0.1f, 0.9f, 0.0f};
    static const uint8_t hot[] = {1, 0, 0, 0, 1, 1, 1, 1, 0};
    double a[2], all;
    struct fault f = {0};
    const struct score_view v = {&several, scores, hot, 3, 2, SCORE_PLAIN};
    assert_int_equal(score_session(&v, a, &all, &f), STATUS_OK);
    const double ap0 = (1.0 + 2.0 / 3.0) / 2.0, ap1 = (1.0 + 2.0 / 3.0) / 2.0;
    assert_near(a[0], 50.0 * (ap0 + ap1), 1e-6);
    assert_near(a[1], 100.0, 1e-6);
    assert_near(all, 100.0 * (ap0 + ap1 + 1.0) / 3.0, 1e-6);
    struct score_f1 at;
    /* above 0.8: three answers, all right, of five labels */
    assert_int_equal(score_f1(&v, 0.8, &at, &f), STATUS_OK);
    assert_near(at.of1, 75.0, 1e-6);
    assert_near(at.cf1_mean_f1, 100.0 * (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0, 1e-6);
    assert_near(at.cf1_literature, 200.0 * (2.0 / 3.0) / (1.0 + 2.0 / 3.0), 1e-6);
}

void test_score_figures_links_agree(void **state)
{
    (void)state;
    static const float p[] = {0.9f, 0.6f, 0.1f, 0.5f, 0.4f, 0.95f, 0.15f, 0.9f, 0.02f};
    static const uint8_t hot[] = {1, 0, 0, 0, 1, 1, 1, 1, 0};
    float logits[9], logs[9];
    struct fault f = {0};
    for (int i = 0; i < 9; i++) {
        logits[i] = logf(p[i] / (1.0f - p[i]));
        logs[i] = logf(p[i]);
    }
    const float *const scores[] = {[SCORE_LOGIT] = logits, [SCORE_LOG] = logs, [SCORE_PLAIN] = p};
    for (int link = SCORE_LOGIT; link <= SCORE_PLAIN; link++) {
        const struct score_view v = {&several, scores[link], hot, 3, 2, (enum score_link)link};
        struct score_f1 at;
        double threshold;
        assert_int_equal(score_f1(&v, 0.8, &at, &f), STATUS_OK);
        assert_near(at.of1, 75.0, 1e-6);
        /* at 0.1 seven answers with all five right, at 0.35 six with four, and so on */
        assert_int_equal(score_threshold(&v, &threshold, &f), STATUS_OK);
        assert_near(threshold, 0.1, 1e-9);
    }
}

void test_score_figures_summaries(void **state)
{
    (void)state;
    static const double a[] = {90, 0, 0, 80, 95, 0, 85, 75, 60}, sessions[] = {90, 87.5, 220 / 3.0};
    const struct score_summary s = score_summarise(a, sessions, 3);
    assert_near(s.last, 220 / 3.0, 1e-9);
    assert_near(s.average, (90 + 87.5 + 220 / 3.0) / 3, 1e-9);
    assert_near(s.forgetting, (5.0 + 20.0) / 2, 1e-9);
    const double values[] = {1, 2, 6};
    assert_near(score_spread_of(values, 3).mean, 3.0, 1e-12);
    assert_near(score_spread_of(values, 3).deviation, sqrt(7.0), 1e-12);
    assert_near(score_spread_of(values, 1).deviation, 0.0, 0.0);
    assert_true(isnan(score_spread_of(values, 0).mean));
}
