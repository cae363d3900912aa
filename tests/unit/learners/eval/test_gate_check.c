/* The gate: verdict table and rule table exhaustively, order, reasons, limits as bytes. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/eval_report.h"
#include "learners/eval/gate_check.h"

static _Alignas(64) unsigned char memory[1 << 16];

static struct eval_value value(double v, double lo, double hi)
{
    return (struct eval_value){v, lo, hi, 100};
}

static enum gate_verdict at_most(double lo, double hi)
{
    return gate_check_verdict(value(0.5 * (lo + hi), lo, hi), 0.5, GATE_AT_MOST);
}

static enum gate_verdict at_least(double lo, double hi)
{
    return gate_check_verdict(value(0.5 * (lo + hi), lo, hi), 0.5, GATE_AT_LEAST);
}

void test_gate_check_verdict_of_every_position_of_the_interval(void **state)
{
    (void)state;
    /* below, touching from below, straddling, touching from above, above, a point on the limit */
    assert_int_equal(at_most(0.1, 0.4), GATE_PASS);
    assert_int_equal(at_most(0.1, 0.5), GATE_PASS);
    assert_int_equal(at_most(0.1, 0.6), GATE_NOT_RESOLVABLE);
    assert_int_equal(at_most(0.5, 0.6), GATE_NOT_RESOLVABLE);
    assert_int_equal(at_most(0.51, 0.6), GATE_FAIL);
    assert_int_equal(at_most(0.5, 0.5), GATE_PASS);
    assert_int_equal(at_least(0.6, 0.9), GATE_PASS);
    assert_int_equal(at_least(0.5, 0.9), GATE_PASS);
    assert_int_equal(at_least(0.4, 0.9), GATE_NOT_RESOLVABLE);
    assert_int_equal(at_least(0.4, 0.5), GATE_NOT_RESOLVABLE);
    assert_int_equal(at_least(0.4, 0.49), GATE_FAIL);
    assert_int_equal(at_least(0.5, 0.5), GATE_PASS);
}

void test_gate_check_verdict_of_what_cannot_be_judged(void **state)
{
    (void)state;
    const double nan = (double)NAN;
    assert_int_equal(gate_check_verdict(eval_report_absent(), 0.5, GATE_AT_MOST),
                     GATE_NOT_RESOLVABLE);
    assert_int_equal(gate_check_verdict(value(0.1, 0, 0.2), nan, GATE_AT_MOST),
                     GATE_NOT_RESOLVABLE);
    assert_int_equal(gate_check_verdict(value(0.1, -HUGE_VAL, HUGE_VAL), 0.5, GATE_AT_MOST),
                     GATE_NOT_RESOLVABLE);
    assert_int_equal(gate_check_verdict(value(nan, 0, 0.2), 0.5, GATE_AT_MOST), GATE_ERROR);
    assert_int_equal(gate_check_verdict(value(0.1, nan, 0.2), 0.5, GATE_AT_MOST), GATE_ERROR);
    assert_int_equal(gate_check_verdict(value(0.1, 0, nan), 0.5, GATE_AT_MOST), GATE_ERROR);
    assert_int_equal(gate_check_verdict(value(0.1, 0.2, 0.1), 0.5, GATE_AT_MOST), GATE_ERROR);
}

/* Every verdict against every rule, with the estimate within the limit and beyond it. */
void test_gate_check_met_is_the_whole_rule_table(void **state)
{
    (void)state;
    static const struct {
        enum gate_rule rule;
        int within[GATE_VERDICT_COUNT]; /* PASS, FAIL, NOT_RESOLVABLE, NOT_RUN, ERROR */
        int beyond[GATE_VERDICT_COUNT];
    } TABLE[GATE_RULE_COUNT] = {
        {GATE_RULE_PASS, {1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}},
        {GATE_RULE_POINT, {1, 0, 1, 0, 0}, {0, 0, 0, 0, 0}},
        {GATE_RULE_NO_FAIL, {1, 0, 1, 0, 0}, {1, 0, 1, 0, 0}},
        {GATE_RULE_REPORT, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}},
    };
    for (int r = 0; r < GATE_RULE_COUNT; r++) {
        for (int v = 0; v < GATE_VERDICT_COUNT; v++) {
            struct gate_check c = {.id = GATE_CHECK_ACC_FORGET,
                                   .measured = value(0.1, 0, 1),
                                   .limit = 0.2,
                                   .rule = TABLE[r].rule,
                                   .verdict = (enum gate_verdict)v};
            assert_int_equal(gate_check_met(&c), TABLE[r].within[v]);
            c.measured.value = 0.3;
            assert_int_equal(gate_check_met(&c), TABLE[r].beyond[v]);
        }
    }
}

