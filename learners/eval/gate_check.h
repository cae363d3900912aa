/*
 * Gate checks: limits, verdicts and the decision whether a candidate may be committed
 * (evaluation.md, section 5).  Each check compares one measured value and its interval with a
 * limit; verdicts are never averaged.  A check of "value at most t" is PASS if the upper end is
 * <= t, FAIL if the lower end is > t, otherwise NOT_RESOLVABLE; "at least t" mirrors it.  What a
 * commit needs of a check is its rule.  Checks run from cheap to dear; after the first FAIL of a
 * required check the remaining ones are NOT_RUN.  Pure functions; any thread.
 */
#ifndef LETHE_LEARNERS_GATE_CHECK_H
#define LETHE_LEARNERS_GATE_CHECK_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* One measured number: estimate, 95 % interval, items behind it.  n = 0: not measured (all NaN). */
struct eval_value {
    double value;
    double lo;
    double hi;
    uint32_t n;
};

enum gate_verdict {
    GATE_PASS,
    GATE_FAIL,
    GATE_NOT_RESOLVABLE, /* the interval straddles the limit, or nothing could be measured */
    GATE_NOT_RUN,        /* an earlier required check failed */
    GATE_ERROR           /* the measurement itself is broken: never a reason to reject or commit */
};
#define GATE_VERDICT_COUNT 5

enum gate_rule {
    GATE_RULE_PASS,    /* verdict PASS */
    GATE_RULE_POINT,   /* estimate within the limit, and not FAIL */
    GATE_RULE_NO_FAIL, /* anything but FAIL and ERROR */
    GATE_RULE_REPORT   /* never decides */
};
#define GATE_RULE_COUNT 4

enum gate_direction { GATE_AT_MOST, GATE_AT_LEAST };

enum gate_check_id {
#define X(id, name, metric, direction, limit, rule, text) GATE_CHECK_##id,
#include "learners/eval/gate_checks.def"
#undef X
    GATE_CHECK_COUNT
};

struct gate_limit {
    double limit;
    enum gate_rule rule;
};

struct gate_limits {
    struct gate_limit at[GATE_CHECK_COUNT];
};

/* One row of the report's table. */
struct gate_check {
    enum gate_check_id id;
    uint32_t relapse; /* index into the report's relapse[] for GATE_CHECK_RELAPSE, otherwise 0 */
    struct eval_value measured;
    double limit; /* as applied: acc_forget's includes chance or the accuracy on D_u */
    enum gate_rule rule;
    enum gate_verdict verdict;
};

enum gate_outcome {
    GATE_OUTCOME_NONE,     /* not judged yet */
    GATE_OUTCOME_PASSED,   /* may be committed */
    GATE_OUTCOME_REJECTED, /* a required check was not met */
    GATE_OUTCOME_ERROR     /* a required check could not be computed: retry, never reject */
};
#define GATE_OUTCOME_COUNT 4

struct gate_result {
    enum gate_outcome outcome;
    int all_pass; /* every listed check is PASS, the report-only ones included (level L3) */
};

struct eval_report;

/* The table of section 5. */
struct gate_limits gate_check_defaults(void);
/* Limits and rules as bytes (u8 count, then f64 limit and u8 rule each), for the job that the
 * worker receives. */
void gate_check_put_limits(struct byte_writer *w, const struct gate_limits *limits);
/* Sets r->failed for an unknown rule, a limit that is no finite number, or another check count. */
struct gate_limits gate_check_get_limits(struct byte_reader *r);

/* "acc_forget", "mia_retain", ...; the name used in configuration, reports and metrics. */
const char *gate_check_name(enum gate_check_id id);
const char *gate_check_text(enum gate_check_id id);
/* GATE_CHECK_COUNT if there is no such check. */
enum gate_check_id gate_check_find(const char *name);
/* "PASS", "FAIL", "NOT_RESOLVABLE", "NOT_RUN", "ERROR". */
const char *gate_check_verdict_name(enum gate_verdict verdict);
/* "none", "passed", "rejected", "error". */
const char *gate_check_outcome_name(enum gate_outcome outcome);
/* "pass", "point", "no-fail", "report"; parsing returns -1 for anything else. */
const char *gate_check_rule_name(enum gate_rule rule);
int gate_check_rule_parse(const char *text, enum gate_rule *ret_rule);

enum gate_direction gate_check_direction(enum gate_check_id id);
/* Verdict of one value; n = 0 is NOT_RESOLVABLE, NaN with n > 0 or lo > hi is ERROR. */
enum gate_verdict
gate_check_verdict(struct eval_value measured, double limit, enum gate_direction direction);
/* Whether a verdict satisfies its rule. */
int gate_check_met(const struct gate_check *check);

/*
 * Judges a report: fills report->checks (allocated from `out`), report->n_checks and
 * report->gate.  Uses nothing but the report's own numbers, so the daemon may judge a decoded
 * report again with its own limits.  Which checks are listed follows from report->kind; each
 * earlier erasure is one check.  NO_MEMORY if `out` is exhausted; the report is then unchanged.
 */
enum status gate_check_apply(struct eval_report *report,
                             const struct gate_limits *limits,
                             struct arena *out,
                             struct fault *f) MUST_CHECK;

/*
 * One line for people: check, verdict, value, interval, n, limit, e.g. "acc_forget FAIL: accuracy
 * on the erased items 0.4000 [0.3094, 0.4980], n 100, limit at most 0.1500 (rule point)".
 * Always NUL-terminated; returns the length that was needed, as snprintf does.
 */
size_t gate_check_reason(const struct gate_check *check,
                         const struct eval_report *report,
                         char *text,
                         size_t size);
#define GATE_REASON_SIZE 320

#endif
