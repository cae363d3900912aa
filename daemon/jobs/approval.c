#include "daemon/jobs/approval.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/jobs/core_internal.h"

#define HOUR_US ((int64_t)3600 * 1000000)

/* Positions in the list of `approval` in params.def. */
enum policy { POLICY_NONE, POLICY_SUBJECT, POLICY_CLASS, POLICY_ALL };

enum request_event approval_event(const struct config *config, const struct wire_forget *m)
{
    const int person = m->subject[0] != '\0', classes = m->n_classes > 0;
    const int asks = config->approval == POLICY_ALL ||
                     (config->approval >= POLICY_SUBJECT && person) ||
                     (config->approval >= POLICY_CLASS && classes);
    return asks && !m->dry_run ? REQUEST_EVENT_ASK_APPROVAL : REQUEST_EVENT_ENQUEUE;
}

static enum status deny_late(struct core *core, const struct queue_record *record, struct fault *f)
{
    const struct queue_error error = {.code = STATUS_DEADLINE_EXCEEDED,
                                      .text = "nobody approved it in time"};
    const struct queue_move move = {
        .id = record->id, .event = REQUEST_EVENT_DENY, .now_us = clock_wall_us(), .error = &error};
    struct store_change change = {.moves = &move, .n_moves = 1};
    struct store_result result;
    return core_commit(core, &change, &result, f);
}

/* They are in the order of their acceptance: the first that is in time ends the search. */
void approval_expire(struct core *core, int64_t now_us)
{
    const int64_t patience = core->config->approval_timeout_h * HOUR_US;
    struct queue_record record;
    struct fault f = {0};
    while (store_read_oldest(core->store, REQUEST_AWAITING_APPROVAL, &record, NULL) == STATUS_OK &&
           now_us - record.submitted_us >= patience) {
        if (deny_late(core, &record, &f) == STATUS_OK)
            continue;
        log_event(LOG_LEVEL_ERROR, "approval.expire", f.text, NULL);
        return;
    }
}
