/*
 * Properties of the evaluation under random inputs; the seed of a failing case is printed with it.
 */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/stats.h"

#define CASES 200u

static _Alignas(64) unsigned char memory[1 << 20];

static struct arena arena_make(void)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    return a;
}

static struct rng rng_make(uint64_t seed)
{
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "property", 0);
    return rng;
}

/* Scores on a coarse grid, so that ties are common. */
static void random_scores(struct rng *rng, double *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = (double)rng_below(rng, 12);
}

#define CHECK(condition, seed)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s, seed %u", #condition, (unsigned)(seed));                                 \
    } while (0)

static double brute_force_auc(const struct stats_samples *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->n_a; i++) {
        for (uint32_t j = 0; j < s->n_b; j++)
            sum += s->a[i] > s->b[j] ? 1.0 : s->a[i] == s->b[j] ? 0.5 : 0.0;
    }
    return sum / s->n_a / s->n_b;
}

static struct eval_value auc(const struct stats_samples *s)
{
    struct arena scratch = arena_make();
    struct eval_value v;
    assert_int_equal(stats_auc(s, 0.95, &scratch, &v), STATUS_OK);
    return v;
}

/* Swapping the samples mirrors the area and its interval; any increasing map keeps them. */
void test_eval_property_auc_symmetry_and_monotone_invariance(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct rng rng = rng_make(seed);
        double a[40], b[40], a3[40], b3[40];
        const uint32_t n_a = 1 + (uint32_t)rng_below(&rng, 40);
        const uint32_t n_b = 1 + (uint32_t)rng_below(&rng, 40);
        random_scores(&rng, a, n_a);
        random_scores(&rng, b, n_b);
        for (uint32_t i = 0; i < n_a; i++)
            a3[i] = a[i] * a[i] * a[i] - 7;
        for (uint32_t i = 0; i < n_b; i++)
            b3[i] = b[i] * b[i] * b[i] - 7;
        const struct stats_samples s = {a, n_a, b, n_b}, swapped = {b, n_b, a, n_a};
        const struct stats_samples cubed = {a3, n_a, b3, n_b};
        const struct eval_value v = auc(&s), w = auc(&swapped), c = auc(&cubed);
        CHECK(fabs(v.value - brute_force_auc(&s)) < 1e-12, seed);
        CHECK(fabs(v.value + w.value - 1) < 1e-12, seed);
        CHECK(fabs(v.lo + w.hi - 1) < 1e-9 && fabs(v.hi + w.lo - 1) < 1e-9, seed);
        CHECK(v.value == c.value && v.lo == c.lo && v.hi == c.hi && v.n == c.n, seed);
        CHECK(v.lo <= v.value && v.value <= v.hi && v.lo >= 0 && v.hi <= 1, seed);
    }
}

/* The rise of a pair of models is minus that of the pair turned round, and the difference of the
 * areas. */
void test_eval_property_auc_rise_is_antisymmetric(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct rng rng = rng_make(seed);
        double a[30], b[30], a0[30], b0[30];
        const uint32_t n = 2 + (uint32_t)rng_below(&rng, 29);
        random_scores(&rng, a, n);
        random_scores(&rng, b, n);
        random_scores(&rng, a0, n);
        random_scores(&rng, b0, n);
        const struct stats_samples now = {a, n, b, n}, then = {a0, n, b0, n};
        struct arena scratch = arena_make();
        struct eval_value up, down;
        assert_int_equal(stats_auc_rise(&then, &now, 0.95, &scratch, &up), STATUS_OK);
        assert_int_equal(stats_auc_rise(&now, &then, 0.95, &scratch, &down), STATUS_OK);
        CHECK(fabs(up.value + down.value) < 1e-12, seed);
        CHECK(fabs(up.lo + down.hi) < 1e-9, seed);
        CHECK(fabs(up.value - (auc(&now).value - auc(&then).value)) < 1e-12, seed);
    }
}

void test_eval_property_intervals_hold_their_estimate_and_shrink(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 60; n++) {
        for (uint32_t k = 0; k <= n; k++) {
            const struct eval_value v = stats_wilson(k, n, 0.95), wide = stats_wilson(k, n, 0.99);
            const struct eval_value large = stats_wilson(4.0 * k, 4 * n, 0.95);
            CHECK(v.lo <= v.value && v.value <= v.hi, n * 100 + k);
            CHECK(wide.lo <= v.lo && v.hi <= wide.hi, n * 100 + k);
            CHECK(large.hi - large.lo < v.hi - v.lo, n * 100 + k);
            const struct eval_value mirror = stats_wilson(n - k, n, 0.95);
            CHECK(fabs(mirror.lo + v.hi - 1) < 1e-12, n * 100 + k);
        }
    }
}

