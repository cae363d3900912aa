/*
 * The policy gate: decodes the report that the worker measured and judges it again with the
 * daemon's own limits (evaluation.md, 5).  The worker's verdicts are only compared: a worker that
 * judged otherwise than its numbers say is a fault, and the request is tried again.
 */
#ifndef LETHE_JOBS_GATE_H
#define LETHE_JOBS_GATE_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "daemon/jobs/report_json.h"
#include "learners/eval/eval_report.h"

#include <stddef.h>

/* One judged report.  `json` is the report document that is stored and shown. */
struct gate {
    struct eval_report report; /* lists in the arena */
    char *json;
    size_t json_size;
    void *memory;
    struct arena arena;
};

/* BAD_FORMAT: not a report; INTERNAL: the worker's outcome differs from its numbers; NO_MEMORY. */
enum status gate_judge(const void *report,
                       size_t size,
                       const struct gate_limits *limits,
                       struct gate *ret_gate,
                       struct fault *f) MUST_CHECK;
void gate_fini(struct gate *gate);
/* "passed", "rejected" or "error", as the log says it. */
const char *gate_verdict_name(const struct gate *gate);
/* The first requirement that was not met, for the request's error; "" if all were. */
void gate_reason(const struct gate *gate, char *text, size_t size);

/* Makes the document again, with what the detector of a stream decided. */
enum status
gate_tell_stream(struct gate *gate, const struct report_stream *stream, struct fault *f) MUST_CHECK;

#endif
