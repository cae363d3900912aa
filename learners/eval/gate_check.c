#include "learners/eval/gate_check.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/eval_report.h"

static const struct {
    const char *name;
    const char *text;
    size_t metric; /* offset in struct eval_report */
    enum gate_direction direction;
    struct gate_limit standard;
} CHECKS[] = {
#define X(id, name, metric, direction, limit, rule, text)                                          \
    {name, text, offsetof(struct eval_report, metric), GATE_##direction, {limit, GATE_RULE_##rule}},
#include "learners/eval/gate_checks.def"
#undef X
};

struct gate_limits gate_check_defaults(void)
{
    struct gate_limits limits;
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++)
        limits.at[i] = CHECKS[i].standard;
    return limits;
}

void gate_check_put_limits(struct byte_writer *w, const struct gate_limits *limits)
{
    put_u8(w, GATE_CHECK_COUNT);
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++) {
        put_f64(w, limits->at[i].limit);
        put_u8(w, (uint8_t)limits->at[i].rule);
    }
}

struct gate_limits gate_check_get_limits(struct byte_reader *r)
{
    struct gate_limits limits = gate_check_defaults();
    if (get_u8(r) != GATE_CHECK_COUNT) {
        r->failed = 1;
        return limits;
    }
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++) {
        const double limit = get_f64(r);
        const uint8_t rule = get_u8(r);
        if (rule >= GATE_RULE_COUNT || !isfinite(limit)) {
            r->failed = 1;
            return gate_check_defaults();
        }
        limits.at[i] = (struct gate_limit){limit, (enum gate_rule)rule};
    }
    return limits;
}

const char *gate_check_name(enum gate_check_id id)
{
    INVARIANT((unsigned)id < GATE_CHECK_COUNT);
    return CHECKS[id].name;
}

const char *gate_check_text(enum gate_check_id id)
{
    INVARIANT((unsigned)id < GATE_CHECK_COUNT);
    return CHECKS[id].text;
}

enum gate_direction gate_check_direction(enum gate_check_id id)
{
    INVARIANT((unsigned)id < GATE_CHECK_COUNT);
    return CHECKS[id].direction;
}

enum gate_check_id gate_check_find(const char *name)
{
    unsigned i = 0;
    while (i < GATE_CHECK_COUNT && strcmp(CHECKS[i].name, name) != 0)
        i++;
    return (enum gate_check_id)i;
}

const char *gate_check_verdict_name(enum gate_verdict verdict)
{
    static const char *const NAMES[] = {"PASS", "FAIL", "NOT_RESOLVABLE", "NOT_RUN", "ERROR"};
    INVARIANT((unsigned)verdict < GATE_VERDICT_COUNT);
    return NAMES[verdict];
}

const char *gate_check_outcome_name(enum gate_outcome outcome)
{
    static const char *const NAMES[] = {"none", "passed", "rejected", "error"};
    INVARIANT((unsigned)outcome < GATE_OUTCOME_COUNT);
    return NAMES[outcome];
}

static const char *const RULE_NAMES[] = {"pass", "point", "no-fail", "report"};

const char *gate_check_rule_name(enum gate_rule rule)
{
    INVARIANT((unsigned)rule < GATE_RULE_COUNT);
    return RULE_NAMES[rule];
}

int gate_check_rule_parse(const char *text, enum gate_rule *ret_rule)
{
    for (unsigned i = 0; i < GATE_RULE_COUNT; i++) {
        if (strcmp(RULE_NAMES[i], text) == 0) {
            *ret_rule = (enum gate_rule)i;
            return 0;
        }
    }
    return -1;
}

enum gate_verdict
gate_check_verdict(struct eval_value measured, double limit, enum gate_direction direction)
{
    if (measured.n == 0)
        return GATE_NOT_RESOLVABLE;
    /* Written so that a NaN anywhere makes the comparison false. */
    if (!(measured.lo <= measured.hi) || isnan(measured.value))
        return GATE_ERROR;
    if (isnan(limit))
        return GATE_NOT_RESOLVABLE;
    const int at_most = direction == GATE_AT_MOST;
    if (at_most ? measured.hi <= limit : measured.lo >= limit)
        return GATE_PASS;
    if (at_most ? measured.lo > limit : measured.hi < limit)
        return GATE_FAIL;
    return GATE_NOT_RESOLVABLE;
}

