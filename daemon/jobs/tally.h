/*
 * Tally: the core's figures (core_stats.h) while they are collected.  The core thread notes what
 * happens, any thread takes a copy; a lock is held for the time of a copy, never around I/O.
 */
#ifndef LETHE_JOBS_TALLY_H
#define LETHE_JOBS_TALLY_H

#include "daemon/base/status.h"
#include "daemon/jobs/core_stats.h"
#include "daemon/jobs/job_wire.h"
#include "learners/eval/eval_report.h"
#include "storage/store/store.h"

struct tally;

enum status tally_new(struct tally **ret_tally, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void tally_free(struct tally *t);

/* A request has reached a state; counted if that is final.  Kinds nobody knows are left out. */
void tally_move(struct tally *t, const char *kind, enum request_state state);
/* A call that asked for one was refused. */
void tally_refusal(struct tally *t, enum core_stats_kind kind);
/* A job is given to the worker. */
void tally_attempt(struct tally *t);
/* The report of a job, judged. */
void tally_report(struct tally *t, const struct eval_report *report);
/* Progress of the running job, heard at now_us (monotonic). */
void tally_progress(struct tally *t, const struct job_progress *progress, int64_t now_us);
/* Reads the store's figures; a second ago is soon enough.  What cannot be read stays as it was. */
void tally_store(struct tally *t, struct store *store);
/* The worker as it is. */
void tally_worker(struct tally *t, bool busy, uint64_t restarts);
/* Speed of matrix products. */
void tally_gflops(struct tally *t, double gflops);

/* What the tally knows; the figures of predictions are left 0.  Any thread. */
void tally_get(struct tally *t, struct core_stats *ret_stats);

#endif
