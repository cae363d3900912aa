/* history, show, diff, served-at, rollback, pin, evaluate: versions and what served when. */
#include "client/cli/bar.h"
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "client/cli/when.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <string.h>

#define N(specs) (sizeof(specs) / sizeof(specs)[0])

static const struct option_spec HISTORY_SPECS[] = {
    {"limit", 'l', OPTION_VALUE, "N", "at most so many, newest first (default 50)"},
};
static const struct option_spec EVALUATE_SPECS[] = {
    {"version", 0, OPTION_VALUE, "VERSION", "which one (default: the serving one)"},
    {"full", 0, OPTION_FLAG, NULL, "the whole set of checks; takes longer"},
};
static const struct option_spec SERVED_SPECS[] = {
    {"proof", 0, OPTION_VALUE, "FILE", "write what shows it to others here (lethe-verify served)"},
};
static const struct option_spec PIN_SPECS[] = {
    {"release", 0, OPTION_FLAG, NULL, "take the pin away"},
};

#define NAMES                                                                                      \
    "VERSION is a number, 64 hexadecimal digits or a unique prefix of 8 or more, or \"serving\"."

#define PIN_DETAILS                                                                                \
    NAMES "\nRollbacks are refused while a pin holds.  An erasure outranks it: its commit moves "  \
          "the\n"                                                                                  \
          "serving version and drops the pin."

static enum cli_exit print_version(struct cli *c, struct lethe_version *v)
{
    bool good = true;
    if (c->json)
        good = json_out_version(c->out, v);
    else
        show_version(c->out, v);
    lethe_free(v);
    return cli_printed(c, good);
}

static enum cli_exit run_history(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    uint64_t limit;
    if (options_number(o, "limit", 50, 1, LIMIT_LIST, &limit, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    struct lethe_versions *list;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_history(c->lethe, (uint32_t)limit, 0, &list, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (!c->json)
        show_versions(c->out, list->items, list->n);
    for (size_t i = 0; c->json && good && i < list->n; i++)
        good = json_out_version(c->out, &list->items[i]);
    if (!c->json && list->next_before != 0)
        cli_note(c, "there are older ones: --limit");
    lethe_free(list);
    return cli_printed(c, good);
}

/* A call that takes a version's name and gives a version. */
typedef enum lethe_code version_call(struct lethe *l,
                                     const char *version,
                                     struct lethe_version **ret_version,
                                     struct lethe_error *e);

static enum cli_exit run_version_call(struct cli *c, version_call *call, const char *version)
{
    struct lethe_version *v;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (call(c->lethe, version, &v, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return print_version(c, v);
}

static enum cli_exit run_show(struct cli *c, const struct options *o)
{
    return run_version_call(c, lethe_show, o->operands[0]);
}

static enum cli_exit run_rollback(struct cli *c, const struct options *o)
{
    return run_version_call(c, lethe_rollback, o->operands[0]);
}

static enum cli_exit run_pin(struct cli *c, const struct options *o)
{
    const bool release = options_flag(o, "release");
    if (release == (o->n_operands == 1))
        return cli_usage(c, "lethe pin takes a VERSION, or --release");
    return run_version_call(c, lethe_pin, release ? NULL : o->operands[0]);
}

static enum cli_exit run_served_at(struct cli *c, const struct options *o)
{
    int64_t when;
    if (!when_parse(o->operands[0], clock_wall_us(), false, &when))
        return cli_usage(c,
                         "\"%.60s\" is no time; write 2026-11-23T12:00:00Z, \"2026-11-23 12:00\", "
                         "-2h or now",
                         o->operands[0]);
    struct lethe_version *v;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    const char *path = options_text(o, "proof", NULL);
    const enum lethe_code code =
        path ? lethe_served_proof(c->lethe, when, &v, &e) : lethe_served_at(c->lethe, when, &v, &e);
    if (code != LETHE_OK)
        return cli_fail(c, &e);
    struct fault f = {0};
    if (path && sysio_write_file(path, v->proof, v->proof_bytes, &f) != STATUS_OK) {
        lethe_free(v);
        return cli_fail_fault(c, &f);
    }
    return print_version(c, v);
}

static enum cli_exit run_diff(struct cli *c, const struct options *o)
{
    struct lethe_diff *d;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_diff(c->lethe, o->operands[0], o->operands[1], &d, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_diff(c->out, d);
    else
        show_diff(c->out, d);
    lethe_free(d);
    return cli_printed(c, good);
}

static enum cli_exit run_evaluate(struct cli *c, const struct options *o)
{
    struct lethe_report *r;
    struct lethe_error e;
    struct bar b;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    bar_init(&b, c->err, c->progress && !c->quiet, c->unicode);
    bar_draw(&b, true, "measuring ...");
    const enum lethe_code code =
        lethe_evaluate(c->lethe, options_text(o, "version", NULL), options_flag(o, "full"), &r, &e);
    bar_end(&b);
    if (code != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_report(c->out, r);
    else {
        (void)fprintf(c->out, "version %s\n\n", r->version);
        show_report(c->out, r->evaluation, r->evaluation_bytes);
    }
    lethe_free(r);
    return cli_printed(c, good);
}

const struct command cmd_versions_table[] = {
    {"history", "", "List versions, newest first", NULL, HISTORY_SPECS, N(HISTORY_SPECS), 0, 0,
     run_history},
    {"show", "VERSION", "Show a version: components, labels, report", NAMES, NULL, 0, 1, 1,
     run_show},
    {"diff", "VERSION VERSION", "What differs between two versions", NAMES, NULL, 0, 2, 2,
     run_diff},
    {"served-at", "TIME", "Which version answered at a time",
     "TIME is 2026-11-23T12:00:00Z, \"2026-11-23 12:00\" (UTC), 2026-11-23, -2h, @SECONDS or now.",
     SERVED_SPECS, N(SERVED_SPECS), 1, 1, run_served_at},
    {"evaluate", "", "Measure a version now", NULL, EVALUATE_SPECS, N(EVALUATE_SPECS), 0, 0,
     run_evaluate},
    {"rollback", "VERSION", "Serve an earlier version",
     NAMES "\nRefused if it would bring erased state back.", NULL, 0, 1, 1, run_rollback},
    {"pin", "VERSION", "Keep a version serving until the pin is released", PIN_DETAILS, PIN_SPECS,
     N(PIN_SPECS), 0, 1, run_pin},
    {.name = NULL},
};
