#include "daemon/jobs/job_state.h"

/* Failed runs and parameter steps so far, the present run included. */
static uint32_t runs(const struct queue_record *record, const struct job_state_limits *limits)
{
    return limits->failures + 1 + record->step;
}

enum request_event job_state_after_death(const struct queue_record *record,
                                         const struct job_state_limits *limits)
{
    return runs(record, limits) < limits->max_attempts ? REQUEST_EVENT_RETRY
                                                       : REQUEST_EVENT_GIVE_UP;
}

enum request_event job_state_after_error(const struct queue_record *record,
                                         enum status error,
                                         const struct job_state_limits *limits)
{
    switch (status_class_of(error)) {
    case STATUS_CLASS_CALLER:
    case STATUS_CLASS_CORRUPT:
        return REQUEST_EVENT_GIVE_UP;
    case STATUS_CLASS_LIMIT:
        /* Memory of the machine may be there next time; a plan over its limit will not change. */
        if (error != STATUS_NO_MEMORY && error != STATUS_NO_SPACE)
            return REQUEST_EVENT_GIVE_UP;
        break;
    case STATUS_CLASS_OK:
    case STATUS_CLASS_TRANSIENT:
    case STATUS_CLASS_BUG:
        break;
    }
    return job_state_after_death(record, limits);
}

static enum request_event after_failed_gate(const struct queue_record *record,
                                            const struct job_state_limits *limits)
{
    if (record->step < limits->steps && runs(record, limits) < limits->max_attempts)
        return REQUEST_EVENT_NEXT_STEP;
    return REQUEST_EVENT_REJECT;
}

enum request_event job_state_after_gate(const struct queue_record *record,
                                        enum gate_outcome outcome,
                                        int dry_run,
                                        const struct job_state_limits *limits)
{
    switch (outcome) {
    case GATE_OUTCOME_PASSED:
        return dry_run ? REQUEST_EVENT_DRY_RUN_DONE : REQUEST_EVENT_COMMIT;
    case GATE_OUTCOME_REJECTED:
        return dry_run ? REQUEST_EVENT_DRY_RUN_DONE : after_failed_gate(record, limits);
    case GATE_OUTCOME_NONE:
    case GATE_OUTCOME_ERROR:
        break;
    }
    return job_state_after_death(record, limits);
}
