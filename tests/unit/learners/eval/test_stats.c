/* Intervals and quantiles against published tables and small cases worked by hand. */
#include "tests/support/test.h"

#include <math.h>

#include "learners/eval/eval_report.h"
#include "learners/eval/stats.h"

static _Alignas(64) unsigned char memory[1 << 20];

static struct arena scratch_make(void)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    return a;
}

static void same_interval(struct eval_value v, double lo, double hi, double tolerance)
{
    assert_near(v.lo, lo, tolerance);
    assert_near(v.hi, hi, tolerance);
}

void test_stats_normal_quantile_matches_tables(void **state)
{
    (void)state;
    assert_near(stats_normal_quantile(0.5), 0.0, 0.0);
    assert_near(stats_normal_quantile(0.975), 1.959963984540054, 1e-13);
    assert_near(stats_normal_quantile(0.995), 2.575829303548901, 1e-13);
    assert_near(stats_normal_quantile(0.9), 1.281551565544600, 1e-13);
    assert_near(stats_normal_quantile(0.025), -1.959963984540054, 1e-13);
    assert_near(stats_normal_quantile(1e-10), -6.361340902404056, 1e-11);
    assert_near(stats_z(0.95), 1.959963984540054, 1e-13);
    assert_near(stats_z(0.99), 2.575829303548901, 1e-13);
}

void test_stats_normal_quantile_inverts_the_distribution(void **state)
{
    (void)state;
    for (int i = 1; i < 400; i++) {
        const double p = i / 400.0;
        assert_near(0.5 * erfc(-stats_normal_quantile(p) / sqrt(2.0)), p, 1e-14);
    }
}

void test_stats_t_quantile_matches_tables(void **state)
{
    (void)state;
    assert_near(stats_t_quantile(0.975, 29), 2.04522964, 2e-6);
    assert_near(stats_t_quantile(0.975, 30), 2.04227246, 2e-6);
    assert_near(stats_t_quantile(0.975, 60), 2.00029782, 2e-6);
    assert_near(stats_t_quantile(0.975, 120), 1.97993041, 2e-6);
    assert_near(stats_t_quantile(0.995, 30), 2.74999565, 2e-6);
    assert_near(stats_t_quantile(0.025, 30), -2.04227246, 2e-6);
}

/* Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3. */
void test_stats_wilson_matches_newcombe(void **state)
{
    (void)state;
    same_interval(stats_wilson(81, 263, 0.95), 0.2553, 0.3662, 5e-5);
    same_interval(stats_wilson(15, 148, 0.95), 0.0624, 0.1605, 5e-5);
    same_interval(stats_wilson(0, 20, 0.95), 0.0, 0.1611, 5e-5);
    same_interval(stats_wilson(1, 29, 0.95), 0.0061, 0.1718, 5e-5);
}

void test_stats_wilson_at_the_edges(void **state)
{
    (void)state;
    const struct eval_value none = stats_wilson(0, 0, 0.95);
    assert_int_equal(none.n, 0);
    assert_true(isnan(none.value) && isnan(none.lo) && isnan(none.hi));
    /* An erasure of five images: 0 of 5 reaches up to 0.43. */
    same_interval(stats_wilson(0, 5, 0.95), 0.0, 0.4345, 5e-5);
    const struct eval_value one = stats_wilson(1, 1, 0.95);
    same_interval(one, 0.2065, 1.0, 5e-5);
    for (uint32_t n = 1; n < 300; n++) {
        assert_true(stats_wilson(0, n, 0.95).lo == 0.0);
        assert_true(stats_wilson(n, n, 0.95).hi == 1.0);
    }
}

/* Worked by hand: b = 5, c = 1, n = 40: d = 4/42, half-width 1.959964 sqrt(7 - 16/42) / 42. */
void test_stats_paired_loss_matches_the_formula(void **state)
{
    (void)state;
    const struct eval_value v = stats_paired_loss((struct stats_paired){40, 5, 1}, 0.95);
    assert_near(v.value, 0.1, 1e-15);
    assert_near(0.5 * (v.lo + v.hi), 4.0 / 42.0, 1e-12);
    assert_near(0.5 * (v.hi - v.lo), 1.959963984540054 * sqrt(7.0 - 16.0 / 42.0) / 42.0, 1e-12);
    assert_int_equal(v.n, 40);
}

