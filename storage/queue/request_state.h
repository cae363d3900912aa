/*
 * The life of a request as data: states, events and the table of allowed moves.  Pure: no store, no
 * clock.  What an event means and when it may be raised (attempts left, gate verdict, policy) is
 * decided in daemon/jobs; storage refuses whatever is not in this table.
 */
#ifndef LETHE_STORAGE_REQUEST_STATE_H
#define LETHE_STORAGE_REQUEST_STATE_H

#include <stddef.h>

/* Numbers are stored; only add.  Names are those of the public interface. */
enum request_state {
    REQUEST_NONE = 0, /* before acceptance; never stored */
    REQUEST_RECEIVED = 1,
    REQUEST_AWAITING_APPROVAL = 2,
    REQUEST_QUEUED = 3,
    REQUEST_RUNNING = 4,
    REQUEST_EVALUATING = 5,
    REQUEST_COMMITTED = 6,
    REQUEST_REJECTED = 7,
    REQUEST_FAILED = 8,
    REQUEST_CANCELLED = 9,
    REQUEST_DENIED = 10,
    REQUEST_DUPLICATE = 11,
    REQUEST_STATES
};

enum request_event {
    REQUEST_EVENT_ACCEPT,       /* valid, permitted, plan fits, space reserved */
    REQUEST_EVENT_DUPLICATE,    /* same subject and scope as an open request of another id */
    REQUEST_EVENT_ASK_APPROVAL, /* policy wants a second key */
    REQUEST_EVENT_ENQUEUE,      /* policy does not */
    REQUEST_EVENT_GONE,         /* a label, data set or version it names has gone meanwhile */
    REQUEST_EVENT_APPROVE,      /* by another privacy key */
    REQUEST_EVENT_DENY,         /* with a reason, or the approval time-out passed */
    REQUEST_EVENT_CANCEL,       /* by the submitter or an admin; running: at a step boundary */
    REQUEST_EVENT_START,        /* turn has come; counts one attempt */
    REQUEST_EVENT_CANDIDATE,    /* worker returned components and report */
    REQUEST_EVENT_RETRY,        /* worker died or check in error, attempts left; same seed */
    REQUEST_EVENT_GIVE_UP,      /* the same, none left */
    REQUEST_EVENT_RESTART,      /* the daemon was restarted; same seed */
    REQUEST_EVENT_NEXT_STEP,    /* gate failed, a further parameter step exists */
    REQUEST_EVENT_REJECT,       /* gate failed, none left */
    REQUEST_EVENT_OVERTAKEN,    /* the serving pointer moved since the parent was measured */
    REQUEST_EVENT_COMMIT,       /* gate passed, swap done in the same transaction */
    REQUEST_EVENT_DRY_RUN_DONE, /* report kept, nothing committed */
    REQUEST_EVENTS
};

struct request_transition {
    enum request_state from;
    enum request_event event;
    enum request_state to;
};

/* The whole table, for documents and tests. */
const struct request_transition *request_transitions(size_t *ret_count);
/* Where `event` leads from `from`; REQUEST_NONE if the table does not allow it. */
enum request_state request_state_after(enum request_state from, enum request_event event);
/* No move leads out of it. */
int request_state_is_final(enum request_state state);
/* A state that a stored request can be in. */
int request_state_is_valid(unsigned number);

/* "received", "awaiting_approval", ...; "none" for REQUEST_NONE. */
const char *request_state_name(enum request_state state);
/* REQUEST_NONE if the name is unknown. */
enum request_state request_state_parse(const char *name);
/* "accept", "ask_approval", ... */
const char *request_event_name(enum request_event event);

#endif
