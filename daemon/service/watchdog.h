/*
 * When the service manager's watchdog may be fed: only if every part that ought to move has moved
 * since it was fed last.  A timer that always feeds proves nothing.
 *
 *   serve loop     turns at least once a second: its counter must differ
 *   core loop      the one that asks (daemon/main.c); it feeds nothing while it is stuck
 *   predict pool   idle, or its counter of finished work differs
 *   worker         idle, or heard of within the limit after which the core kills it
 *
 * Pure; one thread.
 */
#ifndef LETHE_SERVICE_WATCHDOG_H
#define LETHE_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

/* The worker's limit is kept by the core's next turn, so it gets a little longer here. */
#define WATCHDOG_GRACE_US ((int64_t)2000000)

struct watchdog_view {
    uint64_t serve_ticks;
    bool predict_busy;
    uint64_t predict_done;
    bool worker_busy;
    int64_t worker_quiet_us; /* since it was heard */
    int64_t worker_limit_us;
};

struct watchdog {
    struct watchdog_view fed; /* as it was then; zeros before the first time */
};

/* What does not move: "serve", "predict", "worker"; NULL: feed it, and this view is remembered. */
const char *watchdog_look(struct watchdog *w, const struct watchdog_view *now);

#endif
