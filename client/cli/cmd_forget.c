/* forget: submit an erasure request. */
#include "client/cli/command.h"
#include "client/cli/follow.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "client/cli/suggest.h"
#include "client/cli/when.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec SPECS[] = {
    {"class", 'c', OPTION_VALUES, "NAME", "classes to forget, by label"},
    {"samples", 's', OPTION_VALUE, "DATASET", "forget the images of an imported data set"},
    {"ticket", 't', OPTION_VALUE, "TEXT", "your own reference, kept with the request"},
    {"due", 'd', OPTION_VALUE, "DATE", "deadline: 2026-12-31, +30d, RFC 3339 (default: one month)"},
    {"mode", 0, OPTION_VALUE, "MODE", "exact or fast, for learned tasks"},
    {"probe", 0, OPTION_VALUE, "HOW",
     "images for later checks: keep, resubmit, substitute or none"},
    {"option", 0, OPTION_VALUES, "NAME=VALUE", "options of the method, e.g. depth=off w_d=0.3"},
    {"seed", 0, OPTION_VALUE, "N", "seed of all random choices (default: from the request id)"},
    {"request-id", 0, OPTION_VALUE, "ID", "repeat an earlier submission: same id, one effect"},
    {"dry-run", 'n', OPTION_FLAG, NULL, "do everything on a fork, measure, commit nothing"},
    {"wait", 'w', OPTION_FLAG, NULL, "wait for the end and show the report"},
};

static const char DETAILS[] =
    "The daemon acknowledges once the request is durable; then it trains, measures and commits a\n"
    "new version, or rejects it and leaves the serving version as it is.\n\n"
    "  lethe forget --class Sandal Bag --ticket DSR-2026-117 --wait\n"
    "  lethe forget --class \"T-shirt/top\" --class \"Ankle boot\" --due +30d\n"
    "  lethe forget --samples user-4711 --dry-run --wait";

/* ------------------------------------------------------------------ reading the options */

struct forget {
    struct lethe_forget_args args;
    const char **classes;
    struct lethe_option options[LIMIT_OPTIONS];
    char option_names[LIMIT_OPTIONS][LIMIT_NAME_BYTES];
};

static enum status read_method_option(struct forget *t, const char *word, struct fault *f)
{
    const char *equals = strchr(word, '=');
    const size_t n = equals ? (size_t)(equals - word) : 0;
    if (n == 0 || n >= LIMIT_NAME_BYTES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "option", "--option takes NAME=VALUE, not \"%.60s\"",
             word);
    char *name = t->option_names[t->args.n_options];
    memcpy(name, word, n);
    name[n] = '\0';
    t->options[t->args.n_options++] = (struct lethe_option){name, equals + 1};
    return STATUS_OK;
}

static enum status read_method_options(struct forget *t, const struct options *o, struct fault *f)
{
    const char *words[LIMIT_OPTIONS];
    const size_t n = options_list(o, "option", words, LIMIT_OPTIONS);
    if (n > LIMIT_OPTIONS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "option", "more than %u method options", LIMIT_OPTIONS);
    for (size_t i = 0; i < n; i++)
        TRY(read_method_option(t, words[i], f));
    t->args.options = t->options;
    return STATUS_OK;
}

static enum status read_classes(struct forget *t, const struct options *o, struct fault *f)
{
    const size_t n = options_list(o, "class", NULL, 0);
    if (n == 0 && !t->args.samples)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class",
             "nothing to forget: give --class NAME... or --samples DATASET");
    t->classes = sysio_alloc(n + 1, sizeof *t->classes);
    if (!t->classes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    (void)options_list(o, "class", t->classes, n);
    t->args.classes = t->classes;
    t->args.n_classes = n;
    return STATUS_OK;
}

static enum status read_due(struct forget *t, const struct options *o, struct fault *f)
{
    const char *due = options_text(o, "due", NULL);
    const int64_t now = clock_wall_us();
    if (!due)
        return STATUS_OK;
    if (!when_parse(due, now, true, &t->args.due_at))
        FAIL(f, STATUS_INVALID_ARGUMENT, "due",
             "--due \"%.40s\" is no date; write 2026-12-31, +30d or an RFC 3339 time", due);
    if (t->args.due_at <= now)
        FAIL(f, STATUS_INVALID_ARGUMENT, "due", "--due %.40s has passed", due);
    return STATUS_OK;
}

