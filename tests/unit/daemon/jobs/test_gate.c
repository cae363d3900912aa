/* The gate judges a worker's report by its numbers, not by the worker's word. */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/gate.h"

void test_gate_passes_a_good_report(void **state)
{
    (void)state;
    const struct gate_limits limits = gate_check_defaults();
    uint8_t *bytes;
    const size_t size = jobs_report(0.0, &limits, &bytes);
    struct gate gate;
    jobs_ok(gate_judge(bytes, size, &limits, &gate, fx));
    assert_int_equal(gate.report.gate.outcome, GATE_OUTCOME_PASSED);
    char reason[160];
    gate_reason(&gate, reason, sizeof reason);
    assert_string_equal(reason, "");
    assert_non_null(strstr(gate.json, "\"passed\":true"));
    assert_int_equal(strlen(gate.json), gate.json_size);
    gate_fini(&gate);
    sysio_free(bytes);
}

void test_gate_rejects_and_says_why(void **state)
{
    (void)state;
    const struct gate_limits limits = gate_check_defaults();
    uint8_t *bytes;
    const size_t size = jobs_report(0.9, &limits, &bytes);
    struct gate gate;
    jobs_ok(gate_judge(bytes, size, &limits, &gate, fx));
    assert_int_equal(gate.report.gate.outcome, GATE_OUTCOME_REJECTED);
    char reason[160];
    gate_reason(&gate, reason, sizeof reason);
    assert_non_null(strstr(reason, "acc_forget"));
    gate_fini(&gate);
    sysio_free(bytes);
}

/* A worker that judged with looser limits than the daemon's is not believed. */
void test_gate_refuses_a_verdict_that_does_not_follow(void **state)
{
    (void)state;
    const struct gate_limits ours = gate_check_defaults();
    struct gate_limits loose = ours;
    loose.at[GATE_CHECK_ACC_FORGET].limit = 0.99;
    uint8_t *bytes;
    const size_t size = jobs_report(0.9, &loose, &bytes);
    struct gate gate;
    struct fault f = {0};
    assert_int_equal(gate_judge(bytes, size, &ours, &gate, &f), STATUS_INTERNAL);
    assert_string_equal(f.field, "gate");
    sysio_free(bytes);
}

void test_gate_refuses_malformed_reports(void **state)
{
    (void)state;
    const struct gate_limits limits = gate_check_defaults();
    uint8_t *bytes;
    const size_t size = jobs_report(0.0, &limits, &bytes);
    struct gate gate;
    struct fault f = {0};
    for (size_t n = 0; n < size; n += 1 + n / 8)
        assert_int_equal(gate_judge(bytes, n, &limits, &gate, &f), STATUS_BAD_FORMAT);
    sysio_free(bytes);
}