/* Coverage of the 95 % interval over true shares: Wilson's mean coverage is close to nominal. */
void test_eval_property_wilson_covers(void **state)
{
    (void)state;
    struct rng rng = rng_make(1);
    uint32_t covered = 0, trials = 4000;
    for (uint32_t t = 0; t < trials; t++) {
        const double p = 0.02 + 0.96 * (double)rng_uniform(&rng);
        uint32_t k = 0;
        for (int i = 0; i < 40; i++)
            k += (double)rng_uniform(&rng) < p;
        const struct eval_value v = stats_wilson(k, 40, 0.95);
        covered += v.lo <= p && p <= v.hi;
    }
    assert_true(covered > trials * 0.935 && covered < trials * 0.97);
}

void test_eval_property_js_is_a_bounded_symmetric_divergence(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct rng rng = rng_make(seed);
        float y[6], z[6];
        double p[6], q[6];
        for (int j = 0; j < 6; j++) {
            y[j] = 4 * rng_normal(&rng);
            z[j] = rng_below(&rng, 4) ? 4 * rng_normal(&rng) : -INFINITY;
        }
        z[seed % 6] = 0;
        accuracy_softmax(y, 6, NULL, p);
        accuracy_softmax(z, 6, NULL, q);
        const double js = accuracy_js(p, q, 6);
        CHECK(js >= 0 && js <= log(2.0), seed);
        CHECK(fabs(js - accuracy_js(q, p, 6)) < 1e-15, seed);
        CHECK(accuracy_js(p, p, 6) < 1e-15, seed);
    }
}

void test_eval_property_sorting_sorts(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct rng rng = rng_make(seed);
        double x[100], tmp[100], before = 0, after = 0;
        const uint32_t n = (uint32_t)rng_below(&rng, 101);
        for (uint32_t i = 0; i < n; i++) {
            x[i] = (double)rng_below(&rng, 50);
            before += x[i];
        }
        stats_sort(x, n, tmp);
        for (uint32_t i = 0; i < n; i++) {
            after += x[i];
            CHECK(i == 0 || x[i - 1] <= x[i], seed);
        }
        CHECK(before == after, seed);
    }
}

/* ------------------------------------------------------------------ reports */

#define MAX_LIST 5u

struct lists {
    struct eval_class_row classes[MAX_LIST];
    struct eval_relapse_row relapse[MAX_LIST];
    struct eval_block_row blocks[MAX_LIST];
    struct eval_several_row several[MAX_LIST];
    struct gate_check checks[MAX_LIST];
};

static struct eval_value random_value(struct rng *rng)
{
    if (rng_below(rng, 3) == 0)
        return eval_report_absent();
    struct eval_value v = {(double)rng_normal(rng), -HUGE_VAL, (double)rng_normal(rng),
                           (uint32_t)rng_u64(rng)};
    return v;
}

static void random_text(struct rng *rng, char *text, size_t size)
{
    const size_t n = (size_t)rng_below(rng, size);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(1 + rng_below(rng, 255));
    text[n] = '\0';
}

static void random_lists(struct rng *rng, struct eval_report *r, struct lists *l)
{
    r->classes = l->classes;
    r->relapse = l->relapse;
    r->blocks = l->blocks;
    r->several = l->several;
    r->checks = l->checks;
    r->n_classes = (uint32_t)rng_below(rng, MAX_LIST + 1);
    r->n_relapse = (uint32_t)rng_below(rng, MAX_LIST + 1);
    r->n_blocks = (uint32_t)rng_below(rng, MAX_LIST + 1);
    r->n_several = (uint32_t)rng_below(rng, MAX_LIST + 1);
    r->n_checks = (uint32_t)rng_below(rng, MAX_LIST + 1);
    for (uint32_t i = 0; i < MAX_LIST; i++) {
        random_text(rng, l->classes[i].label, EVAL_LABEL_SIZE);
        random_text(rng, l->classes[i].owner, EVAL_OWNER_SIZE);
        l->classes[i].status = (enum eval_class_status)rng_below(rng, EVAL_CLASS_STATUS_COUNT);
        l->classes[i].acc = random_value(rng);
        l->classes[i].several = (uint8_t)rng_below(rng, 2);
        l->classes[i].ap_raw = (double)rng_normal(rng);
        random_text(rng, l->several[i].owner, EVAL_OWNER_SIZE);
        l->several[i].map_before = random_value(rng);
        l->relapse[i].request.b[0] = (uint8_t)rng_u64(rng);
        l->relapse[i].recheckable = (uint8_t)rng_below(rng, 2);
        l->relapse[i].acc = random_value(rng);
        l->relapse[i].limit = (double)rng_normal(rng);
        random_text(rng, l->blocks[i].name, EVAL_NAME_SIZE);
        l->blocks[i].ridge = random_value(rng);
        l->checks[i].id = (enum gate_check_id)rng_below(rng, GATE_CHECK_COUNT);
        if (l->checks[i].id == GATE_CHECK_RELAPSE && r->n_relapse > 0)
            l->checks[i].relapse = (uint32_t)rng_below(rng, r->n_relapse);
        else if (l->checks[i].id == GATE_CHECK_RELAPSE)
            l->checks[i].id = GATE_CHECK_RIDGE;
        l->checks[i].measured = random_value(rng);
        l->checks[i].rule = (enum gate_rule)rng_below(rng, GATE_RULE_COUNT);
        l->checks[i].verdict = (enum gate_verdict)rng_below(rng, GATE_VERDICT_COUNT);
    }
}

