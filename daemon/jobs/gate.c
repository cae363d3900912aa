#include "daemon/jobs/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/report_json.h"
#include "learners/eval/gate_check.h"

/* Room for the verdicts that judging adds to the decoded report. */
static size_t checks_bytes(size_t report_size)
{
    struct arena_plan plan = {0};
    arena_plan_add(&plan, GATE_CHECK_COUNT + report_size / REQUEST_ID_SIZE,
                   sizeof(struct gate_check));
    return arena_plan_bytes(&plan);
}

static enum status judge(const void *report,
                         size_t size,
                         const struct gate_limits *limits,
                         struct gate *g,
                         struct fault *f)
{
    TRY(eval_report_decode(report, size, &g->arena, &g->report, f));
    const enum gate_outcome measured = g->report.gate.outcome;
    TRY(gate_check_apply(&g->report, limits, &g->arena, f));
    if (g->report.gate.outcome != measured)
        FAIL(f, STATUS_INTERNAL, "gate",
             "the worker's verdict does not follow from its own report");
    return report_json_text(&g->report, &g->json, &g->json_size, f);
}

enum status gate_judge(const void *report,
                       size_t size,
                       const struct gate_limits *limits,
                       struct gate *ret_gate,
                       struct fault *f)
{
    struct gate g = {0};
    const size_t plan = eval_report_decode_plan(report, size);
    if (plan == 0)
        FAIL(f, STATUS_BAD_FORMAT, "report", "the worker's report is malformed");
    const size_t total = plan + checks_bytes(size);
    g.memory = sysio_alloc(total, 1);
    if (!g.memory)
        FAIL(f, STATUS_NO_MEMORY, "report", "no memory for the report");
    arena_init(&g.arena, g.memory, total);
    const enum status st = judge(report, size, limits, &g, f);
    if (st != STATUS_OK) {
        gate_fini(&g);
        return st;
    }
    *ret_gate = g;
    return STATUS_OK;
}

enum status gate_tell_stream(struct gate *gate, const struct report_stream *stream, struct fault *f)
{
    char *text;
    size_t size;
    TRY(report_json_with(&gate->report, stream, &text, &size, f));
    free(gate->json);
    gate->json = text;
    gate->json_size = size;
    return STATUS_OK;
}

void gate_fini(struct gate *gate)
{
    free(gate->json);
    sysio_free(gate->memory);
    memset(gate, 0, sizeof *gate);
}

const char *gate_verdict_name(const struct gate *gate)
{
    switch (gate->report.gate.outcome) {
    case GATE_OUTCOME_PASSED:
        return "passed";
    case GATE_OUTCOME_REJECTED:
        return "rejected";
    case GATE_OUTCOME_NONE:
    case GATE_OUTCOME_ERROR:
        break;
    }
    return "error";
}

void gate_reason(const struct gate *gate, char *text, size_t size)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < gate->report.n_checks; i++) {
        if (gate_check_met(&gate->report.checks[i]))
            continue;
        char reason[GATE_REASON_SIZE];
        (void)gate_check_reason(&gate->report.checks[i], &gate->report, reason, sizeof reason);
        (void)snprintf(text, size, "%s", reason);
        return;
    }
}
