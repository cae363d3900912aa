/*
 * Four eyes: which erasures wait until a second person agrees, and how they end if nobody does.
 * Policy `approval` of the configuration: none; subject (erasures of a person); class (those and
 * erasures of classes); all.  A dry run changes nothing and never waits.  Core thread.
 */
#ifndef LETHE_JOBS_APPROVAL_H
#define LETHE_JOBS_APPROVAL_H

#include "daemon/base/status.h"
#include "daemon/jobs/core.h"
#include "proto/wire.h"
#include "storage/queue/request_state.h"

#include <stdint.h>

/* ENQUEUE, or ASK_APPROVAL if the policy wants another person's word. */
enum request_event approval_event(const struct config *config, const struct wire_forget *m);
/* Denies what has waited for longer than approval_timeout_h; says so in the journal if it fails. */
void approval_expire(struct core *core, int64_t now_us);

#endif
