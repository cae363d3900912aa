#include "daemon/service/notify.h"

#include <systemd/sd-daemon.h>

#include "daemon/base/clock.h"

#define US 1000000ull

void notify_stage(const char *text)
{
    (void)sd_notifyf(0, "STATUS=%s\nEXTEND_TIMEOUT_USEC=%llu", text,
                     (unsigned long long)NOTIFY_STAGE_S * US);
}

void notify_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

uint64_t notify_watchdog_us(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}

void notify_pulse(const char *status, bool feed)
{
    (void)sd_notifyf(0, "STATUS=%s%s", status, feed ? "\nWATCHDOG=1" : "");
}

void notify_reloading(void)
{
    /* Managers newer than Debian 12's want the time of it. */
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

void notify_reloaded(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_stopping(unsigned seconds)
{
    (void)sd_notifyf(0, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%llu",
                     (unsigned long long)seconds * US);
}