void test_stats_paired_loss_without_disagreement_keeps_a_width(void **state)
{
    (void)state;
    const struct eval_value v = stats_paired_loss((struct stats_paired){100, 0, 0}, 0.95);
    assert_near(v.value, 0.0, 0.0);
    assert_near(v.hi, 1.959963984540054 / 102.0, 1e-12);
    assert_near(v.lo, -v.hi, 1e-15);
    assert_int_equal(stats_paired_loss((struct stats_paired){0}, 0.95).n, 0);
}

static struct eval_value two_shares(uint32_t k1, uint32_t n1, uint32_t k2, uint32_t n2)
{
    return stats_difference(stats_wilson(k1, n1, 0.95), stats_wilson(k2, n2, 0.95));
}

/* Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10. */
void test_stats_difference_matches_newcombe(void **state)
{
    (void)state;
    same_interval(two_shares(56, 70, 48, 80), 0.0524, 0.3339, 5e-5);
    same_interval(two_shares(9, 10, 3, 10), 0.1705, 0.8090, 5e-5);
    same_interval(two_shares(6, 7, 2, 7), 0.0582, 0.8062, 5e-5);
    same_interval(two_shares(5, 56, 0, 29), -0.0381, 0.1926, 5e-5);
    same_interval(two_shares(0, 10, 0, 20), -0.1611, 0.2775, 5e-5);
    same_interval(two_shares(0, 10, 0, 10), -0.2775, 0.2775, 5e-5);
    same_interval(two_shares(10, 10, 0, 20), 0.6791, 1.0000, 5e-5);
    assert_int_equal(two_shares(1, 2, 0, 0).n, 0);
}

void test_stats_mean_needs_thirty_values(void **state)
{
    (void)state;
    double x[40];
    for (int i = 0; i < 40; i++)
        x[i] = i % 2;
    assert_int_equal(stats_mean(x, 0, 0.95).n, 0);
    const struct eval_value few = stats_mean(x, 29, 0.95);
    assert_near(few.value, 14.0 / 29.0, 1e-15);
    assert_true(isinf(few.lo) && few.lo < 0 && isinf(few.hi) && few.hi > 0);
    const struct eval_value enough = stats_mean(x, 40, 0.95);
    assert_near(enough.value, 0.5, 1e-15);
    /* sd = sqrt(10/39), t(39) = 2.0226909 */
    assert_near(enough.hi - 0.5, 2.0226909 * sqrt(10.0 / 39.0 / 40.0), 1e-7);
}

void test_stats_sort_is_stable_at_every_length(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 33; n++) {
        double x[33], y[33], tmp_x[33];
        uint32_t order[33], tmp[33];
        for (uint32_t i = 0; i < n; i++)
            x[i] = y[i] = (double)((i * 7) % 5);
        stats_sort_order(x, n, order, tmp);
        stats_sort(y, n, tmp_x);
        for (uint32_t i = 0; i < n; i++) {
            assert_near(y[i], x[order[i]], 0.0);
            if (i > 0 && x[order[i]] == x[order[i - 1]])
                assert_true(order[i] > order[i - 1]);
            if (i > 0)
                assert_true(y[i] >= y[i - 1]);
        }
    }
}

void test_stats_quantile_interpolates(void **state)
{
    (void)state;
    const double x[] = {1, 2, 4, 8};
    assert_near(stats_quantile(x, 4, 0.0), 1.0, 0.0);
    assert_near(stats_quantile(x, 4, 1.0), 8.0, 0.0);
    assert_near(stats_quantile(x, 4, 0.5), 3.0, 1e-15);
    assert_near(stats_quantile(x, 1, 0.3), 1.0, 0.0);
    const double infinite[] = {-HUGE_VAL, -HUGE_VAL, 1};
    assert_true(stats_quantile(infinite, 3, 0.25) == -HUGE_VAL);
}

static struct eval_value auc_of(const double *a, uint32_t n_a, const double *b, uint32_t n_b)
{
    struct arena scratch = scratch_make();
    const struct stats_samples s = {a, n_a, b, n_b};
    struct eval_value v;
    assert_int_equal(stats_auc(&s, 0.95, &scratch, &v), STATUS_OK);
    assert_int_equal(scratch.used, 0);
    return v;
}