void test_gate_check_point_needs_an_estimate_and_a_limit(void **state)
{
    (void)state;
    struct gate_check c = {.id = GATE_CHECK_ACC_FORGET,
                           .measured = eval_report_absent(),
                           .limit = 0.2,
                           .rule = GATE_RULE_POINT,
                           .verdict = GATE_NOT_RESOLVABLE};
    assert_false(gate_check_met(&c));
    c.measured = value(0.1, 0, 1);
    assert_true(gate_check_met(&c));
    c.limit = (double)NAN;
    assert_false(gate_check_met(&c));
    c = (struct gate_check){.id = GATE_CHECK_NEW_TASK,
                            .measured = value(0.7, 0.6, 0.9),
                            .limit = 0.8,
                            .rule = GATE_RULE_POINT,
                            .verdict = GATE_NOT_RESOLVABLE};
    assert_false(gate_check_met(&c)); /* "at least": 0.7 is beyond */
    c.measured.value = 0.85;
    assert_true(gate_check_met(&c));
}

void test_gate_check_defaults_are_the_documented_table(void **state)
{
    (void)state;
    const struct gate_limits l = gate_check_defaults();
    static const struct {
        const char *name;
        double limit;
        enum gate_rule rule;
    } TABLE[] = {
        {"acc_forget", 0.05, GATE_RULE_POINT},
        {"new_task", 0.0, GATE_RULE_POINT},
        {"retain_loss_macro", 0.02, GATE_RULE_POINT},
        {"retain_loss_worst", 0.10, GATE_RULE_NO_FAIL},
        {"js_drift", 0.05, GATE_RULE_NO_FAIL},
        {"relapse", 0.05, GATE_RULE_NO_FAIL},
        {"mia_forget", 0.10, GATE_RULE_NO_FAIL},
        {"mia_retain", 0.05, GATE_RULE_NO_FAIL},
        {"prototype_gap", 0.10, GATE_RULE_REPORT},
        {"ridge_gap", 0.10, GATE_RULE_REPORT},
    };
    assert_int_equal(sizeof TABLE / sizeof *TABLE, GATE_CHECK_COUNT);
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++) {
        const enum gate_check_id id = gate_check_find(TABLE[i].name);
        assert_int_equal(id, i);
        assert_string_equal(gate_check_name(id), TABLE[i].name);
        assert_near(l.at[id].limit, TABLE[i].limit, 0.0);
        assert_int_equal(l.at[id].rule, TABLE[i].rule);
        assert_int_equal(gate_check_direction(id),
                         id == GATE_CHECK_NEW_TASK ? GATE_AT_LEAST : GATE_AT_MOST);
        assert_true(strlen(gate_check_text(id)) > 0);
    }
    assert_int_equal(gate_check_find("no such check"), GATE_CHECK_COUNT);
}

void test_gate_check_rules_have_names(void **state)
{
    (void)state;
    for (int r = 0; r < GATE_RULE_COUNT; r++) {
        enum gate_rule back = GATE_RULE_PASS;
        assert_int_equal(gate_check_rule_parse(gate_check_rule_name((enum gate_rule)r), &back), 0);
        assert_int_equal(back, r);
    }
    enum gate_rule untouched = GATE_RULE_REPORT;
    assert_int_equal(gate_check_rule_parse("PASS", &untouched), -1);
    assert_int_equal(gate_check_rule_parse("", &untouched), -1);
    assert_int_equal(untouched, GATE_RULE_REPORT);
    assert_string_equal(gate_check_verdict_name(GATE_NOT_RESOLVABLE), "NOT_RESOLVABLE");
    assert_string_equal(gate_check_outcome_name(GATE_OUTCOME_REJECTED), "rejected");
}

