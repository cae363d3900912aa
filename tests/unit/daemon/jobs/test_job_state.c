/* Policy of a running request: attempts, parameter steps, gate outcomes, dry runs. */
#include "tests/support/test.h"

#include "daemon/jobs/job_state.h"

static const struct job_state_limits limits = {.max_attempts = 3, .steps = 2};

static struct queue_record running(uint32_t step)
{
    return (struct queue_record){.state = REQUEST_RUNNING, .attempts = 1, .step = step};
}

static struct job_state_limits after(uint32_t failures)
{
    return (struct job_state_limits){.max_attempts = 3, .steps = 2, .failures = failures};
}

void test_job_state_death_retries_until_attempts_are_used(void **state)
{
    (void)state;
    const struct queue_record r = running(0), stepped = running(2);
    for (uint32_t failures = 0; failures <= 4; failures++) {
        const struct job_state_limits l = after(failures);
        assert_int_equal(job_state_after_death(&r, &l),
                         failures < 2 ? REQUEST_EVENT_RETRY : REQUEST_EVENT_GIVE_UP);
    }
    assert_int_equal(job_state_after_death(&stepped, &limits), REQUEST_EVENT_GIVE_UP);
}

/* However often the daemon was restarted under it, a request has its attempts. */
void test_job_state_restarts_do_not_count(void **state)
{
    (void)state;
    struct queue_record r = running(0);
    r.attempts = 50;
    assert_int_equal(job_state_after_death(&r, &limits), REQUEST_EVENT_RETRY);
    assert_int_equal(job_state_after_gate(&r, GATE_OUTCOME_REJECTED, 0, &limits),
                     REQUEST_EVENT_NEXT_STEP);
}

void test_job_state_errors_that_cannot_change_end_the_request(void **state)
{
    (void)state;
    const struct queue_record r = running(0);
    static const enum status final[] = {STATUS_INVALID_ARGUMENT, STATUS_FAILED_PRECONDITION,
                                        STATUS_NOT_FOUND, STATUS_RESOURCE_EXHAUSTED,
                                        STATUS_DATA_LOSS};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        assert_int_equal(job_state_after_error(&r, final[i], &limits), REQUEST_EVENT_GIVE_UP);
    static const enum status passing[] = {STATUS_INTERNAL, STATUS_NO_MEMORY, STATUS_NO_SPACE,
                                          STATUS_UNAVAILABLE, STATUS_IO_ERROR};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        assert_int_equal(job_state_after_error(&r, passing[i], &limits), REQUEST_EVENT_RETRY);
}

void test_job_state_gate_outcomes(void **state)
{
    (void)state;
    const struct queue_record first = running(0), second = running(1), last = running(2);
    assert_int_equal(job_state_after_gate(&first, GATE_OUTCOME_PASSED, 0, &limits),
                     REQUEST_EVENT_COMMIT);
    assert_int_equal(job_state_after_gate(&first, GATE_OUTCOME_REJECTED, 0, &limits),
                     REQUEST_EVENT_NEXT_STEP);
    assert_int_equal(job_state_after_gate(&second, GATE_OUTCOME_REJECTED, 0, &limits),
                     REQUEST_EVENT_NEXT_STEP);
    assert_int_equal(job_state_after_gate(&last, GATE_OUTCOME_REJECTED, 0, &limits),
                     REQUEST_EVENT_REJECT);
    assert_int_equal(job_state_after_gate(&first, GATE_OUTCOME_ERROR, 0, &limits),
                     REQUEST_EVENT_RETRY);
    assert_int_equal(job_state_after_gate(&last, GATE_OUTCOME_ERROR, 0, &limits),
                     REQUEST_EVENT_GIVE_UP);
}

void test_job_state_steps_and_attempts_share_one_budget(void **state)
{
    (void)state;
    const struct queue_record r = running(0);
    const struct job_state_limits used = after(2);
    assert_int_equal(job_state_after_gate(&r, GATE_OUTCOME_REJECTED, 0, &used),
                     REQUEST_EVENT_REJECT);
}

void test_job_state_dry_run_never_commits(void **state)
{
    (void)state;
    const struct queue_record r = running(0);
    assert_int_equal(job_state_after_gate(&r, GATE_OUTCOME_PASSED, 1, &limits),
                     REQUEST_EVENT_DRY_RUN_DONE);
    assert_int_equal(job_state_after_gate(&r, GATE_OUTCOME_REJECTED, 1, &limits),
                     REQUEST_EVENT_DRY_RUN_DONE);
}

/* Every event that the policy gives must be allowed by the table from the state it is raised in. */
void test_job_state_agrees_with_the_table(void **state)
{
    (void)state;
    for (uint32_t failures = 0; failures < 4; failures++)
        for (uint32_t step = 0; step < 4; step++)
            for (int outcome = 0; outcome < GATE_OUTCOME_COUNT; outcome++)
                for (int dry = 0; dry < 2; dry++) {
                    const struct queue_record r = running(step);
                    const struct job_state_limits l = after(failures);
                    const enum request_event e =
                        job_state_after_gate(&r, (enum gate_outcome)outcome, dry, &l);
                    assert_int_not_equal(request_state_after(REQUEST_EVALUATING, e), REQUEST_NONE);
                    const enum request_event died = job_state_after_death(&r, &l);
                    assert_int_not_equal(request_state_after(REQUEST_RUNNING, died), REQUEST_NONE);
                }
}