/* a = {2,3,3}, b = {1,3}: psi rows (1,0) (1,.5) (1,.5); v = .5 .75 .75, w = 1, 1/3. */
void test_stats_auc_with_ties_by_hand(void **state)
{
    (void)state;
    const double a[] = {2, 3, 3}, b[] = {1, 3};
    struct arena scratch = scratch_make();
    const struct stats_samples s = {a, 3, b, 2};
    struct eval_value v;
    assert_int_equal(stats_auc(&s, 0.9, &scratch, &v), STATUS_OK);
    assert_near(v.value, 2.0 / 3.0, 1e-15);
    const double variance = (1.0 / 48.0) / 3.0 + (2.0 / 9.0) / 2.0;
    assert_near(v.lo, 2.0 / 3.0 - 1.6448536269514722 * sqrt(variance), 1e-12);
    assert_near(v.hi, 1.0, 0.0); /* cut: an area is at most 1 */
    assert_int_equal(v.n, 5);
}

void test_stats_auc_of_zero_and_one_uses_the_rule(void **state)
{
    (void)state;
    const double low[] = {1, 2, 3, 4}, high[] = {5, 6, 7};
    const double half = 1.0 - pow(0.025, 1.0 / 3.0);
    const struct eval_value one = auc_of(high, 3, low, 4), zero = auc_of(low, 4, high, 3);
    assert_near(one.value, 1.0, 0.0);
    assert_near(one.lo, 1.0 - half, 1e-15);
    assert_near(one.hi, 1.0, 0.0);
    assert_near(zero.value, 0.0, 0.0);
    assert_near(zero.lo, 0.0, 0.0);
    assert_near(zero.hi, half, 1e-15);
}

void test_stats_auc_of_all_ties_is_half_with_a_width(void **state)
{
    (void)state;
    const double same[] = {1, 1, 1, 1};
    const struct eval_value v = auc_of(same, 4, same, 4);
    assert_near(v.value, 0.5, 0.0);
    assert_near(v.hi - v.lo, 1.0, 1e-12); /* 1 - 0.025^(1/4) = 0.602: cut to [0,1] */
}

void test_stats_auc_of_one_item_knows_nothing(void **state)
{
    (void)state;
    const double a[] = {2}, b[] = {1, 2, 3}, c[] = {0, 1};
    const struct eval_value v = auc_of(a, 1, b, 3);
    assert_near(v.value, 0.5, 0.0);
    same_interval(v, 0.0, 1.0, 0.0);
    const struct eval_value one = auc_of(a, 1, c, 2);
    assert_near(one.value, 1.0, 0.0);
    assert_near(one.lo, 0.025, 1e-15);
    assert_int_equal(auc_of(a, 0, b, 3).n, 0);
    assert_int_equal(auc_of(a, 1, b, 0).n, 0);
}

void test_stats_auc_takes_infinite_scores(void **state)
{
    (void)state;
    const double a[] = {-HUGE_VAL, 1}, b[] = {-HUGE_VAL, 0};
    assert_near(auc_of(a, 2, b, 2).value, (0.5 + 0.0 + 1.0 + 1.0) / 4.0, 1e-15);
}

void test_stats_auc_refuses_a_small_arena(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3}, b[] = {4, 5, 6};
    const struct stats_samples s = {a, 3, b, 3};
    struct eval_value v;
    const size_t plan = stats_auc_plan(3, 3);
    for (size_t size = 0; size < plan; size += 64) {
        struct arena small;
        arena_init(&small, memory, size);
        const enum status status = stats_auc(&s, 0.95, &small, &v);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        if (size == 0)
            assert_int_equal(status, STATUS_NO_MEMORY);
        assert_int_equal(small.used, 0);
        arena_fini(&small);
    }
    struct arena enough;
    arena_init(&enough, memory, plan + 64);
    assert_int_equal(stats_auc(&s, 0.95, &enough, &v), STATUS_OK);
}

static struct eval_value rise_of(const struct stats_samples *before,
                                 const struct stats_samples *after)
{
    struct arena scratch = scratch_make();
    struct eval_value v;
    assert_int_equal(stats_auc_rise(before, after, 0.95, &scratch, &v), STATUS_OK);
    return v;
}

void test_stats_auc_rise_of_an_unchanged_model_is_exactly_zero(void **state)
{
    (void)state;
    const double a[] = {1, 4, 2, 6}, b[] = {3, 1, 5};
    const struct stats_samples s = {a, 4, b, 3};
    const struct eval_value v = rise_of(&s, &s);
    assert_near(v.value, 0.0, 0.0);
    same_interval(v, 0.0, 0.0, 0.0);
}

void test_stats_auc_rise_from_zero_to_one_keeps_a_width(void **state)
{
    (void)state;
    const double low[] = {1, 2, 3}, high[] = {4, 5, 6}, middle[] = {3.5, 3.5, 3.5};
    const struct stats_samples before = {low, 3, middle, 3}, after = {high, 3, middle, 3};
    const struct eval_value v = rise_of(&before, &after);
    assert_near(v.value, 1.0, 0.0);
    assert_near(v.lo, pow(0.025, 1.0 / 3.0), 1e-12);
}

