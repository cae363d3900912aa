/*
 * When the service manager's watchdog may be fed: only if every part that ought to move has moved
 * since it was fed last.  A timer that always feeds proves nothing.
 *
 *   serve loop     turns at least once a second: its counter must differ
 *   core loop      the one that asks (daemon/main.c); it feeds nothing while it is stuck
 *   predict pool   idle, then or now, or its counter of finished work differs
 *   worker         idle, then or now, or its counter of messages differs
 *
 * Pure; one thread.
 */
#ifndef LETHE_SERVICE_WATCHDOG_H
#define LETHE_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct watchdog_view {
    uint64_t serve_ticks;
    bool predict_busy;
    uint64_t predict_done;
    bool worker_busy;
    uint64_t worker_heard;
};

struct watchdog {
    struct watchdog_view fed; /* as it was then; zeros before the first time */
};

/* What does not move: "serve", "predict", "worker"; NULL: feed it, and this view is remembered. */
const char *watchdog_look(struct watchdog *w, const struct watchdog_view *now);

/*
 * The silence of a worker, in seconds, after which it is killed: as configured, but at most half of
 * the manager's limit (0: there is none), so that a silent worker never costs the daemon.
 */
int64_t watchdog_worker_stall_s(int64_t configured_s, uint64_t manager_us);

#endif