static enum status read_args(struct forget *t, const struct options *o, struct fault *f)
{
    static const char *const MODES[] = {"exact", "fast", NULL};
    static const char *const PROBES[] = {"keep", "resubmit", "substitute", "none", NULL};
    size_t mode = 0, probe = 0;
    TRY(options_choice(o, "mode", MODES, SIZE_MAX, &mode, f));
    TRY(options_choice(o, "probe", PROBES, SIZE_MAX, &probe, f));
    /* The numbers of both enumerations begin with DEFAULT, which is no word on the command line. */
    t->args.mode = (enum lethe_mode)(mode + 1);
    t->args.probe = (enum lethe_probe)(probe + 1);
    TRY(options_number(o, "seed", 0, 0, UINT64_MAX, &t->args.seed, f));
    t->args.samples = options_text(o, "samples", NULL);
    t->args.ticket = options_text(o, "ticket", NULL);
    t->args.request_id = options_text(o, "request-id", NULL);
    t->args.dry_run = options_flag(o, "dry-run");
    TRY(read_due(t, o, f));
    TRY(read_method_options(t, o, f));
    return read_classes(t, o, f);
}

/* ------------------------------------------------------------------ when a label is unknown */

static size_t active_labels(const struct lethe_model *m, const char **ret_names)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_labels; i++) {
        if (strcmp(m->labels[i].status, "active") == 0)
            ret_names[n++] = m->labels[i].name;
    }
    return n;
}

static bool is_label(const struct lethe_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_labels; i++) {
        if (strcmp(m->labels[i].name, name) == 0)
            return true;
    }
    return false;
}

static void print_suggestions(struct cli *c,
                              const struct lethe_forget_args *args,
                              const struct lethe_model *m,
                              const char **names)
{
    const size_t n = active_labels(m, names);
    for (size_t i = 0; i < args->n_classes; i++) {
        if (is_label(m, args->classes[i]))
            continue;
        const size_t near = suggest_nearest(args->classes[i], names, n);
        if (near < n)
            (void)fprintf(c->err, "  \"%s\" is no label; did you mean \"%s\"?\n", args->classes[i],
                          names[near]);
    }
    (void)fprintf(c->err, "  labels that can be forgotten:");
    for (size_t i = 0; i < n && i < 40; i++)
        (void)fprintf(c->err, "%s %s", i > 0 ? "," : "", names[i]);
    (void)fprintf(c->err, "%s\n", n > 40 ? ", ..." : "");
}

/* Further help when the daemon refused for its classes; costs one more call. */
static void
suggest_labels(struct cli *c, const struct lethe_forget_args *args, const struct lethe_error *e)
{
    struct lethe_model *m;
    if (e->origin != LETHE_FROM_DAEMON || !strstr(e->field, "class") || c->quiet ||
        lethe_model(c->lethe, &m, NULL) != LETHE_OK)
        return;
    const char **names = sysio_alloc(m->n_labels + 1, sizeof *names);
    if (names)
        print_suggestions(c, args, m, names);
    sysio_free(names);
    lethe_free(m);
}

/* ------------------------------------------------------------------ running */

static enum cli_exit accepted(struct cli *c, const struct lethe_request *r, bool wait)
{
    if (wait && !lethe_state_is_final(r->state)) {
        cli_note(c, "request %s is %s", r->id, r->state);
        return follow_request(c, r->id);
    }
    bool good = true;
    if (c->json)
        good = json_out_request(c->out, r);
    else
        show_request(c->out, r);
    if (!c->json && !lethe_state_is_final(r->state))
        cli_note(c, "\nlethe wait %s   follows it to its end", r->id);
    const enum cli_exit printed = cli_printed(c, good);
    if (printed != CLI_DONE || !lethe_state_is_final(r->state))
        return printed;
    return cli_state_exit(r);
}

static enum cli_exit submit(struct cli *c, const struct forget *t, bool wait)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_forget(c->lethe, &t->args, &r, &e) != LETHE_OK) {
        const enum cli_exit code = cli_fail(c, &e);
        suggest_labels(c, &t->args, &e);
        return code;
    }
    const enum cli_exit code = accepted(c, r, wait);
    lethe_free(r);
    return code;
}

static enum cli_exit run_forget(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    struct forget *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return cli_usage(c, "out of memory");
    const enum cli_exit code = read_args(t, o, &f) == STATUS_OK
                                   ? submit(c, t, options_flag(o, "wait"))
                                   : cli_fail_fault(c, &f);
    sysio_free(t->classes);
    sysio_free(t);
    return code;
}

const struct command cmd_forget_table[] = {
    {"forget", "", "Submit an erasure request: classes, or the images of a data set", DETAILS,
     SPECS, sizeof SPECS / sizeof SPECS[0], 0, 0, run_forget},
    {.name = NULL},
};