static void random_report(struct rng *rng, struct eval_report *r, struct lists *l)
{
    memset(l, 0, sizeof *l);
    eval_report_init(r);
    r->kind = (enum eval_kind)rng_below(rng, EVAL_KIND_COUNT);
    r->outcome = (enum eval_outcome)rng_below(rng, EVAL_OUTCOME_COUNT);
    r->seed = rng_u64(rng);
    r->n_eval = (uint32_t)rng_u64(rng);
    r->seconds = (double)rng_uniform(rng);
    r->acc_forget = random_value(rng);
    r->mia_auc = random_value(rng);
    r->gap_ridge = random_value(rng);
    r->n_sets = (uint32_t)rng_below(rng, EVAL_MAX_SETS + 1);
    for (uint32_t i = 0; i < r->n_sets; i++)
        random_text(rng, r->sets[i].name, EVAL_NAME_SIZE);
    random_lists(rng, r, l);
    r->gate.outcome = (enum gate_outcome)rng_below(rng, GATE_OUTCOME_COUNT);
}

static enum status decode(const uint8_t *bytes, size_t n, struct eval_report *r)
{
    struct arena a = arena_make();
    return eval_report_decode(bytes, n, &a, r, NULL);
}

void test_eval_property_report_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 14], again[1 << 14];
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct rng rng = rng_make(seed);
        struct eval_report r, back;
        struct lists lists;
        random_report(&rng, &r, &lists);
        const size_t n = eval_report_encoded_size(&r);
        CHECK(n <= sizeof bytes, seed);
        CHECK(eval_report_encode(&r, bytes, n, NULL) == STATUS_OK, seed);
        CHECK(decode(bytes, n, &back) == STATUS_OK, seed);
        CHECK(eval_report_encoded_size(&back) == n, seed);
        CHECK(eval_report_encode(&back, again, n, NULL) == STATUS_OK, seed);
        CHECK(memcmp(bytes, again, n) == 0, seed);
        struct arena exact;
        arena_init(&exact, memory, eval_report_decode_plan(bytes, n));
        CHECK(eval_report_decode(bytes, n, &exact, &back, NULL) == STATUS_OK, seed);
    }
}

void test_eval_property_every_truncation_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 14];
    for (uint32_t seed = 0; seed < 5; seed++) {
        struct rng rng = rng_make(1000 + seed);
        struct eval_report r, back;
        struct lists lists;
        random_report(&rng, &r, &lists);
        const size_t n = eval_report_encoded_size(&r);
        assert_int_equal(eval_report_encode(&r, bytes, n, NULL), STATUS_OK);
        for (size_t size = 0; size < n; size++) {
            uint8_t *cut = malloc(size ? size : 1); /* so that a read beyond the end is seen */
            memcpy(cut, bytes, size);
            CHECK(decode(cut, size, &back) == STATUS_BAD_FORMAT, seed);
            (void)eval_report_decode_plan(cut, size);
            free(cut);
        }
    }
}

/* One damaged byte gives an error or a report that encodes to the damaged bytes again, except that
 * NaN payloads are normalised; never a crash or a wild count. */
void test_eval_property_damage_is_contained(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 14];
    struct rng rng = rng_make(77);
    struct eval_report r, back;
    struct lists lists;
    random_report(&rng, &r, &lists);
    const size_t n = eval_report_encoded_size(&r);
    assert_int_equal(eval_report_encode(&r, bytes, n, NULL), STATUS_OK);
    uint32_t refused = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t kept = bytes[i];
        bytes[i] ^= (uint8_t)(1u << rng_below(&rng, 8));
        const enum status status = decode(bytes, n, &back);
        CHECK(status == STATUS_OK || status == STATUS_BAD_FORMAT || status == STATUS_NO_MEMORY, i);
        if (status == STATUS_OK)
            CHECK(eval_report_encoded_size(&back) == n, i);
        refused += status != STATUS_OK;
        bytes[i] = kept;
    }
    assert_true(refused > 10);
}
