/*
 * What the service manager is told (sd_notify(3)), in the order in which it may be told: stages of
 * the start, ready, pulses with status and watchdog, reloads, stopping.  Without a manager nothing
 * happens.  Main thread.
 */
#ifndef LETHE_SERVICE_NOTIFY_H
#define LETHE_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* A stage of the start begins; it may take NOTIFY_STAGE_S before the manager loses patience. */
#define NOTIFY_STAGE_S 120
void notify_stage(const char *text);
/* Everything that ready promises is true. */
void notify_ready(const char *status);
/* The manager's limit between two feeds of its watchdog (WatchdogSec=); 0: it has none. */
uint64_t notify_watchdog_us(void);
/* Once a second: one line about the daemon, and the watchdog if it may be fed. */
void notify_pulse(const char *status, bool feed);
/* Around a reload; `status` says how it went. */
void notify_reloading(void);
void notify_reloaded(const char *status);
/* Draining may take so long from now on. */
void notify_stopping(unsigned seconds);

#endif
