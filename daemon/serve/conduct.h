/*
 * Conduct: what is remembered of each peer while the daemon runs.  A bucket of calls that fills at
 * a steady rate, and malformed messages: CONDUCT_STRIKES of them within CONDUCT_SUSPEND_US suspend
 * the peer for CONDUCT_SUSPEND_US.  Holds the last CONDUCT_PEERS peers; who has not been seen for
 * longest makes room, but nobody who is suspended as long as there is another.  One thread at a
 * time.
 */
#ifndef LETHE_SERVE_CONDUCT_H
#define LETHE_SERVE_CONDUCT_H

#include "daemon/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONDUCT_PEERS      1280
#define CONDUCT_STRIKES    3u
#define CONDUCT_SUSPEND_US ((int64_t)60 * 1000000)

struct conduct;

/* calls_s: calls a second that each peer may go on with; it may save up as many; 0: no limit. */
enum status conduct_new(uint32_t calls_s, struct conduct **ret_conduct, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void conduct_free(struct conduct *c);

/* Takes one call from the peer's bucket.  Microseconds until there is one again; 0: taken. */
int64_t conduct_take(struct conduct *c, const char *principal, int64_t now_us);
/* Microseconds that the peer is still suspended; 0: it is not. */
int64_t conduct_suspended(struct conduct *c, const char *principal, int64_t now_us);
/* Counts a malformed message; true if this one suspends the peer. */
bool conduct_strike(struct conduct *c, const char *principal, int64_t now_us);

#endif