void test_gate_check_limits_travel_as_bytes(void **state)
{
    (void)state;
    struct gate_limits l = gate_check_defaults();
    l.at[GATE_CHECK_RELAPSE] = (struct gate_limit){0.01, GATE_RULE_PASS};
    uint8_t bytes[256];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    gate_check_put_limits(&w, &l);
    assert_int_equal(w.used, 1 + 9 * GATE_CHECK_COUNT);
    struct byte_reader r = byte_reader_make(bytes, w.used);
    const struct gate_limits back = gate_check_get_limits(&r);
    assert_true(byte_reader_done(&r));
    for (int i = 0; i < GATE_CHECK_COUNT; i++) {
        assert_near(back.at[i].limit, l.at[i].limit, 0.0);
        assert_int_equal(back.at[i].rule, l.at[i].rule);
    }
    for (size_t size = 0; size < w.used; size++) {
        r = byte_reader_make(bytes, size);
        (void)gate_check_get_limits(&r);
        assert_true(r.failed);
    }
    bytes[9] = GATE_RULE_COUNT; /* the first rule */
    r = byte_reader_make(bytes, w.used);
    (void)gate_check_get_limits(&r);
    assert_true(r.failed);
    w = byte_writer_make(bytes, sizeof bytes);
    l.at[0].limit = HUGE_VAL;
    gate_check_put_limits(&w, &l);
    r = byte_reader_make(bytes, w.used);
    (void)gate_check_get_limits(&r);
    assert_true(r.failed);
}

/* ------------------------------------------------------------------ whole reports */

/* A class erasure in which everything passes; 10 live classes, so acc_forget's limit is 0.15. */
static void good_report(struct eval_report *r)
{
    static struct eval_relapse_row rows[2];
    eval_report_init(r);
    r->kind = EVAL_KIND_FORGET_CLASSES;
    r->n_live = 10;
    r->acc_forget = value(0.0, 0.0, 0.04);
    r->acc_new_task = value(0.9, 0.8, 0.95);
    r->acc_unseen = value(0.6, 0.5, 0.7);
    r->retain_loss_macro = value(0.0, -0.01, 0.01);
    r->retain_loss_worst = value(0.01, 0.0, 0.05);
    r->js_drift = value(0.01, 0.005, 0.02);
    r->mia_distance = value(0.02, 0.0, 0.08);
    r->mia_retain_rise = value(0.0, -0.02, 0.02);
    r->gap_ncm = value(0.0, -0.1, 0.09);
    r->gap_ridge = value(0.0, -0.1, 0.09);
    for (uint8_t q = 0; q < 2; q++)
        rows[q] = (struct eval_relapse_row){.request = {{q}},
                                            .recheckable = 1,
                                            .acc = value(0.0, 0.0, 0.04),
                                            .limit = 0.1,
                                            .ncm = eval_report_absent(),
                                            .ncm_then = (double)NAN};
    r->n_relapse = 2;
    r->relapse = rows;
}

/* The checks stay valid until the next call. */
static void apply_with(struct eval_report *r, const struct gate_limits *limits)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    assert_int_equal(gate_check_apply(r, limits, &a, NULL), STATUS_OK);
}

static void apply(struct eval_report *r)
{
    const struct gate_limits limits = gate_check_defaults();
    apply_with(r, &limits);
}

static int listed(const struct eval_report *r, enum gate_check_id id)
{
    for (uint32_t i = 0; i < r->n_checks; i++) {
        if (r->checks[i].id == id)
            return 1;
    }
    return 0;
}

static const struct gate_check *check_of(const struct eval_report *r, enum gate_check_id id)
{
    uint32_t i = 0;
    assert_true(listed(r, id));
    while (r->checks[i].id != id)
        i++;
    return &r->checks[i];
}

