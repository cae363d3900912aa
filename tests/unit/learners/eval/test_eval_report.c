/* The report: names, absence, limits of relapse, and its encoded form against damage. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/eval_report.h"

static _Alignas(64) unsigned char memory[1 << 16];

static void sample_report(struct eval_report *r)
{
    static struct eval_class_row classes[2];
    static struct eval_relapse_row relapse;
    static struct eval_block_row block;
    static struct eval_several_row several;
    static struct gate_check checks[2];
    const struct eval_value v = {0.5, 0.25, 0.75, 12};
    eval_report_init(r);
    r->kind = EVAL_KIND_FORGET_SAMPLES;
    r->outcome = EVAL_OUTCOME_NOT_VALIDATED;
    r->seed = UINT64_MAX;
    r->n_outputs = 2;
    r->seconds = 1.5;
    r->acc_forget = v;
    r->gap_ridge = v;
    r->n_sets = 1;
    strcpy(r->sets[0].name, "forget");
    r->sets[0].n = 12;
    r->sets[0].digest.b[31] = 9;
    classes[0] = (struct eval_class_row){.label = "Sandal", .owner = "base", .n = 12, .acc = v};
    classes[1] = (struct eval_class_row){
        .label = "", .owner = "", .status = EVAL_CLASS_FORGOTTEN, .acc = eval_report_absent()};
    relapse = (struct eval_relapse_row){.request = {{1, 2, 3}}, .recheckable = 1, .acc = v};
    block = (struct eval_block_row){.name = "block0.class", .ncm = v};
    several = (struct eval_several_row){
        .owner = "lane:scenes", .n = 7, .n_classes = 3, .map_raw = v, .cf1_literature = v};
    classes[0].several = 1;
    classes[0].ap_before = 0.375;
    checks[0] = (struct gate_check){.id = GATE_CHECK_RIDGE,
                                    .measured = v,
                                    .limit = 0.1,
                                    .rule = GATE_RULE_REPORT,
                                    .verdict = GATE_FAIL};
    checks[1] = (struct gate_check){.id = GATE_CHECK_RELAPSE, .verdict = GATE_NOT_RUN};
    r->n_classes = 2;
    r->classes = classes;
    r->n_relapse = 1;
    r->relapse = &relapse;
    r->n_blocks = 1;
    r->blocks = &block;
    r->n_several = 1;
    r->several = &several;
    r->n_checks = 2;
    r->checks = checks;
    r->gate = (struct gate_result){GATE_OUTCOME_REJECTED, 0};
}

static size_t encode(const struct eval_report *r, uint8_t *bytes, size_t size)
{
    const size_t n = eval_report_encoded_size(r);
    assert_true(n <= size);
    assert_int_equal(eval_report_encode(r, bytes, n, NULL), STATUS_OK);
    return n;
}

static enum status decode(const uint8_t *bytes, size_t n, struct eval_report *r, struct fault *f)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    const enum status status = eval_report_decode(bytes, n, &a, r, f);
    if (status != STATUS_OK)
        assert_int_equal(a.used, 0);
    arena_fini(&a);
    return status;
}

void test_eval_report_starts_absent(void **state)
{
    (void)state;
    struct eval_report r;
    eval_report_init(&r);
    for (uint32_t i = 0; i < eval_report_metric_count(); i++) {
        assert_int_equal(eval_report_metric(&r, i)->n, 0);
        assert_true(isnan(eval_report_metric(&r, i)->value));
        assert_true(strlen(eval_report_metric_name(i)) > 0);
        assert_true(strlen(eval_report_metric_text(i)) > 0);
    }
    assert_ptr_equal(eval_report_metric(&r, 0), &r.acc_forget);
    assert_string_equal(eval_report_metric_name(0), "acc_forget");
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_NONE);
}

void test_eval_report_enum_names(void **state)
{
    (void)state;
    assert_string_equal(eval_report_kind_name(EVAL_KIND_RECHECK), "recheck");
    assert_string_equal(eval_report_outcome_name(EVAL_OUTCOME_ALL_GROUPS_ZERO), "all_groups_zero");
    assert_string_equal(eval_report_class_status_name(EVAL_CLASS_FORGETTING), "forgetting");
}

void test_eval_report_relapse_limit_is_the_upper_end_plus_margin(void **state)
{
    (void)state;
    struct eval_report r;
    eval_report_init(&r);
    assert_true(isnan(eval_report_relapse_limit(&r, 0.05)));
    r.acc_forget = (struct eval_value){0.0, 0.0, 0.037, 100};
    assert_near(eval_report_relapse_limit(&r, 0.05), 0.087, 1e-15);
}

void test_eval_report_encodes_and_decodes(void **state)
{
    (void)state;
    static uint8_t bytes[8192], again[8192];
    struct eval_report r, back;
    sample_report(&r);
    const size_t n = encode(&r, bytes, sizeof bytes);
    struct arena a;
    arena_init(&a, memory, eval_report_decode_plan(bytes, n));
    assert_int_equal(eval_report_decode(bytes, n, &a, &back, NULL), STATUS_OK);
    assert_int_equal(back.kind, r.kind);
    assert_true(back.seed == UINT64_MAX);
    assert_near(back.acc_forget.hi, 0.75, 0.0);
    assert_int_equal(back.gap_ridge.n, 12);
    assert_true(isnan(back.h_mean.value));
    assert_string_equal(back.classes[0].label, "Sandal");
    assert_int_equal(back.classes[1].status, EVAL_CLASS_FORGOTTEN);
    assert_int_equal(back.relapse[0].request.b[2], 3);
    assert_string_equal(back.blocks[0].name, "block0.class");
    assert_int_equal(back.classes[0].several, 1);
    assert_near(back.classes[0].ap_before, 0.375, 0.0);
    assert_string_equal(back.several[0].owner, "lane:scenes");
    assert_int_equal(back.several[0].n_classes, 3);
    assert_near(back.several[0].map_raw.hi, 0.75, 0.0);
    assert_near(back.several[0].cf1_literature.hi, 0.75, 0.0);
    assert_int_equal(back.checks[0].verdict, GATE_FAIL);
    assert_int_equal(back.gate.outcome, GATE_OUTCOME_REJECTED);
    assert_int_equal(back.sets[0].digest.b[31], 9);
    assert_int_equal(encode(&back, again, sizeof again), n);
    assert_memory_equal(bytes, again, n);
    arena_fini(&a);
}

void test_eval_report_is_not_written_into_too_few_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    struct eval_report r;
    struct fault f = {0};
    sample_report(&r);
    const size_t n = eval_report_encoded_size(&r);
    assert_int_equal(eval_report_encode(&r, bytes, n - 1, &f), STATUS_NO_SPACE);
    assert_string_equal(f.field, "report");
}

void test_eval_report_refuses_other_records(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    struct eval_report r, back;
    struct fault f = {0};
    memset(&back, 0x5a, sizeof back);
    static unsigned char untouched[sizeof back];
    memcpy(untouched, &back, sizeof back);
    sample_report(&r);
    const size_t n = encode(&r, bytes, sizeof bytes);
    bytes[0] ^= 1;
    assert_int_equal(decode(bytes, n, &back, &f), STATUS_BAD_FORMAT);
    assert_int_equal(eval_report_decode_plan(bytes, n), 0);
    bytes[0] ^= 1;
    bytes[4]++; /* format */
    assert_int_equal(decode(bytes, n, &back, &f), STATUS_BAD_FORMAT);
    bytes[4]--;
    bytes[6] = EVAL_KIND_COUNT;
    assert_int_equal(decode(bytes, n, &back, &f), STATUS_BAD_FORMAT);
    bytes[6] = (uint8_t)r.kind;
    bytes[n] = 0;
    assert_int_equal(decode(bytes, n + 1, &back, &f), STATUS_BAD_FORMAT); /* trailing byte */
    assert_memory_equal(&back, untouched, sizeof back);
    assert_int_equal(decode(bytes, n, &back, &f), STATUS_OK);
}

/* The relapse check must point at a row that exists. */
void test_eval_report_refuses_a_check_without_its_row(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    struct eval_report r, back;
    sample_report(&r);
    r.checks[1].relapse = 1;
    const size_t n = encode(&r, bytes, sizeof bytes);
    assert_int_equal(decode(bytes, n, &back, NULL), STATUS_BAD_FORMAT);
}

void test_eval_report_decode_needs_its_arena(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    struct eval_report r, back;
    struct fault f = {0};
    struct arena a;
    sample_report(&r);
    const size_t n = encode(&r, bytes, sizeof bytes);
    const size_t plan = eval_report_decode_plan(bytes, n);
    /* a plan may be an alignment more than what is taken */
    for (size_t size = 0; size + ARENA_ALIGN < plan; size += 256) {
        arena_init(&a, memory, size);
        assert_int_equal(eval_report_decode(bytes, n, &a, &back, &f), STATUS_NO_MEMORY);
        assert_int_equal(a.used, 0);
        arena_fini(&a);
    }
}
