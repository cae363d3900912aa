#include "storage/queue/request_state.h"

#include "daemon/base/invariant.h"

#include <string.h>

static const struct request_transition TABLE[] = {
    {REQUEST_NONE, REQUEST_EVENT_ACCEPT, REQUEST_RECEIVED},

    {REQUEST_RECEIVED, REQUEST_EVENT_DUPLICATE, REQUEST_DUPLICATE},
    {REQUEST_RECEIVED, REQUEST_EVENT_ASK_APPROVAL, REQUEST_AWAITING_APPROVAL},
    {REQUEST_RECEIVED, REQUEST_EVENT_ENQUEUE, REQUEST_QUEUED},
    {REQUEST_RECEIVED, REQUEST_EVENT_CANCEL, REQUEST_CANCELLED},

    {REQUEST_AWAITING_APPROVAL, REQUEST_EVENT_GONE, REQUEST_DENIED},
    {REQUEST_AWAITING_APPROVAL, REQUEST_EVENT_APPROVE, REQUEST_QUEUED},
    {REQUEST_AWAITING_APPROVAL, REQUEST_EVENT_DENY, REQUEST_DENIED},
    {REQUEST_AWAITING_APPROVAL, REQUEST_EVENT_CANCEL, REQUEST_CANCELLED},

    {REQUEST_QUEUED, REQUEST_EVENT_GONE, REQUEST_DENIED},
    {REQUEST_QUEUED, REQUEST_EVENT_CANCEL, REQUEST_CANCELLED},
    {REQUEST_QUEUED, REQUEST_EVENT_START, REQUEST_RUNNING},

    {REQUEST_RUNNING, REQUEST_EVENT_CANDIDATE, REQUEST_EVALUATING},
    {REQUEST_RUNNING, REQUEST_EVENT_CANCEL, REQUEST_CANCELLED},
    {REQUEST_RUNNING, REQUEST_EVENT_RETRY, REQUEST_QUEUED},
    {REQUEST_RUNNING, REQUEST_EVENT_GIVE_UP, REQUEST_FAILED},
    {REQUEST_RUNNING, REQUEST_EVENT_RESTART, REQUEST_QUEUED},

    {REQUEST_EVALUATING, REQUEST_EVENT_RETRY, REQUEST_QUEUED},
    {REQUEST_EVALUATING, REQUEST_EVENT_GIVE_UP, REQUEST_FAILED},
    {REQUEST_EVALUATING, REQUEST_EVENT_RESTART, REQUEST_QUEUED},
    {REQUEST_EVALUATING, REQUEST_EVENT_NEXT_STEP, REQUEST_RUNNING},
    {REQUEST_EVALUATING, REQUEST_EVENT_REJECT, REQUEST_REJECTED},
    {REQUEST_EVALUATING, REQUEST_EVENT_OVERTAKEN, REQUEST_QUEUED},
    {REQUEST_EVALUATING, REQUEST_EVENT_COMMIT, REQUEST_COMMITTED},
    {REQUEST_EVALUATING, REQUEST_EVENT_DRY_RUN_DONE, REQUEST_CANCELLED},
};
#define TABLE_ROWS (sizeof TABLE / sizeof *TABLE)

static const char *const STATE_NAMES[REQUEST_STATES] = {
    [REQUEST_NONE] = "none",
    [REQUEST_RECEIVED] = "received",
    [REQUEST_AWAITING_APPROVAL] = "awaiting_approval",
    [REQUEST_QUEUED] = "queued",
    [REQUEST_RUNNING] = "running",
    [REQUEST_EVALUATING] = "evaluating",
    [REQUEST_COMMITTED] = "committed",
    [REQUEST_REJECTED] = "rejected",
    [REQUEST_FAILED] = "failed",
    [REQUEST_CANCELLED] = "cancelled",
    [REQUEST_DENIED] = "denied",
    [REQUEST_DUPLICATE] = "duplicate",
};

static const char *const EVENT_NAMES[REQUEST_EVENTS] = {
    [REQUEST_EVENT_ACCEPT] = "accept",
    [REQUEST_EVENT_DUPLICATE] = "duplicate",
    [REQUEST_EVENT_ASK_APPROVAL] = "ask_approval",
    [REQUEST_EVENT_ENQUEUE] = "enqueue",
    [REQUEST_EVENT_GONE] = "gone",
    [REQUEST_EVENT_APPROVE] = "approve",
    [REQUEST_EVENT_DENY] = "deny",
    [REQUEST_EVENT_CANCEL] = "cancel",
    [REQUEST_EVENT_START] = "start",
    [REQUEST_EVENT_CANDIDATE] = "candidate",
    [REQUEST_EVENT_RETRY] = "retry",
    [REQUEST_EVENT_GIVE_UP] = "give_up",
    [REQUEST_EVENT_RESTART] = "restart",
    [REQUEST_EVENT_NEXT_STEP] = "next_step",
    [REQUEST_EVENT_REJECT] = "reject",
    [REQUEST_EVENT_OVERTAKEN] = "overtaken",
    [REQUEST_EVENT_COMMIT] = "commit",
    [REQUEST_EVENT_DRY_RUN_DONE] = "dry_run_done",
};

const struct request_transition *request_transitions(size_t *ret_count)
{
    *ret_count = TABLE_ROWS;
    return TABLE;
}

enum request_state request_state_after(enum request_state from, enum request_event event)
{
    for (size_t i = 0; i < TABLE_ROWS; i++) {
        if (TABLE[i].from == from && TABLE[i].event == event)
            return TABLE[i].to;
    }
    return REQUEST_NONE;
}

int request_state_is_final(enum request_state state)
{
    for (size_t i = 0; i < TABLE_ROWS; i++) {
        if (TABLE[i].from == state)
            return 0;
    }
    return 1;
}

int request_state_is_valid(unsigned number)
{
    return number > REQUEST_NONE && number < REQUEST_STATES;
}

const char *request_state_name(enum request_state state)
{
    INVARIANT((unsigned)state < REQUEST_STATES);
    return STATE_NAMES[state];
}

enum request_state request_state_parse(const char *name)
{
    for (unsigned i = REQUEST_RECEIVED; i < REQUEST_STATES; i++) {
        if (strcmp(STATE_NAMES[i], name) == 0)
            return (enum request_state)i;
    }
    return REQUEST_NONE;
}

const char *request_event_name(enum request_event event)
{
    INVARIANT((unsigned)event < REQUEST_EVENTS);
    return EVENT_NAMES[event];
}
