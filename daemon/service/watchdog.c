#include "daemon/service/watchdog.h"

#include <stddef.h>

#define US 1000000u

const char *watchdog_look(struct watchdog *w, const struct watchdog_view *now)
{
    const struct watchdog_view *then = &w->fed;
    if (now->serve_ticks == then->serve_ticks)
        return "serve";
    if (now->predict_busy && then->predict_busy && now->predict_done == then->predict_done)
        return "predict";
    if (now->worker_busy && then->worker_busy && now->worker_heard == then->worker_heard)
        return "worker";
    w->fed = *now;
    return NULL;
}

int64_t watchdog_worker_stall_s(int64_t configured_s, uint64_t manager_us)
{
    const int64_t half_s = (int64_t)(manager_us / (2 * US));
    if (manager_us == 0 || configured_s <= half_s)
        return configured_s;
    return half_s > 0 ? half_s : 1;
}
