#include "daemon/service/watchdog.h"

#include <stddef.h>

const char *watchdog_look(struct watchdog *w, const struct watchdog_view *now)
{
    if (now->serve_ticks == w->fed.serve_ticks)
        return "serve";
    if (now->predict_busy && now->predict_done == w->fed.predict_done)
        return "predict";
    if (now->worker_busy && now->worker_quiet_us > now->worker_limit_us + WATCHDOG_GRACE_US)
        return "worker";
    w->fed = *now;
    return NULL;
}
