/*
 * Waiting for a request: a chain of long polls, during which events are handed over as they come.
 * The stored state decides; events only show progress.  When none come (no events endpoint, a
 * slow subscriber), each poll that ends without a final state is shown as an event instead.  A
 * daemon that has answered before and restarts meanwhile is waited for, PATIENCE_MS long.
 */
#include "client/calls.h"
#include "client/client_error.h"
#include "daemon/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SLICE_MS      20000 /* a long poll nobody watches */
#define SLICE_SHOW_MS 1000  /* one that stands in for events */
#define GRACE_MS      10000 /* for the answer to come back after the poll's own end */
#define PATIENCE_MS   30000
#define RETRY_MS      200

struct waiting {
    struct lethe *l;
    const char *id;
    int64_t end_ms; /* INT64_MAX: for ever */
    struct client_watch watch;
    uint64_t seen; /* events before the last poll */
    int64_t lost_since_ms;
    struct lethe_error *e;
};

static int64_t now_ms(void)
{
    return clock_mono_us() / 1000;
}

/* How long the next poll may take. */
static uint32_t slice_ms(const struct waiting *w)
{
    const int64_t left = w->end_ms - now_ms();
    const bool shown = w->watch.function && w->watch.seen == 0;
    const int64_t slice = shown ? SLICE_SHOW_MS : SLICE_MS;
    return left < 1 ? 1 : (uint32_t)(left < slice ? left : slice);
}

/* One long poll.  A deadline that passed is answered with the request as it is, or as an error. */
static enum lethe_code poll_once(struct waiting *w, struct lethe_request **ret_request)
{
    const uint32_t slice = slice_ms(w);
    struct client_call c = {.envelope = {.kind = WIRE_KIND_WAIT, .deadline_ms = slice},
                            .timeout_ms = slice + GRACE_MS,
                            .attempts = 1,
                            .expects = WIRE_ANSWER_REQUEST};
    enum lethe_code code = calls_parse_id(w->id, "id", &c.envelope.body.by_id.id, w->e);
    if (code != LETHE_OK)
        return code;
    void *root;
    w->seen = w->watch.seen;
    code = calls_run(w->l, &c, &root, w->e);
    *ret_request = root;
    return code;
}

/* Shows the state that a poll brought if no event came meanwhile. */
static bool show(struct waiting *w, const struct lethe_request *r)
{
    if (!w->watch.function || w->watch.seen > w->seen)
        return true;
    struct lethe_event event = {.state = r->state, .progress = r->progress};
    event.at = clock_wall_us();
    (void)snprintf(event.request_id, sizeof event.request_id, "%s", r->id);
    (void)snprintf(event.version, sizeof event.version, "%s", r->version_after);
    return w->watch.function(w->watch.context, &event);
}

/* True if the failure may pass: the poll's own deadline, or a daemon away for a short time. */
static bool may_go_on(struct waiting *w, enum lethe_code code, enum lethe_origin origin)
{
    if (code == LETHE_DEADLINE_EXCEEDED && origin == LETHE_FROM_DAEMON) {
        w->lost_since_ms = 0;
        return true;
    }
    const bool away = origin == LETHE_FROM_TRANSPORT ? code == LETHE_DEADLINE_EXCEEDED
                                                     : code == LETHE_UNAVAILABLE;
    if (!away || !client_was_answered(w->l))
        return false;
    const int64_t now = now_ms();
    if (w->lost_since_ms == 0)
        w->lost_since_ms = now;
    if (now - w->lost_since_ms >= PATIENCE_MS)
        return false;
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
    return true;
}

static enum lethe_code stopped(struct waiting *w)
{
    return client_error_set(w->e, LETHE_CANCELLED, LETHE_FROM_CALLER, NULL,
                            "the caller ended the waiting");
}

static enum lethe_code wait_loop(struct waiting *w, struct lethe_request **ret_request)
{
    do {
        struct lethe_error local = {.code = LETHE_OK};
        struct lethe_error *given = w->e;
        struct lethe_request *r = NULL;
        w->e = &local;
        const enum lethe_code code = poll_once(w, &r);
        w->e = given;
        if (code == LETHE_OK && lethe_state_is_final(r->state)) {
            *ret_request = r;
            return LETHE_OK;
        }
        const bool go_on = code == LETHE_OK ? show(w, r) : true;
        lethe_free(r);
        if (!go_on)
            return stopped(w);
        if (code == LETHE_OK)
            w->lost_since_ms = 0;
        else if (!may_go_on(w, code, local.origin)) {
            if (given)
                *given = local;
            return code;
        }
    } while (now_ms() < w->end_ms);
    return client_error_set(w->e, LETHE_DEADLINE_EXCEEDED, LETHE_FROM_CALLER, "timeout",
                            "the request was not final in time; it goes on");
}

enum lethe_code lethe_wait(struct lethe *l,
                           const char *id,
                           int64_t timeout_ms,
                           lethe_event_fn *function,
                           void *context,
                           struct lethe_request **ret_request,
                           struct lethe_error *e)
{
    *ret_request = NULL;
    client_error_clear(e);
    struct waiting w = {.l = l,
                        .id = id,
                        .end_ms = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms,
                        .watch = {.function = function, .context = context},
                        .e = e};
    if (function && lethe_subscribe(l, id, e) == LETHE_OK)
        client_set_watch(l, &w.watch);
    const enum lethe_code code = wait_loop(&w, ret_request);
    client_set_watch(l, NULL);
    return code;
}