void test_gate_check_everything_passes(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    apply(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
    assert_true(r.gate.all_pass);
    assert_int_equal(r.n_checks, GATE_CHECK_COUNT - 1 - 1 + 2); /* no new_task, two relapses */
    assert_near(check_of(&r, GATE_CHECK_ACC_FORGET)->limit, 0.15, 1e-15);
}

/* Each required check, failing alone, rejects; each report-only one does not, but denies L3. */
void test_gate_check_each_failure_alone(void **state)
{
    (void)state;
    const struct {
        size_t field;
        enum gate_check_id id;
        int rejects;
    } cases[] = {
        {offsetof(struct eval_report, acc_forget), GATE_CHECK_ACC_FORGET, 1},
        {offsetof(struct eval_report, retain_loss_macro), GATE_CHECK_RETAIN_MACRO, 1},
        {offsetof(struct eval_report, retain_loss_worst), GATE_CHECK_RETAIN_WORST, 1},
        {offsetof(struct eval_report, js_drift), GATE_CHECK_JS_DRIFT, 1},
        {offsetof(struct eval_report, mia_distance), GATE_CHECK_MIA_FORGET, 1},
        {offsetof(struct eval_report, mia_retain_rise), GATE_CHECK_MIA_RETAIN, 1},
        {offsetof(struct eval_report, gap_ncm), GATE_CHECK_PROTOTYPE, 0},
        {offsetof(struct eval_report, gap_ridge), GATE_CHECK_RIDGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eval_report r;
        good_report(&r);
        const struct eval_value bad = value(0.5, 0.4, 0.6);
        memcpy((char *)&r + cases[i].field, &bad, sizeof bad);
        apply(&r);
        assert_int_equal(check_of(&r, cases[i].id)->verdict, GATE_FAIL);
        assert_int_equal(r.gate.outcome,
                         cases[i].rejects ? GATE_OUTCOME_REJECTED : GATE_OUTCOME_PASSED);
        assert_false(r.gate.all_pass);
    }
}

void test_gate_check_first_failure_ends_the_run(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.js_drift = value(0.5, 0.4, 0.6);
    r.mia_distance = value(0.5, 0.4, 0.5); /* would fail as well */
    apply(&r);
    int ended = 0;
    for (uint32_t i = 0; i < r.n_checks; i++) {
        assert_int_equal(r.checks[i].verdict == GATE_NOT_RUN, ended);
        ended |= r.checks[i].id == GATE_CHECK_JS_DRIFT;
    }
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
}

void test_gate_check_a_planted_relapse_rejects(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.kind = EVAL_KIND_LEARN;
    r.relapse[1].acc = value(0.4, 0.3, 0.5);
    apply(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
    const struct gate_check *first = check_of(&r, GATE_CHECK_RELAPSE);
    assert_int_equal(first[0].verdict, GATE_PASS);
    assert_int_equal(first[1].verdict, GATE_FAIL);
    assert_int_equal(first[1].relapse, 1);
}

void test_gate_check_an_unprobed_erasure_is_never_passed(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.relapse[0].recheckable = 0; /* whatever stands in acc must not be used */
    apply(&r);
    assert_int_equal(check_of(&r, GATE_CHECK_RELAPSE)->verdict, GATE_NOT_RESOLVABLE);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
    assert_false(r.gate.all_pass);
}

void test_gate_check_samples_are_judged_against_unseen_items(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.kind = EVAL_KIND_FORGET_SAMPLES;
    r.acc_forget = value(0.63, 0.55, 0.72);
    apply(&r);
    assert_near(check_of(&r, GATE_CHECK_ACC_FORGET)->limit, 0.65, 1e-15);
    assert_int_equal(check_of(&r, GATE_CHECK_ACC_FORGET)->verdict, GATE_NOT_RESOLVABLE);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED); /* point: 0.63 is within 0.65 */
    assert_false(listed(&r, GATE_CHECK_PROTOTYPE));
    r.acc_unseen = eval_report_absent();
    apply(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
}

void test_gate_check_learn_has_a_floor(void **state)
{
    (void)state;
    struct eval_report r;
    struct gate_limits limits = gate_check_defaults();
    good_report(&r);
    r.kind = EVAL_KIND_LEARN;
    limits.at[GATE_CHECK_NEW_TASK].limit = 0.92;
    apply_with(&r, &limits);
    assert_false(listed(&r, GATE_CHECK_ACC_FORGET));
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
    limits.at[GATE_CHECK_NEW_TASK].limit = 0.85;
    apply_with(&r, &limits);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
}

void test_gate_check_small_erasure_passes_by_its_point(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.acc_forget = (struct eval_value){0.0, 0.0, 0.4345, 5};
    apply(&r);
    assert_int_equal(check_of(&r, GATE_CHECK_ACC_FORGET)->verdict, GATE_NOT_RESOLVABLE);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
    struct gate_limits strict = gate_check_defaults();
    strict.at[GATE_CHECK_ACC_FORGET].rule = GATE_RULE_PASS;
    apply_with(&r, &strict);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
}

void test_gate_check_an_error_is_no_rejection(void **state)
{
    (void)state;
    struct eval_report r;
    good_report(&r);
    r.js_drift.hi = (double)NAN;
    apply(&r);
    assert_int_equal(check_of(&r, GATE_CHECK_JS_DRIFT)->verdict, GATE_ERROR);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_ERROR);
    assert_int_equal(check_of(&r, GATE_CHECK_MIA_FORGET)->verdict, GATE_NOT_RUN);
    good_report(&r);
    r.gap_ncm.hi = (double)NAN; /* a broken report-only check decides nothing */
    apply(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
    assert_false(r.gate.all_pass);
}

void test_gate_check_without_memory_leaves_the_report(void **state)
{
    (void)state;
    struct eval_report r;
    struct arena a;
    struct fault f = {0};
    const struct gate_limits limits = gate_check_defaults();
    good_report(&r);
    arena_init(&a, memory, 64);
    assert_int_equal(gate_check_apply(&r, &limits, &a, &f), STATUS_NO_MEMORY);
    assert_null(r.checks);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_NONE);
    arena_fini(&a);
}

void test_gate_check_reason_names_check_value_interval_and_limit(void **state)
{
    (void)state;
    struct eval_report r;
    char text[GATE_REASON_SIZE];
    good_report(&r);
    r.acc_forget = (struct eval_value){0.4, 0.30941, 0.49798, 100};
    apply(&r);
    size_t length = gate_check_reason(&r.checks[0], &r, text, sizeof text);
    assert_string_equal(text,
                        "acc_forget FAIL: accuracy on the erased items 0.4000 [0.3094, 0.4980], "
                        "n 100, limit at most 0.1500 (rule point)");
    assert_int_equal(length, strlen(text));
    char small[16];
    assert_int_equal(gate_check_reason(&r.checks[0], &r, small, sizeof small), length);
    assert_string_equal(small, "acc_forget FAIL");
    assert_int_equal(gate_check_reason(&r.checks[0], &r, NULL, 0), length);
}

void test_gate_check_reason_of_relapse_names_the_request(void **state)
{
    (void)state;
    struct eval_report r;
    char text[GATE_REASON_SIZE];
    good_report(&r);
    r.relapse[1].recheckable = 0;
    r.relapse[1].limit = (double)NAN;
    apply(&r);
    const struct gate_check *c = check_of(&r, GATE_CHECK_RELAPSE) + 1;
    gate_check_reason(c, &r, text, sizeof text);
    assert_string_equal(text,
                        "relapse NOT_RESOLVABLE: accuracy on an earlier erasure "
                        "01000000-0000-0000-0000-000000000000 not measured, limit at most unknown "
                        "(rule no-fail)");
}

void test_gate_check_reason_of_negative_and_huge_numbers(void **state)
{
    (void)state;
    struct eval_report r;
    char text[GATE_REASON_SIZE];
    eval_report_init(&r);
    struct gate_check c = {.id = GATE_CHECK_RETAIN_MACRO,
                           .measured = {-0.03125, -HUGE_VAL, 1e15, 7},
                           .limit = 0.02,
                           .rule = GATE_RULE_NO_FAIL,
                           .verdict = GATE_NOT_RESOLVABLE};
    gate_check_reason(&c, &r, text, sizeof text);
    assert_non_null(strstr(text, "-0.0313 [-inf, 1e14 or more], n 7, limit at most 0.0200"));
}