void test_stats_ks_by_hand(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, 4}, b[] = {3, 4, 5, 6, 7};
    struct arena scratch = scratch_make();
    struct stats_samples s = {a, 4, b, 5};
    struct eval_value v;
    double p;
    assert_int_equal(stats_ks(&s, 0.95, &scratch, &v, &p), STATUS_OK);
    assert_near(v.value, 0.6, 1e-15); /* at 4: 1 against 2/5 */
    const double eps = sqrt(log(80.0) / 8.0) + sqrt(log(80.0) / 10.0);
    assert_near(v.lo, fmax(0.6 - eps, 0.0), 1e-12);
    assert_near(v.hi, 1.0, 0.0);
    s.n_b = 0;
    assert_int_equal(stats_ks(&s, 0.95, &scratch, &v, &p), STATUS_OK);
    assert_int_equal(v.n, 0);
    assert_true(isnan(p));
}

/* Kolmogorov's distribution: P(K > 1.3581) = 0.05, P(K > 1.6276) = 0.01. */
void test_stats_ks_p_value_matches_the_table(void **state)
{
    (void)state;
    enum { N = 200 };
    double a[N], b[N];
    for (int i = 0; i < N; i++) {
        a[i] = i;
        b[i] = i + 27.5; /* D = 28/200 = 0.14, sqrt(100) D = 1.4 */
    }
    struct arena scratch = scratch_make();
    const struct stats_samples s = {a, N, b, N};
    struct eval_value v;
    double p;
    assert_int_equal(stats_ks(&s, 0.95, &scratch, &v, &p), STATUS_OK);
    assert_near(v.value, 0.14, 1e-12);
    assert_near(p, 0.0396817, 1e-6);
}

static double mean_statistic(const void *context, const uint32_t *times, uint32_t n)
{
    const double *x = context;
    double sum = 0.0, count = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        sum += times[i] * x[i];
        count += times[i];
    }
    return sum / count;
}

static struct eval_value
bootstrap_of(const double *x, const uint32_t *stratum, uint32_t n, uint32_t n_strata, uint64_t seed)
{
    struct arena scratch = scratch_make();
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "test", 0);
    const struct stats_bootstrap b = {stratum, n, n_strata, 1000, 0.95};
    struct eval_value v;
    assert_int_equal(stats_bootstrap_run(&b, mean_statistic, x, &rng, &scratch, &v), STATUS_OK);
    return v;
}

void test_stats_bootstrap_of_a_mean_is_near_the_normal_interval(void **state)
{
    (void)state;
    double x[200];
    uint32_t stratum[200] = {0};
    for (int i = 0; i < 200; i++)
        x[i] = i % 2;
    const struct eval_value v = bootstrap_of(x, stratum, 200, 1, 1);
    assert_near(v.value, 0.5, 1e-15);
    assert_near(v.hi - v.lo, 2 * 1.96 * sqrt(0.25 / 200), 0.02);
    const struct eval_value again = bootstrap_of(x, stratum, 200, 1, 1);
    assert_true(v.lo == again.lo && v.hi == again.hi);
    const struct eval_value other = bootstrap_of(x, stratum, 200, 1, 2);
    assert_true(v.lo != other.lo || v.hi != other.hi);
}

/* Redrawing within strata of equal values changes nothing: the interval is a point. */
void test_stats_bootstrap_keeps_the_strata(void **state)
{
    (void)state;
    double x[60];
    uint32_t stratum[60];
    for (uint32_t i = 0; i < 60; i++) {
        stratum[i] = i % 3;
        x[i] = stratum[i];
    }
    const struct eval_value v = bootstrap_of(x, stratum, 60, 5, 3);
    assert_near(v.value, 1.0, 1e-15);
    same_interval(v, 1.0, 1.0, 1e-12);
}

void test_stats_bootstrap_needs_twenty_items(void **state)
{
    (void)state;
    double x[20] = {0};
    uint32_t stratum[20] = {0};
    assert_int_equal(bootstrap_of(x, stratum, 0, 1, 1).n, 0);
    const struct eval_value few = bootstrap_of(x, stratum, 19, 1, 1);
    assert_true(isinf(few.lo) && isinf(few.hi) && few.n == 19);
    assert_true(isfinite(bootstrap_of(x, stratum, 20, 1, 1).hi));
}