static int within(const struct gate_check *c)
{
    if (c->measured.n == 0 || isnan(c->limit))
        return 0;
    return gate_check_direction(c->id) == GATE_AT_MOST ? c->measured.value <= c->limit
                                                       : c->measured.value >= c->limit;
}

int gate_check_met(const struct gate_check *check)
{
    const enum gate_verdict v = check->verdict;
    switch (check->rule) {
    case GATE_RULE_PASS:
        return v == GATE_PASS;
    case GATE_RULE_POINT:
        return (v == GATE_PASS || v == GATE_NOT_RESOLVABLE) && within(check);
    case GATE_RULE_NO_FAIL:
        return v == GATE_PASS || v == GATE_NOT_RESOLVABLE;
    case GATE_RULE_REPORT:
        return 1;
    }
    return 0;
}

/* ------------------------------------------------------------------ judging a report */

static struct eval_value measured_of(const struct eval_report *r, enum gate_check_id id)
{
    struct eval_value v;
    memcpy(&v, (const char *)r + CHECKS[id].metric, sizeof v);
    return v;
}

static int erases(enum eval_kind kind)
{
    return kind == EVAL_KIND_FORGET_CLASSES || kind == EVAL_KIND_FORGET_SAMPLES;
}

/*
 * Whether the check belongs to this kind of request; relapse is listed row by row.  A re-check may
 * have no parent to compare with: what it could not measure is then no requirement.
 */
static int applies(const struct eval_report *r, enum gate_check_id id)
{
    const enum eval_kind kind = r->kind;
    switch (id) {
    case GATE_CHECK_ACC_FORGET:
    case GATE_CHECK_MIA_FORGET:
        return erases(kind);
    case GATE_CHECK_PROTOTYPE:
    case GATE_CHECK_RIDGE:
        return kind == EVAL_KIND_FORGET_CLASSES;
    case GATE_CHECK_NEW_TASK:
        return kind == EVAL_KIND_LEARN;
    case GATE_CHECK_RETAIN_MACRO:
    case GATE_CHECK_RETAIN_WORST:
    case GATE_CHECK_JS_DRIFT:
    case GATE_CHECK_MIA_RETAIN:
        return kind != EVAL_KIND_RECHECK || measured_of(r, id).n > 0;
    case GATE_CHECK_RELAPSE:
    case GATE_CHECK_COUNT:
        return 0;
    }
    return 0;
}

/* The limit as applied.  acc_forget's is added to what a model without the knowledge would reach:
 * chance for erased classes, the accuracy on unseen items of the same classes for samples. */
static double limit_of(const struct eval_report *r, enum gate_check_id id, double limit)
{
    if (id != GATE_CHECK_ACC_FORGET)
        return limit;
    if (r->kind == EVAL_KIND_FORGET_SAMPLES)
        return r->acc_unseen.n ? r->acc_unseen.value + limit : (double)NAN;
    return r->n_live ? 1.0 / r->n_live + limit : (double)NAN;
}

static struct gate_check
simple_check(const struct eval_report *r, enum gate_check_id id, const struct gate_limit *limit)
{
    struct gate_check c = {.id = id,
                           .measured = measured_of(r, id),
                           .limit = limit_of(r, id, limit->limit),
                           .rule = limit->rule};
    c.verdict = gate_check_verdict(c.measured, c.limit, gate_check_direction(id));
    return c;
}

static struct gate_check
relapse_check(const struct eval_report *r, uint32_t q, const struct gate_limit *limit)
{
    struct gate_check c = {.id = GATE_CHECK_RELAPSE,
                           .relapse = q,
                           .measured = r->relapse[q].acc,
                           .limit = r->relapse[q].limit,
                           .rule = limit->rule};
    if (!r->relapse[q].recheckable)
        c.measured = eval_report_absent();
    c.verdict = gate_check_verdict(c.measured, c.limit, GATE_AT_MOST);
    return c;
}

/* Every check that applies, in running order, each judged on its own. */
static uint32_t
list_checks(const struct eval_report *r, const struct gate_limits *limits, struct gate_check *to)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++) {
        const enum gate_check_id id = (enum gate_check_id)i;
        if (applies(r, id))
            to[n++] = simple_check(r, id, &limits->at[i]);
        for (uint32_t q = 0; id == GATE_CHECK_RELAPSE && q < r->n_relapse; q++)
            to[n++] = relapse_check(r, q, &limits->at[i]);
    }
    return n;
}

/* The first required check that is not met ends the run: what follows is NOT_RUN. */
static struct gate_result decide(struct gate_check *checks, uint32_t n)
{
    struct gate_result result = {GATE_OUTCOME_PASSED, 1};
    for (uint32_t i = 0; i < n; i++) {
        if (result.outcome != GATE_OUTCOME_PASSED)
            checks[i].verdict = GATE_NOT_RUN;
        result.all_pass &= checks[i].verdict == GATE_PASS;
        if (result.outcome == GATE_OUTCOME_PASSED && !gate_check_met(&checks[i]))
            result.outcome =
                checks[i].verdict == GATE_ERROR ? GATE_OUTCOME_ERROR : GATE_OUTCOME_REJECTED;
    }
    return result;
}

enum status gate_check_apply(struct eval_report *report,
                             const struct gate_limits *limits,
                             struct arena *out,
                             struct fault *f)
{
    const size_t most = (size_t)GATE_CHECK_COUNT + report->n_relapse;
    struct gate_check *checks = arena_alloc_zero(out, most, sizeof *checks);
    if (!checks)
        FAIL(f, STATUS_NO_MEMORY, "checks", "no room for %zu checks of the gate", most);
    report->checks = checks;
    report->n_checks = list_checks(report, limits, checks);
    report->gate = decide(checks, report->n_checks);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ reasons */

/* A bounded text that goes on counting when it is full. */
struct text {
    char *at;
    size_t size;
    size_t used;
};

static void text_char(struct text *t, char c)
{
    if (t->used + 1 < t->size)
        t->at[t->used] = c;
    t->used++;
}

static void text_add(struct text *t, const char *s)
{
    while (*s)
        text_char(t, *s++);
}

static void text_integer(struct text *t, uint64_t x)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0);
    while (n > 0)
        text_char(t, digits[--n]);
}

/* Four decimals, which is finer than any n here resolves. */
static void text_number(struct text *t, double x)
{
    if (isnan(x)) {
        text_add(t, "unknown");
        return;
    }
    if (x < 0.0)
        text_char(t, '-');
    x = fabs(x);
    if (!(x < 1e14)) {
        text_add(t, isinf(x) ? "inf" : "1e14 or more");
        return;
    }
    const uint64_t scaled = (uint64_t)llround(x * 1e4);
    text_integer(t, scaled / 10000);
    text_char(t, '.');
    for (uint64_t unit = 1000; unit > 0; unit /= 10)
        text_char(t, (char)('0' + scaled / unit % 10));
}

static void text_measured(struct text *t, const struct eval_value *v)
{
    if (v->n == 0) {
        text_add(t, " not measured");
        return;
    }
    text_char(t, ' ');
    text_number(t, v->value);
    text_add(t, " [");
    text_number(t, v->lo);
    text_add(t, ", ");
    text_number(t, v->hi);
    text_add(t, "], n ");
    text_integer(t, v->n);
}

size_t gate_check_reason(const struct gate_check *check,
                         const struct eval_report *report,
                         char *text,
                         size_t size)
{
    struct text t = {text, size, 0};
    text_add(&t, gate_check_name(check->id));
    text_char(&t, ' ');
    text_add(&t, gate_check_verdict_name(check->verdict));
    text_add(&t, ": ");
    text_add(&t, gate_check_text(check->id));
    if (check->id == GATE_CHECK_RELAPSE && check->relapse < report->n_relapse) {
        char id[REQUEST_ID_TEXT_SIZE];
        request_id_format(&report->relapse[check->relapse].request, id);
        text_char(&t, ' ');
        text_add(&t, id);
    }
    text_measured(&t, &check->measured);
    text_add(&t, gate_check_direction(check->id) == GATE_AT_MOST ? ", limit at most "
                                                                 : ", limit at least ");
    text_number(&t, check->limit);
    text_add(&t, " (rule ");
    text_add(&t, gate_check_rule_name(check->rule));
    text_char(&t, ')');
    if (size > 0)
        text[t.used < size ? t.used : size - 1] = '\0';
    return t.used;
}
